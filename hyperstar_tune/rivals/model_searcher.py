"""What BOHB and TPE share: the parameters as numbers, and a model that is told the score at the end of each rung.

A listed value becomes its place in the list, and the value of a range stays itself.

Both models know no conditions. A parameter that means nothing in a configuration is left out of the suggestion, and the
model is told its lowest number. If the configurations of the space are listed, the one nearest to the model's pick is
suggested.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ConfigSpace.hyperparameters import IntegerHyperparameter

from hyperstar_tune.search.space_searcher import SpaceSearcher
from hyperstar_tune.space import Config, SearchSpace, plain, values_of

__all__ = ["ModelAxis", "ModelSearcher"]


@dataclass(frozen=True)
class ModelAxis:
    """One parameter: a list of values, or a range of numbers."""

    values: tuple[Any, ...] = ()  # empty: a range
    is_ordered: bool = True
    lower: float = 0  # of the numbers
    upper: float = 0
    is_log: bool = False
    is_whole: bool = True

    @classmethod
    def of(cls, hp: Any) -> "ModelAxis":
        """The axis of a parameter of a search space."""
        values = values_of(hp)
        if values is None:
            is_whole = isinstance(hp, IntegerHyperparameter)
            return cls((), True, plain(hp.lower), plain(hp.upper), bool(hp.log), is_whole)
        is_ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        return cls(tuple(values), is_ordered, 0, len(values) - 1)

    @property
    def is_fixed(self) -> bool:
        """Whether there is only one value."""
        return self.lower == self.upper

    def number(self, value: Any) -> float:
        """The number that stands for a value."""
        return self.values.index(value) if self.values else value


class ModelSearcher(SpaceSearcher):
    """Base of the searchers that model the scores of a space. Its arguments are those of ``SpaceSearcher``.

    A subclass gives the model's pick in ``next_config`` and overrides ``begin`` and ``learn``.
    """

    space: SearchSpace
    axes: dict[str, ModelAxis]  # by parameter

    @abstractmethod
    def begin(self, fixed: dict[str, Any]) -> None:
        """Begins a model of the numbers of ``axes``; ``fixed`` is what the run's config fixes."""

    @abstractmethod
    def learn(self, config: Config, level: int, score: float) -> None:
        """Learns the score that a configuration has at the end of a rung.

        Args:
            config: The configuration.
            level: Epochs at the end of the rung; without Hyperband every epoch is one.
            score: Higher is better; NaN means that it failed or diverged.
        """

    @property
    def repeats(self) -> bool:
        """Whether a listed configuration may be picked again; it goes on with its stored trial, as in every method."""
        return self.space.is_finite

    def search(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        """Begins a model of a space."""
        self.axes = {hp.name: ModelAxis.of(hp) for hp in space.configuration_space.values()}
        self.begin(fixed)

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Learns the score at the end of the rung in which the trial stands."""
        if trial_id in self.configs:
            score = math.nan if result is None else float(result[self.metric])
            level = max(1, epoch) if self.gate.is_open else self.gate.trials[trial_id].level
            if not math.isfinite(score):
                self.learn(self.configs[trial_id], level, math.nan)
            elif epoch == level:
                self.learn(self.configs[trial_id], level, score if self.mode == "max" else -score)

    def numbers(self, config: Config) -> dict[str, float]:
        """A configuration as the model sees it."""
        return {name: axis.number(config[name]) if name in config else axis.lower for name, axis in self.axes.items()}

    def config(self, numbers: Mapping[str, float]) -> Config:
        """The configuration that the model picked; a parameter that it leaves out has its lowest number."""
        picked = {}
        for name, axis in self.axes.items():
            number = numbers.get(name, axis.lower)
            picked[name] = axis.values[int(number)] if axis.values else self.space.nearest(name, number)
        config = self.space.active(picked)
        if self.space.listed is None:
            return config
        distances = np.abs(self.space.encode(self.space.listed) - self.space.encode([config])).sum(axis=1)
        return dict(self.space.listed[int(np.argmin(distances))])
