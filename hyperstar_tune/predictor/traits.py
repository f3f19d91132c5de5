"""Traits: what labelled images say about how a network should be fine-tuned to them, three numbers for each task.

Unlike an image embedding, traits look at the labels. They say how well the deep features of our own frozen backbone
already separate the classes, how much better these do than the shallow features (which should tell how many layers to
train), and how much more images help. Only training images are looked at.

Accuracies are balanced, so that a class that has few images does not look like one that is hard to recognize, and 0 at
chance: accuracy above the share of the largest class would leave little room where that share is large.

Source: leave-one-out residuals of ridge regression: Hastie et al., "The Elements of Statistical Learning", Eq. 7.64.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from hyperstar_tune.predictor.backbone import CHUNK, Backbone, normalize
from hyperstar_tune.predictor.evidence import evidence, trust
from hyperstar_tune.predictor.sampling import FEWEST, MOST_CLASSES, sample_images
from hyperstar_tune.tasks.task import ImageTask

__all__ = [
    "DEPTHS",
    "MEANINGS",
    "SHIPPED_TRAITS",
    "TRAITS",
    "Look",
    "class_shares",
    "features_of",
    "gram",
    "left_out",
    "neighbours",
    "probe",
    "ridge_inverse",
    "scaled",
    "traits_of",
    "trust_in",
    "weights_of",
]

DEPTHS = ("stage2", "stage3", "stage4", "conv5")
_SHALLOW, _DEEP = DEPTHS[:2], DEPTHS[2:]
_RIDGE = 0.1  # penalty, as a share of the mean squared norm of centred features
_N_HALVES = 8  # halves of the images that are averaged, because one half of few images says little
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]
_memory: "WeakKeyDictionary[ImageTask, dict[int, dict[str, float]]]" = WeakKeyDictionary()


class Look:
    """A look at a sample [n, 3, S, S] of its training images: what several traits need is computed once."""

    def __init__(self, images: Tensor, labels: npt.NDArray[np.int64], n_train: int, n_classes: int) -> None:
        self.images, self.n_train, self.n_classes = images, n_train, n_classes
        self.labels = np.unique(labels, return_inverse=True)[1]
        self.kernel = cache(lambda depth: gram(self.features[depth]))  # inner products at a depth, [n, n]
        self.probe = cache(lambda depth: probe(self.kernel(depth), self.labels))
        self.neighbours = cache(lambda depth: neighbours(self.kernel(depth), self.labels))

    @cached_property
    def features(self) -> dict[str, Floats]:
        """Features of each depth, [n, channels]."""
        return features_of(self.images)

    def mean_probe(self, depths: Sequence[str]) -> float:
        """Mean of ridge classifier and nearest neighbour over depths."""
        return float(np.mean([kind(depth) for kind in (self.probe, self.neighbours) for depth in depths]))

    def gain_by_images(self) -> float:
        """What the probe gains when it has all images instead of half of each class, mean over halves and depths."""
        rng = np.random.default_rng(0)
        members = [np.flatnonzero(self.labels == label) for label in range(self.labels.max() + 1)]
        of_halves = []
        for _ in range(_N_HALVES):
            half = np.sort(np.concatenate([rng.permutation(m)[: max(1, round(len(m) / 2))] for m in members]))
            of_halves += [probe(gram(self.features[depth][half]), self.labels[half]) for depth in _DEEP]
        return float(np.mean([self.probe(depth) for depth in _DEEP]) - np.mean(of_halves))


TRAITS: dict[str, Callable[[Look], float]] = {  # further ones may be added, before they are named in settings
    "probe_deep": lambda look: look.mean_probe(_DEEP),
    "probe_gain_images": Look.gain_by_images,
    "probe_gain_depth": lambda look: look.mean_probe(_DEEP) - look.mean_probe(_SHALLOW),
    "evidence": lambda look: evidence([look.kernel(depth) for depth in DEPTHS], look.labels),
}
MEANINGS = {
    "probe_deep": "how well deep features separate the classes without any training (0: by chance, 1: perfectly)",
    "probe_gain_images": "how much better deep features separate the classes with twice as many images",
    "probe_gain_depth": "how much better deep features separate the classes than shallow ones",
    "evidence": "how surely near images share their class, in deviations from chance",
}
SHIPPED_TRAITS = ("probe_deep", "probe_gain_images", "probe_gain_depth")


def traits_of(task: ImageTask, image_size: int = 64, names: Sequence[str] = SHIPPED_TRAITS) -> Floats:
    """Traits of a task in the order of ``names``, each computed once as long as the task object lives."""
    known = _memory.setdefault(task, {}).setdefault(image_size, {})
    missing = [name for name in names if name not in known]
    if missing:
        # Whoever asks for traits asks next how far they may be trusted, and looking costs more than all of them.
        missing = list(dict.fromkeys((*missing, "evidence")))
        chosen = sample_images(task.train_labels)
        images = torch.from_numpy(task.images("train", image_size, chosen))
        look = Look(images, task.train_labels[chosen], task.n_train, len(task.classes))
        with threadpool_limits(1, "blas"):  # threads of so small matrices wait for each other: twice the time
            known.update((name, float(TRAITS[name](look))) for name in missing)
    return np.array([known[name] for name in names], dtype=np.float64)


def trust_in(task: ImageTask, image_size: int = 64) -> tuple[float, str]:
    """How far traits of a task's labels may be trusted, from 0 to 1, and if not fully, why."""
    counts = np.bincount(task.train_labels)
    if len(counts) > MOST_CLASSES:
        looked_at = np.unique(task.train_labels[sample_images(task.train_labels)])
        if np.median(counts[looked_at]) < FEWEST:
            return 0.0, f"most of the {len(counts)} classes have fewer than {FEWEST} training images"
    trusted = trust(float(traits_of(task, image_size, ["evidence"])[0]))
    return trusted, "" if trusted == 1 else "near images hardly have the same class more often than by chance"


@cache
def _backbone() -> Backbone:
    return Backbone("none").fused()


def features_of(images: Tensor) -> dict[str, Floats]:
    """Pooled features of each depth, [n, channels], and 8 x 8 pixels as those of depth ``pixels``, [n, 192]."""
    found: dict[str, list[Tensor]] = {depth: [] for depth in ("pixels", *DEPTHS)}
    with torch.inference_mode():
        for chunk in images.split(CHUNK):
            values = normalize(chunk)
            found["pixels"].append(nn.functional.adaptive_avg_pool2d(values, 8).flatten(1))
            for name, stage in _backbone().frozen.named_children():
                values = stage(values)
                if name in found:
                    found[name].append(values.mean(dim=(2, 3)))
    return {depth: torch.cat(parts).double().numpy() for depth, parts in found.items()}


def gram(features: Floats) -> Floats:
    """Inner products of the scaled features of images, [n, d] -> [n, n]."""
    values = scaled(features)
    return np.asarray(values @ values.T)


def scaled(features: Floats) -> Floats:
    """Centred features [n, d] with unit variance, except those that hardly vary."""
    centred = features - features.mean(axis=0)
    deviation = centred.std(axis=0)
    return np.asarray(centred / np.maximum(deviation, 0.1 * deviation.mean() + 1e-9))


def probe(kernel: Floats, labels: Labels) -> float:
    """Balanced accuracy above chance of a ridge classifier that is judged on each image after a fit without it."""
    decided = (left_out(kernel, labels) - class_shares(labels)).argmax(axis=1)
    return _above_chance(labels, decided)


def neighbours(kernel: Floats, labels: Labels) -> float:
    """Balanced accuracy above chance of the nearest neighbour's label."""
    nearest = kernel - 0.5 * (np.diag(kernel)[:, None] + np.diag(kernel)[None, :])
    np.fill_diagonal(nearest, -np.inf)
    return _above_chance(labels, labels[nearest.argmax(axis=1)])


def _above_chance(labels: Labels, decided: Labels) -> float:
    """Mean recall of the classes, brought to 0 at chance and 1 where all is right."""
    recalls = np.bincount(labels, weights=labels == decided) / np.bincount(labels)
    chance = 1 / len(recalls)
    return float((recalls.mean() - chance) / (1 - chance))


def left_out(kernel: Floats, labels: Labels) -> Floats:
    """Each image's label as a ridge regression predicts it that was fitted to all other images, [n, classes]."""
    one_hot, root = np.eye(labels.max() + 1)[labels], np.sqrt(weights_of(labels))
    inverse = ridge_inverse(kernel, root)
    return np.asarray(one_hot - inverse @ (root[:, None] * one_hot) / (np.diag(inverse) * root)[:, None])


def weights_of(labels: Labels) -> Floats:
    """Weights of images, [n], that give all classes the same weight."""
    counts = np.bincount(labels)
    return np.asarray(len(labels) / (len(counts) * counts[labels]))


def ridge_inverse(kernel: Floats, root: Floats) -> Floats:
    """The matrix of a ridge regression with a free intercept and weights ``root ** 2``, [n, n].

    The residuals are its rows times the weighted targets, divided by its diagonal. Without the intercept, centring
    would tell each image's label to the regression that is fitted without it. Images without features (blank ones) must
    not stop it. The matrix without the intercept is positive definite, so that Cholesky inverts it in half the time.
    """
    ridge = _RIDGE * np.trace(kernel) / len(kernel) + 1e-9
    weighted = root[:, None] * kernel * root
    weighted[np.diag_indices_from(weighted)] += ridge
    # Of a symmetric matrix the transpose is the same, and Fortran's order spares LAPACK a copy.
    factor, failed = lapack.dpotrf(weighted.T, lower=True, overwrite_a=True)
    half, singular = lapack.dpotri(factor, lower=True, overwrite_c=True)
    if failed or singular:
        raise np.linalg.LinAlgError("the inner products of features must be positive definite, but are not finite")
    inverse = half + np.tril(half, -1).T
    sums = inverse @ root
    inverse -= np.outer(sums, sums) / (root @ sums)
    return np.asarray(inverse)


def class_shares(labels: Labels) -> Floats:
    """For each image the weights of the classes, as shares, among all other images, [n, classes]."""
    weighted = np.eye(labels.max() + 1)[labels] * weights_of(labels)[:, None]
    rest = weighted.sum(axis=0) - weighted
    return np.asarray(rest / rest.sum(axis=1, keepdims=True))
