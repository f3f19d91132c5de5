"""What HyperSTAR+ learns from: scores in which a dead configuration weighs no more than a poor one.

One accuracy a cell is read off its learning curve, the last or a steadier one. A task's accuracies are read in three
ways, each brought to mean 0 and deviation 1, and averaged: by their rank (normal quantiles), by how far they stay below
the best on a scale that ends at twice the median's distance, and as they are. Cells that were not trained are filled in
from the average ranking and the task's other cells.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import norm, rankdata

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.metrics import normalize_scores
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["CURVES", "READINGS", "completed", "config_kernel", "default_curve", "robust_scores"]

Floats = npt.NDArray[np.float64]

_NOISE = 0.2  # variance of a cell that its neighbours say nothing of, as a share of a residual's
_ANY_LEVEL = 100.0  # variance of a task's unknown level: its cells count only against each other


def _by_rank(row: Floats) -> Floats:
    return np.asarray(norm.ppf((rankdata(row) - 0.5) / len(row)))


def _by_regret(row: Floats) -> Floats:
    span = row.max() - np.median(row)
    return -np.clip((row.max() - row) / span, 0, 2) if span > 0 else np.zeros_like(row)


READINGS: dict[str, Callable[[Floats], Floats]] = {"rank": _by_rank, "regret": _by_regret, "accuracy": lambda row: row}


CURVES: dict[str, Callable[[MetaDataset], Floats]] = {
    "last": MetaDataset.scores,
    "steady": MetaDataset.steady_scores,
}


def default_curve(table: MetaDataset) -> str:
    """Of ``CURVES``: ``steady`` where the learning rate stays, ``last`` where a schedule lets a run settle."""
    return "steady" if table.fingerprint.constant_rate else "last"


def robust_scores(accuracies: Floats, readings: Sequence[Callable[[Floats], Floats]]) -> Floats:
    """Accuracies [T, H] as what is learned from: the mean of some readings of each task; NaN stays NaN."""
    out = np.full(accuracies.shape, np.nan)
    for row, of_task in zip(out, accuracies, strict=True):
        known = np.isfinite(of_task)
        if known.any():
            readings_of_task = [np.asarray(normalize_scores(reading(of_task[known]))) for reading in readings]
            row[known] = np.mean(readings_of_task, axis=0)
    return out


def config_kernel(encoded: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> Floats:
    """Similarity of configurations by their encodings, [n, d] and [m, d] -> [n, m], in (0, 1]."""
    gaps = encoded[:, None, :].astype(np.float64) - others[None, :, :]
    return np.asarray(np.exp(-0.5 * (gaps**2).sum(axis=2)))


def completed(scores: Floats, encoded: npt.NDArray[np.floating]) -> Floats:
    """Scores [T, H] with the cells that were not trained filled in, from encodings [H, d].

    A missing cell is the mean over the tasks that have it, plus what the task's other cells, the more alike the more,
    say of its difference from the mean (a Gaussian process with an unknown level).

    Raises:
        PredictorError: If a configuration was trained on no task.
    """
    known = np.isfinite(scores)
    if not known.any(axis=0).all():
        raise PredictorError("a configuration that was trained on no task has no score to learn from; leave it out")
    whole = known.all(axis=1)
    mean = scores[whole].mean(axis=0) if whole.any() else np.nanmean(scores, axis=0)
    kernel = config_kernel(encoded, encoded)
    out = scores.copy()
    for task in np.flatnonzero(~whole):
        has = known[task]
        inner = kernel[np.ix_(has, has)] + _ANY_LEVEL + _NOISE * np.eye(has.sum())
        weights = cho_solve(cho_factor(inner), scores[task, has] - mean[has]) if has.any() else np.zeros(0)
        out[task, ~has] = mean[~has] + (kernel[np.ix_(~has, has)] + _ANY_LEVEL) @ weights
        out[task] -= out[task].mean() - mean.mean()
    return out
