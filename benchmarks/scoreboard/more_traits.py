"""All traits of labelled images that were tried: the 33 that no predictor uses, beside the three that ship.

Importing this adds them to the package's traits, so that settings may name them: counts, pixels, probes of every depth,
how features separate the classes, and what a mirrored image does to a decision (which should tell whether augmentation
helps).

Sources: LogME: You et al., ICML 2021; sharpness: Pech-Pacheco et al., ICPR 2000.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor

from hyperstar_tune.predictor.traits import (
    DEPTHS,
    TRAITS,
    Look,
    class_shares,
    features_of,
    gram,
    ridge_inverse,
    scaled,
    weights_of,
)

__all__ = ["ALL_TRAITS", "mirror_probe"]

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]
OF_PIXELS = ("brightness", "contrast", "brightness_spread", "saturation", "sharpness", "mirror_pixels")


def imbalance(labels: Labels) -> float:
    """1 less the entropy of the classes over its largest possible value."""
    counts = np.bincount(labels)
    shares = counts / counts.sum()
    return float(1 + (shares * np.log(shares)).sum() / np.log(max(2, len(counts))))


@lru_cache(maxsize=1)
def _mirrored(look: Look) -> Floats:
    """The deepest features of the mirrored images."""
    return features_of(look.images.flip(-1))[DEPTHS[-1]]


@lru_cache(maxsize=1)
def _pixels_of(look: Look) -> dict[str, float]:
    return of_pixels(look.images)


def of_pixels(images: Tensor) -> dict[str, float]:
    """The traits that are read off the pixels."""
    colours = images.float() / 255  # [n, 3, S, S]
    grey = colours.mean(dim=1)  # [n, S, S]
    curvature = (
        grey[:, 2:, 1:-1] + grey[:, :-2, 1:-1] + grey[:, 1:-1, 2:] + grey[:, 1:-1, :-2] - 4 * grey[:, 1:-1, 1:-1]
    )
    spread = grey.std(dim=(1, 2)).mean().clamp(min=1e-6)
    return {
        "brightness": float(grey.mean()),
        "contrast": float(spread),
        "brightness_spread": float(grey.mean(dim=(1, 2)).std(correction=0)),
        "saturation": float((colours.amax(dim=1) - colours.amin(dim=1)).mean()),
        "sharpness": float(torch.log(curvature.std(dim=(1, 2)).mean().clamp(min=1e-6))),
        "mirror_pixels": float((grey - grey.flip(-1)).std(dim=(1, 2)).mean() / spread),
    }


def separation(kernel: Floats, features: Floats, labels: Labels) -> float:
    """Share of the variance that lies between classes, above what chance alone gives."""
    values, counts = scaled(features), np.bincount(labels)
    means = (np.eye(len(counts))[labels] / counts).T @ values  # [classes, d]
    between = float((counts * (means**2).sum(axis=1)).sum())
    # By chance alone (classes - 1) / (n - 1) of the variance lies between classes.
    expected = (len(means) - 1) / max(1, len(labels) - 1)
    return (between / max(np.trace(kernel), 1e-12) - expected) / max(1 - expected, 1e-6)


def log_evidence(kernel: Floats, labels: Labels) -> float:
    """LogME: log evidence per image of a Bayesian linear model, mean over classes, maximal over a grid of its ratio."""
    one_hot = np.eye(labels.max() + 1)[labels]
    targets = one_hot - one_hot.mean(axis=0)
    values, vectors = np.linalg.eigh(kernel)
    energy = (vectors.T @ targets) ** 2  # [n, classes]
    n = len(kernel)
    best = np.full(targets.shape[1], -np.inf)
    for ratio in np.logspace(-3, 3, 13) / max(values.mean(), 1e-12):  # weights' variance over noise's
        spectrum = 1 + ratio * np.maximum(values, 0)
        noise = np.maximum((energy / spectrum[:, None]).mean(axis=0), 1e-9)
        best = np.maximum(best, -0.5 * (np.log(2 * np.pi * noise) + 1 + np.log(spectrum).sum() / n))
    return float(best.mean())


def mirror_distance(features: Floats, mirrored: Floats) -> float:
    """How far an image's features move when it is mirrored, as a share of the distance between two images."""
    moved = ((features - mirrored) ** 2).sum(axis=1).mean()
    apart = 2 * ((features - features.mean(axis=0)) ** 2).sum(axis=1).mean()
    return float(moved / max(apart, 1e-12))


def mirror_probe(features: Floats, mirrored: Floats, labels: Labels) -> float:
    """The left-out probe's accuracy if every image is there mirrored too: below the plain one's where sides matter."""
    kernel = gram(np.concatenate([features, mirrored]))
    one_hot, root = np.eye(labels.max() + 1)[labels], np.sqrt(weights_of(labels))
    n = len(labels)
    inverse = ridge_inverse(kernel, np.tile(root, 2))
    solved = inverse @ np.tile(root[:, None] * one_hot, (2, 1))
    # An image and its mirror image are left out together: a block of two rows.
    a, b, d = (np.diag(inverse)[:n], np.diag(inverse[:n, n:]), np.diag(inverse)[n:])
    residuals = (d[:, None] * solved[:n] - b[:, None] * solved[n:]) / ((a * d - b * b) * root)[:, None]
    decided = (one_hot - residuals - class_shares(labels)).argmax(axis=1)
    return float(balanced_accuracy_score(labels, decided, adjusted=True))


def _at(kind: str, depth: str) -> Callable[[Look], float]:
    """Makes one trait for every depth."""
    return {
        "probe": lambda look: look.probe(depth),
        "neighbours": lambda look: look.neighbours(depth),
        "separation": lambda look: separation(look.kernel(depth), look.features[depth], look.labels),
        "logme": lambda look: log_evidence(look.kernel(depth), look.labels),
    }[kind]


def _pixel_trait(name: str) -> Callable[[Look], float]:
    return lambda look: _pixels_of(look)[name]


_MORE: dict[str, Callable[[Look], float]] = {
    "log_images": lambda look: np.log(look.n_train),
    "log_classes": lambda look: np.log(look.n_classes),
    "log_images_per_class": lambda look: np.log(look.n_train / look.n_classes),
    "imbalance": lambda look: imbalance(look.labels),
    **{name: _pixel_trait(name) for name in OF_PIXELS},
    **{
        f"{kind}_{depth}": _at(kind, depth)
        for depth in ("pixels", *DEPTHS)
        for kind in ("probe", "neighbours", "separation", "logme")
    },
    "mirror_features": lambda look: mirror_distance(look.features[DEPTHS[-1]], _mirrored(look)),
    "mirror_probe": lambda look: (
        mirror_probe(look.features[DEPTHS[-1]], _mirrored(look), look.labels) - look.probe(DEPTHS[-1])
    ),
    "probe_shallow": lambda look: look.mean_probe(DEPTHS[:2]),
}
TRAITS.update(_MORE)
# The order of the columns of task_traits.parquet.
ALL_TRAITS = (
    *(name for name in _MORE if name != "probe_shallow"),
    *("probe_deep", "probe_shallow", "probe_gain_depth", "probe_gain_images"),
)
