"""Learning curves given by a function, to try a searcher or a scheduler where no table is at hand."""

import random
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from hyperstar_tune.simulation.controller import METRIC
from hyperstar_tune.space import Config

__all__ = ["MadeUpCurves"]


class MadeUpCurves:
    """Any configuration has a curve, and every trial its own row.

    Args:
        score: Function of configuration and epoch (from 1) that gives what is reported; None leaves the metric out.
        max_epochs: R, the last epoch.
        metric: Name of the metric.
        seed: Random seed of the seconds of each epoch, between 0 and 1; None: every epoch takes one second.
    """

    def __init__(
        self,
        score: Callable[[Config, int], float | None],
        max_epochs: int,
        *,
        metric: str = METRIC,
        seed: int | None = None,
    ) -> None:
        self.max_epochs = max_epochs
        self.metric = metric
        self._score = score
        self._configs: list[Config] = []
        self._random = None if seed is None else random.Random(seed)  # noqa: S311
        self._ends: list[Sequence[float]] = []

    def row(self, config: Config) -> int:
        """A new row for every trial."""
        if self._random is None:
            self._ends.append(range(self.max_epochs + 1))
        else:
            self._ends.append([0.0, *accumulate(self._random.random() for _ in range(self.max_epochs))])
        self._configs.append(config)
        return len(self._configs) - 1

    def ends(self, row: int) -> Sequence[float]:
        """Seconds at the end of each epoch, with a 0 in front, shape [R + 1]."""
        return self._ends[row]

    def result(self, row: int, epoch: int) -> dict[str, Any]:
        """What is reported after an epoch."""
        score, ends = self._score(self._configs[row], epoch), self._ends[row]
        result = {"training_iteration": epoch, "time_this_iter_s": ends[epoch] - ends[epoch - 1]}
        return result | ({} if score is None else {self.metric: score})
