"""What meta-training learns from a table: normalized scores and similarities, with cells missing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["Targets", "anchored_scores", "make_targets"]


@dataclass(frozen=True)
class Targets:
    """M tasks, H configurations."""

    scores: Tensor  # [M, H], NaN where not trained
    similarity: Tensor  # [M, M], NaN where unknown
    encoded: Tensor  # [H, config_dim]


def make_targets(metadataset: MetaDataset, k: int) -> Targets:
    """Targets of all tasks of a table; ``k`` is that of the similarity AP@k.

    Raises:
        PredictorError: If the table has fewer than two tasks, or a task without two trained configurations.
    """
    names = metadataset.tasks["name"].tolist()
    if len(names) < 2:
        raise PredictorError(f"meta-training needs at least 2 tasks, but the table has {len(names)}")
    trained = np.isfinite(metadataset.scores()).sum(axis=1)
    if trained.min() < 2:
        poor = names[int(trained.argmin())]
        raise PredictorError(f"a task needs at least 2 trained configurations, but {poor!r} has {trained.min()}")
    return Targets(
        scores=torch.from_numpy(anchored_scores(metadataset.normalized()).astype(np.float32)),
        similarity=torch.from_numpy(metadataset.similarity(k).astype(np.float32)),
        encoded=torch.from_numpy(metadataset.space.encode(metadataset.configs)),
    )


def anchored_scores(normalized: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Makes the scores of tasks with missing configurations comparable to those of complete ones.

    Sec. 3.1 normalizes over all configurations. Where some were not trained, say all that are good on most tasks, 0
    stands for a worse configuration than elsewhere. Such a task gets the mean and deviation that its configurations
    have on average on the complete tasks; without a complete task, or where nothing is missing, nothing changes.

    Args:
        normalized: Shape [M, H], NaN where not trained.

    Returns:
        Shape [M, H].
    """
    known = np.isfinite(normalized)
    complete = known.all(axis=1)
    anchored = normalized.copy()
    if not complete.any():
        return anchored
    typical = normalized[complete].mean(axis=0)  # [H]
    for row in np.flatnonzero(~complete):
        here = typical[known[row]]
        anchored[row, known[row]] = normalized[row, known[row]] * here.std() + here.mean()
    return anchored
