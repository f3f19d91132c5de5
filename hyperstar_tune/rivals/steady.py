"""Any ranker, learning from the accuracies that HyperSTAR+ learns from instead of those after the last epoch.

While the learning rate stays constant, the last epoch on half of the validation images is a noisy draw. HyperSTAR+
learns from steady accuracies (``MetaDataset.steady_scores``). What it gains by that is told apart from what it gains by
looking at images if its rivals learn from them too.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hyperstar_tune.predictor.targets import CURVES, default_curve
from hyperstar_tune.rivals.base import Floats, Ranker
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["SteadyRanker", "with_steady_scores"]


class SteadyRanker(Ranker):
    """Another ranker, fitted to ``with_steady_scores`` of a table.

    Args:
        name: Its name.
        ranker: The other one, not fitted.
    """

    def __init__(self, name: str, ranker: Ranker) -> None:
        self.name, self.ranker = name, ranker

    @property
    def space(self) -> SearchSpace:
        """The space of the table that the other one was fitted to."""
        return self.ranker.space

    def _fit(self, metadataset: MetaDataset) -> None:
        self.ranker.fit(with_steady_scores(metadataset))

    def _scores(self, task: Any, configs: Sequence[Config]) -> Floats | tuple[Floats, Floats]:
        return self.ranker._scores(task, configs)


def with_steady_scores(table: MetaDataset) -> MetaDataset:
    """The table with its steady accuracies in place of the last ones; itself where a schedule settles accuracies."""
    curve = default_curve(table)
    if curve == "last":
        return table
    values = CURVES[curve](table)  # [T, H]
    evaluations = table.evaluations.copy()
    column = table.objectives.index("val_accuracy")
    last = evaluations[..., -1, column]  # [T, H, S]
    evaluations[..., -1, column] = np.where(table.measured, values[:, :, None], last)
    return replace(table, evaluations=evaluations)
