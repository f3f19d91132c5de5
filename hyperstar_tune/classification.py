"""How well a classifier does, from its table of true and decided classes."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["METRICS", "Scores", "confusion_matrix", "scores_of", "wilson_interval"]

METRICS = ("val_accuracy", "val_balanced_accuracy", "val_macro_f1")  # names of the reported metrics, higher is better
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Scores:
    """Shares in [0, 1] of n images; NaN where there is none."""

    n: int
    accuracy: float
    balanced_accuracy: float  # mean over classes of the share of their images that is recognized
    macro_f1: float  # mean over classes of the harmonic mean of precision and recall
    interval: tuple[float, float]  # 95 % interval of the accuracy (Wilson's score interval)


def confusion_matrix(labels: npt.ArrayLike, decided: npt.ArrayLike, n_classes: int) -> npt.NDArray[np.int64]:
    """Number of images of each true class (row) that were taken for each class (column), [classes, classes]."""
    pairs = np.asarray(labels, dtype=np.int64) * n_classes + np.asarray(decided, dtype=np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def scores_of(confusion: npt.NDArray[np.int64]) -> Scores:
    """Scores of a ``confusion_matrix``; classes without images do not count."""
    right, images, answers = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    n, present = int(images.sum()), images > 0
    if not n:
        return Scores(0, math.nan, math.nan, math.nan, (math.nan, math.nan))
    recalls = right[present] / images[present]
    f1 = 2 * right[present] / (images + answers)[present]
    share = float(right.sum() / n)
    return Scores(n, share, float(recalls.mean()), float(f1.mean()), wilson_interval(share, n))


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    """Ends of the 95 % interval of a share that was found on n images.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (JASA 1927).
    """
    centre, around = share + _Z**2 / (2 * n), _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n))
    low, high = ((centre + sign * around) / (1 + _Z**2 / n) for sign in (-1, 1))
    return low, high
