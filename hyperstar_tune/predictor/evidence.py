"""Whether the images of a task tell its classes apart at all, and how far traits of its labels may be trusted.

Shuffled labels, noise and images that are all alike have traits too, and these may lie near those of a hard but known
task. So the labels are held against themselves dealt at random over the same images: if near images do not agree
clearly more often than then, the traits say nothing, and the average ranking is the better one.

The bounds were measured (docs/predictor.md). Of 1,060 deals 0.3 % lie above 3 deviations and none above 4; of the 71
tasks that the shipped predictors know the lowest is at 4.1.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["evidence", "trust"]

_NEAREST = 7
_DEALS = 200
_NONE, _FULL = 3.0, 4.0  # deviations below which traits say nothing, and from which on they count fully
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]


def evidence(kernels: Sequence[Floats], labels: Labels) -> float:
    """By how many deviations near images agree in their label more often than if labels were dealt at random.

    Args:
        kernels: Inner products of the features of n images at some depths, [n, n] each.
        labels: Classes of the images, counted from 0, [n].
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))  # equally near images must not come in the order of their classes
    near = np.concatenate([_nearest(kernel.take(order, 0).take(order, 1)).T for kernel in kernels])  # [depths * 7, n]

    def agreement(dealt: Labels) -> float:
        weights = 1 / np.bincount(dealt)[dealt]  # all classes weigh alike
        short = dealt.astype(np.int32)  # fewer bytes to gather
        agree = np.add.reduce(short.take(near) == short, axis=0, dtype=np.int32)
        return float((agree / len(near) * weights).sum())

    by_chance = [agreement(rng.permutation(labels)) for _ in range(_DEALS)]
    deviation = float(np.std(by_chance))
    return (agreement(labels[order]) - float(np.mean(by_chance))) / deviation if deviation > 1e-9 else 0.0


def trust(deviations: float) -> float:
    """How far traits may be trusted, from 0 to 1, by what ``evidence`` gives."""
    return float(np.clip((deviations - _NONE) / (_FULL - _NONE), 0, 1))


def _nearest(kernel: Floats) -> Labels:
    """Numbers of the nearest other images of each image, [n, 7] if there are as many; of equally near the first."""
    closeness = kernel - 0.5 * np.diag(kernel)[None, :]
    np.fill_diagonal(closeness, -np.inf)
    n, k = len(kernel), min(_NEAREST, len(kernel) - 1)
    last = np.partition(closeness, n - k, axis=1)[:, n - k, None]  # the k-th closest
    chosen = closeness >= last
    if np.count_nonzero(chosen) > n * k:  # some are equally near
        nearer, level = closeness > last, closeness == last
        chosen = nearer | (level & (np.cumsum(level, axis=1) <= k - nearer.sum(axis=1, keepdims=True)))
    return np.nonzero(chosen)[1].reshape(n, k)
