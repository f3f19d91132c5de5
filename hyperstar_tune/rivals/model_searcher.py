"""What BOHB and TPE share: a finite space, and a model that is told the score at the end of each rung."""

import math
from abc import abstractmethod
from typing import Any

from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.space_searcher import SpaceSearcher
from hyperstar_tune.space import Config, SearchSpace

__all__ = ["ModelSearcher", "is_ordered"]


class ModelSearcher(SpaceSearcher):
    """Base of the searchers that model the scores of a finite space. Its arguments are those of ``SpaceSearcher``.

    A subclass gives the model's pick in ``next_config`` and overrides ``begin`` and ``learn``.
    """

    axes: dict[str, list[Any]]  # parameter -> its values

    @abstractmethod
    def begin(self, fixed: dict[str, Any]) -> None:
        """Begins a model of the values in ``axes``; ``fixed`` is what the run's config fixes."""

    @abstractmethod
    def learn(self, config: Config, level: int, score: float) -> None:
        """Learns the score that a configuration has at the end of a rung.

        Args:
            config: The configuration.
            level: Epochs at the end of the rung; without Hyperband every epoch is one.
            score: Higher is better; NaN: it failed or diverged.
        """

    @property
    def repeats(self) -> bool:
        """A configuration that the model picks again goes on with its stored trial, as with every method."""
        return True

    def search(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        """Begins a model of a space.

        Raises:
            SearchError: If the space is not finite.
        """
        if not space.is_finite:
            raise SearchError(f"{type(self).__name__} takes a finite space, but got {space!r}")
        grid = space.grid()
        self.axes = {name: list(dict.fromkeys(config[name] for config in grid)) for name in space.parameters}
        self.begin(fixed)

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Learns the score at the end of the rung in which the trial stands."""
        if trial_id in self.configs:
            score = math.nan if result is None else float(result[self.metric])
            level = self.gate.level(trial_id, epoch)
            if not math.isfinite(score):
                self.learn(self.configs[trial_id], level, math.nan)
            elif epoch == level:
                self.learn(self.configs[trial_id], level, score if self.mode == "max" else -score)

    def places(self, config: Config) -> dict[str, int]:
        """Where each value of a configuration stands among those of its parameter."""
        return {name: values.index(config[name]) for name, values in self.axes.items()}


def is_ordered(values: list[Any]) -> bool:
    """Whether values have an order, as numbers have."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
