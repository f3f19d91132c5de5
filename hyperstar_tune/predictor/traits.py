"""What labelled images say about how a network should be fine-tuned to them, in a few dozen numbers a task.

Unlike an image embedding these traits look at the labels: how well frozen features of each depth of our own backbone
already separate the classes, how much more the deep ones do than the shallow ones (which should tell how deep to
train), how many images a class has to learn from, and what a mirrored image does to a decision (which should tell
whether augmentation helps). Only training images are looked at.

Accuracies are balanced: how many images each class has must not look like how hard it is to recognize.

Sources: LogME: You et al., ICML 2021; leave-one-out residuals of ridge regression: Hastie et al., "The Elements of
Statistical Learning", Eq. 7.64; sharpness: Pech-Pacheco et al., ICPR 2000.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hyperstar_tune.predictor.backbone import CHUNK, Backbone, normalize
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["MAX_IMAGES", "TRAITS", "traits_of"]

MAX_IMAGES = 640  # training images looked at; more hardly move a trait
_DEPTHS = ("stage2", "stage3", "stage4", "conv5")
_RIDGE = 0.1  # of the mean squared norm of centred features
_SHALLOW, _DEEP = _DEPTHS[:2], _DEPTHS[2:]
_N_HALVES = 8  # of the images, averaged: of few images one half says little
Floats = npt.NDArray[np.float64]
_memory: "WeakKeyDictionary[ImageTask, dict[int, dict[str, float]]]" = WeakKeyDictionary()


def _stratified(labels: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.intp]:
    """At most ``n`` row numbers, of each class its share; the same ones every time."""
    if len(labels) <= n:
        return np.arange(len(labels))
    order = np.random.default_rng(0).permutation(len(labels))
    ranks = np.empty(len(labels))  # place within the class, as a share of it
    for label in np.unique(labels):
        members = order[labels[order] == label]
        ranks[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(order[np.argsort(ranks[order], kind="stable")[:n]])


class _Look:
    """One look at uint8 images [n, 3, S, S] with their labels [n]: what several traits need is computed once."""

    def __init__(self, images: Tensor, labels: npt.NDArray[np.int64], n_train: int, n_classes: int) -> None:
        self.images, self.n_train, self.n_classes = images, n_train, n_classes
        self.labels = np.unique(labels, return_inverse=True)[1]
        self._kernels: dict[str, Floats] = {}
        self._found: dict[str, float] = {}

    def trait(self, name: str) -> float:
        """A trait by its name."""
        if name not in self._found:
            self._found[name] = float(_TRAITS[name](self))
        return self._found[name]

    @cached_property
    def pixels(self) -> dict[str, float]:
        """The traits that are read off the pixels."""
        return _of_pixels(self.images)

    @cached_property
    def features(self) -> dict[str, Floats]:
        """Of each depth, [n, channels]."""
        return _features(self.images)

    @cached_property
    def mirrored(self) -> Floats:
        """The deepest features of the mirrored images."""
        return _features(self.images.flip(-1))[_DEPTHS[-1]]

    def kernel(self, depth: str) -> Floats:
        """Inner products of the scaled features of a depth, [n, n]."""
        if depth not in self._kernels:
            self._kernels[depth] = _gram(self.features[depth])
        return self._kernels[depth]

    def imbalance(self) -> float:
        """1 less the entropy of the classes over its largest possible value."""
        counts = np.bincount(self.labels)
        shares = counts / counts.sum()
        return float(1 + (shares * np.log(shares)).sum() / np.log(max(2, len(counts))))

    def mean_probe(self, depths: Sequence[str]) -> float:
        """Mean of ridge classifier and nearest neighbour over depths."""
        return float(np.mean([self.trait(f"{kind}_{depth}") for kind in ("probe", "neighbours") for depth in depths]))

    def gain_by_images(self) -> float:
        """What the probe gains when it has all images instead of half of each class, mean over halves and depths."""
        rng = np.random.default_rng(0)
        members = [np.flatnonzero(self.labels == label) for label in range(self.labels.max() + 1)]
        of_halves = []
        for _ in range(_N_HALVES):
            half = np.sort(np.concatenate([rng.permutation(m)[: max(1, round(len(m) / 2))] for m in members]))
            of_halves += [_probe(_gram(self.features[depth][half]), self.labels[half]) for depth in _DEEP]
        return float(np.mean([self.trait(f"probe_{depth}") for depth in _DEEP]) - np.mean(of_halves))


@cache
def _backbone() -> Backbone:
    return Backbone("none").fused()


def _features(images: Tensor) -> dict[str, Floats]:
    """Pooled features of each depth, [n, channels], and 8 x 8 pixels as those of depth 0, [n, 192]."""
    found: dict[str, list[Tensor]] = {depth: [] for depth in ("pixels", *_DEPTHS)}
    with torch.inference_mode():
        for chunk in images.split(CHUNK):
            values = normalize(chunk)
            found["pixels"].append(nn.functional.adaptive_avg_pool2d(values, 8).flatten(1))
            for name, stage in _backbone().frozen.named_children():
                values = stage(values)
                if name in found:
                    found[name].append(values.mean(dim=(2, 3)))
    return {depth: torch.cat(parts).double().numpy() for depth, parts in found.items()}


def _of_pixels(images: Tensor) -> dict[str, float]:
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


def _probe(kernel: Floats, labels: npt.NDArray[np.intp]) -> float:
    """Balanced accuracy above chance of a ridge classifier on each image by one that was fitted without it."""
    return _above_chance((_left_out(kernel, labels) - _priors(labels)).argmax(axis=1), labels)


def _left_out(kernel: Floats, labels: npt.NDArray[np.intp]) -> Floats:
    """What a ridge regression says of each image's one-hot label that was fitted to all others, [n, classes]."""
    one_hot, root = np.eye(labels.max() + 1)[labels], np.sqrt(_weights(labels))
    inverse = _inverse(kernel, root)
    return np.asarray(one_hot - inverse @ (root[:, None] * one_hot) / (np.diag(inverse) * root)[:, None])


def _weights(labels: npt.NDArray[np.intp]) -> Floats:
    """Of images, [n]: all classes weigh alike."""
    counts = np.bincount(labels)
    return np.asarray(len(labels) / (len(counts) * counts[labels]))


def _inverse(kernel: Floats, root: Floats) -> Floats:
    """Of a ridge regression with a free intercept and weights ``root ** 2``, [n, n].

    Residuals are its rows by the weighted targets, over its diagonal. Without the intercept, centring would tell each
    image's label to the regression that is fitted without it. Blank images, which have no features, must not stop it.
    """
    ridge = _RIDGE * np.trace(kernel) / len(kernel) + 1e-9
    inverse = np.linalg.inv(root[:, None] * kernel * root + ridge * np.eye(len(kernel)))
    sums = inverse @ root
    return np.asarray(inverse - np.outer(sums, sums) / (root @ sums))


def _priors(labels: npt.NDArray[np.intp]) -> Floats:
    """Weights of the classes, as shares, without the image in question, [n, classes]."""
    weighted = np.eye(labels.max() + 1)[labels] * _weights(labels)[:, None]
    rest = weighted.sum(axis=0) - weighted
    return np.asarray(rest / rest.sum(axis=1, keepdims=True))


def _gram(features: Floats) -> Floats:
    scaled = _scaled(features)
    return np.asarray(scaled @ scaled.T)


def _scaled(features: Floats) -> Floats:
    """Centred, each feature at unit variance but for those that hardly vary."""
    centred = features - features.mean(axis=0)
    deviation = centred.std(axis=0)
    return np.asarray(centred / np.maximum(deviation, 0.1 * deviation.mean() + 1e-9))


def _above_chance(decided: npt.NDArray[np.intp], labels: npt.NDArray[np.intp]) -> float:
    """Mean over classes of the share of their images that is recognized, 0 at chance, 1 for all.

    Of plain accuracy above the share of the largest class little would be left where that share is large.
    """
    counts = np.bincount(labels)
    recall = np.bincount(labels, weights=decided == labels) / counts
    return float((recall.mean() - 1 / len(counts)) / (1 - 1 / len(counts)))


def _neighbours(kernel: Floats, labels: npt.NDArray[np.intp]) -> float:
    """Balanced accuracy above chance of the nearest neighbour's label."""
    nearest = kernel - 0.5 * (np.diag(kernel)[:, None] + np.diag(kernel)[None, :])
    np.fill_diagonal(nearest, -np.inf)
    return _above_chance(labels[nearest.argmax(axis=1)], labels)


def _separation(kernel: Floats, features: Floats, labels: npt.NDArray[np.intp]) -> float:
    """Share of the variance that lies between classes, above what chance alone gives."""
    scaled, counts = _scaled(features), np.bincount(labels)
    means = (np.eye(len(counts))[labels] / counts).T @ scaled  # [classes, d]
    between = float((counts * (means**2).sum(axis=1)).sum())
    # By chance alone (classes - 1) / (n - 1) of the variance lies between classes.
    expected = (len(means) - 1) / max(1, len(labels) - 1)
    return (between / max(np.trace(kernel), 1e-12) - expected) / max(1 - expected, 1e-6)


def _log_evidence(kernel: Floats, labels: npt.NDArray[np.intp]) -> float:
    """LogME: log evidence an image of a Bayesian linear model, mean over classes, maximal over a grid of its ratio."""
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


def _mirror_distance(features: Floats, mirrored: Floats) -> float:
    """How far an image's features move when it is mirrored, as a share of the distance between two images."""
    moved = ((features - mirrored) ** 2).sum(axis=1).mean()
    apart = 2 * ((features - features.mean(axis=0)) ** 2).sum(axis=1).mean()
    return float(moved / max(apart, 1e-12))


def _mirror_probe(features: Floats, mirrored: Floats, labels: npt.NDArray[np.intp]) -> float:
    """The left-out probe's accuracy if every image is there mirrored too: below the plain one's where sides matter."""
    kernel = _gram(np.concatenate([features, mirrored]))
    one_hot, root = np.eye(labels.max() + 1)[labels], np.sqrt(_weights(labels))
    n = len(labels)
    inverse = _inverse(kernel, np.tile(root, 2))
    solved = inverse @ np.tile(root[:, None] * one_hot, (2, 1))
    # An image and its mirror image are left out together: a block of two rows.
    a, b, d = (np.diag(inverse)[:n], np.diag(inverse[:n, n:]), np.diag(inverse)[n:])
    residuals = (d[:, None] * solved[:n] - b[:, None] * solved[n:]) / ((a * d - b * b) * root)[:, None]
    return _above_chance((one_hot - residuals - _priors(labels)).argmax(axis=1), labels)


def _at(kind: str, depth: str) -> Callable[[_Look], float]:
    """A trait that there is at every depth."""
    return {
        "probe": lambda look: _probe(look.kernel(depth), look.labels),
        "neighbours": lambda look: _neighbours(look.kernel(depth), look.labels),
        "separation": lambda look: _separation(look.kernel(depth), look.features[depth], look.labels),
        "logme": lambda look: _log_evidence(look.kernel(depth), look.labels),
    }[kind]


def _pixel_trait(name: str) -> Callable[[_Look], float]:
    return lambda look: look.pixels[name]


_OF_PIXELS = ("brightness", "contrast", "brightness_spread", "saturation", "sharpness", "mirror_pixels")
_TRAITS: dict[str, Callable[[_Look], float]] = {
    "log_images": lambda look: np.log(look.n_train),
    "log_classes": lambda look: np.log(look.n_classes),
    "log_images_per_class": lambda look: np.log(look.n_train / look.n_classes),
    "imbalance": _Look.imbalance,
    **{name: _pixel_trait(name) for name in _OF_PIXELS},
    **{
        f"{kind}_{depth}": _at(kind, depth)
        for depth in ("pixels", *_DEPTHS)
        for kind in ("probe", "neighbours", "separation", "logme")
    },
    "mirror_features": lambda look: _mirror_distance(look.features[_DEPTHS[-1]], look.mirrored),
    "mirror_probe": lambda look: (
        _mirror_probe(look.features[_DEPTHS[-1]], look.mirrored, look.labels) - look.trait("probe_conv5")
    ),
    "probe_deep": lambda look: look.mean_probe(_DEEP),
    "probe_shallow": lambda look: look.mean_probe(_SHALLOW),
    "probe_gain_depth": lambda look: look.trait("probe_deep") - look.trait("probe_shallow"),
    "probe_gain_images": _Look.gain_by_images,
}
TRAITS = tuple(_TRAITS)


def traits_of(task: ImageTask, image_size: int = 64, names: Sequence[str] = TRAITS) -> Floats:
    """Traits of a task in the order of ``names``, each computed once as long as the task object lives."""
    known = _memory.setdefault(task, {}).setdefault(image_size, {})
    missing = [name for name in names if name not in known]
    if missing:
        chosen = _stratified(task.train_labels, MAX_IMAGES)
        images = torch.from_numpy(task.images("train", image_size, chosen))
        look = _Look(images, task.train_labels[chosen], task.n_train, len(task.classes))
        known.update((name, look.trait(name)) for name in missing)
    return np.array([known[name] for name in names], dtype=np.float64)
