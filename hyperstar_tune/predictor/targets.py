"""What predictors learn from a table: scores that can be compared between tasks, even where cells are missing.

The paper's networks learn normalized last accuracies and the similarity of tasks (``make_targets``).

HyperSTAR+ learns scores in which a configuration that fails weighs little more than a poor one (``plus_targets``). One
accuracy is read off each learning curve, the last or a steadier one. The accuracies of a task are then read in three
ways: by their rank (as normal quantiles), by how far they are below the best (up to twice the distance of the median),
and as they are. Each reading is brought to mean 0 and deviation 1, and the target is their mean. Cells that were not
trained are filled in from the average ranking and the task's other cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist
from scipy.stats import norm, rankdata
from torch import Tensor

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.metrics import normalize_scores, similarity_matrix

if TYPE_CHECKING:
    from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = [
    "CURVES",
    "READINGS",
    "Targets",
    "anchored_scores",
    "completed",
    "config_kernel",
    "default_curve",
    "make_targets",
    "plus_targets",
    "robust_scores",
    "usable_cells",
]

Floats = npt.NDArray[np.float64]

_NOISE = 0.2  # share of a cell's variance that its neighbours say nothing of
_ANY_LEVEL = 100.0  # variance of a task's unknown level, so large that its cells count only against each other
_ENOUGH_FAMILIES = 3  # families with complete tasks that are enough to learn from those tasks alone


@dataclass(frozen=True)
class Targets:
    """What the networks learn from M tasks and H configurations."""

    scores: Tensor  # [M, H], NaN where not trained
    similarity: Tensor  # [M, M], NaN where unknown
    encoded: Tensor  # [H, config_dim]


def make_targets(metadataset: "MetaDataset", k: int) -> Targets:
    """Targets for all tasks of a table; the similarity of tasks is their AP@k.

    Raises:
        PredictorError: If the table has fewer than two tasks, or a task without two trained configurations.
    """
    names = metadataset.tasks["name"].tolist()
    if len(names) < 2:
        raise PredictorError(f"meta-training needs at least 2 tasks, but the table has {len(names)}; add tasks")
    scores = metadataset.scores()
    trained = np.isfinite(scores).sum(axis=1)
    if trained.min() < 2:
        poor = names[int(trained.argmin())]
        raise PredictorError(
            f"a task needs at least 2 trained configurations, but {poor!r} has {trained.min()}; leave it out"
        )
    return Targets(
        scores=torch.from_numpy(anchored_scores(normalize_scores(scores)).astype(np.float32)),
        similarity=torch.from_numpy(similarity_matrix(scores, k).astype(np.float32)),
        encoded=torch.from_numpy(metadataset.space.encode(metadataset.configs)),
    )


def anchored_scores(normalized: Floats) -> Floats:
    """Makes the scores of tasks with missing configurations comparable to those of complete ones, [M, H] -> [M, H].

    Sec. 3.1 normalizes over all configurations. Where some were not trained (NaN), say all that are good on most tasks,
    0 stands for a worse configuration than elsewhere. Such a task gets the mean and deviation that its configurations
    have on average on the complete tasks; without a complete task, or where nothing is missing, nothing changes.
    """
    known = np.isfinite(normalized)
    complete = known.all(axis=1)
    anchored = normalized.copy()
    if complete.any():
        typical = normalized[complete].mean(axis=0)  # [H]
        for row in np.flatnonzero(~complete):
            here = typical[known[row]]
            anchored[row, known[row]] = normalized[row, known[row]] * here.std() + here.mean()
    return anchored


def _by_rank(row: Floats) -> Floats:
    return np.asarray(norm.ppf((rankdata(row) - 0.5) / len(row)))


def _by_regret(row: Floats) -> Floats:
    span = row.max() - np.median(row)
    return -np.clip((row.max() - row) / span, 0, 2) if span > 0 else np.zeros_like(row)


READINGS: dict[str, Callable[[Floats], Floats]] = {"rank": _by_rank, "regret": _by_regret, "accuracy": lambda row: row}
CURVES: dict[str, Callable[["MetaDataset"], Floats]] = {
    "last": lambda table: table.scores(),
    "steady": lambda table: table.steady_scores(),
}


def default_curve(table: "MetaDataset") -> str:
    """One of ``CURVES``: ``steady`` where the learning rate is constant, ``last`` where a schedule settles a run."""
    return "steady" if table.fingerprint.constant_rate else "last"


def plus_targets(
    metadataset: "MetaDataset", curve: str, readings: Sequence[str] = tuple(READINGS), incomplete: bool = False
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32], Floats]:
    """What HyperSTAR+ learns from a table; the other arguments are those of ``PlusSettings``.

    Returns:
        Row numbers of T tasks, H encoded configurations [H, d], and their targets [T, H] without NaN.

    Raises:
        PredictorError: If fewer than two tasks or configurations were trained.
    """
    accuracies = CURVES[curve](metadataset)
    rows, columns = usable_cells(metadataset, accuracies, incomplete)
    if len(rows) < 2 or len(columns) < 2:
        raise PredictorError(
            "HyperSTAR+ needs at least two tasks with two configurations trained on each, but the table has "
            f"{len(rows)} tasks and {len(columns)} configurations; collect more"
        )
    scores = robust_scores(accuracies[np.ix_(rows, columns)], [READINGS[name] for name in readings])
    encoded = metadataset.space.encode(metadataset.configs)[columns]
    return rows, encoded, completed(scores, encoded)


def usable_cells(
    metadataset: "MetaDataset", accuracies: Floats, incomplete: bool = False
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The tasks of a table to learn from, and the configurations that were trained on them.

    Args:
        metadataset: The table.
        accuracies: One accuracy per task and configuration, NaN where not trained, shape [T, H].
        incomplete: Take tasks that lack configurations, even if three families have complete ones.

    Returns:
        Numbers of rows and of columns.
    """
    trained = np.isfinite(accuracies)
    families = metadataset.tasks["family"].to_numpy(dtype=str)
    whole = trained.all(axis=1)
    enough = not incomplete and len(set(families[whole])) >= _ENOUGH_FAMILIES
    rows = np.flatnonzero(whole if enough else trained.any(axis=1))
    return rows, np.flatnonzero(trained[rows].any(axis=0))


def robust_scores(accuracies: Floats, readings: Sequence[Callable[[Floats], Floats]]) -> Floats:
    """The mean of some readings of each task's accuracies, [T, H] -> [T, H]; NaN stays NaN."""
    out = np.full(accuracies.shape, np.nan)
    for row, of_task in zip(out, accuracies, strict=True):
        known = np.isfinite(of_task)
        if known.any():
            row[known] = np.mean([normalize_scores(reading(of_task[known])) for reading in readings], axis=0)
    return out


def config_kernel(encoded: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> Floats:
    """Similarity of configurations by their encodings, [n, d] and [m, d] -> [n, m], in (0, 1]."""
    return np.asarray(np.exp(-0.5 * cdist(encoded, others, "sqeuclidean")))


def completed(scores: Floats, encoded: npt.NDArray[np.floating]) -> Floats:
    """Scores [T, H] with the cells that were not trained filled in, from encodings [H, d].

    A missing cell is the mean over the tasks that have it, plus an estimate of the task's difference from that mean.
    The estimate comes from the task's other cells, similar configurations first (a Gaussian process with an unknown
    level).

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
