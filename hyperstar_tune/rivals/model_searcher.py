"""What BOHB and TPE share: the parameters as numbers, and a model that is told the score at the end of each rung.

A listed value becomes its place in the list, and the value of a range stays itself.

Both models know no conditions. A parameter that means nothing in a configuration is left out of the suggestion, and the
model is told its lowest number. If the configurations of the space are listed, the one nearest to the model's pick is
suggested.
"""

import math
import os
import pickle
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace.hyperparameters import IntegerHyperparameter

from hyperstar_tune.errors import SearchError, SpaceError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.search.results import reported_number
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


Score = tuple[Config, int, float]  # a configuration, the epochs it has trained, and its score; higher is better


class ModelSearcher(SpaceSearcher):
    """Base of the searchers that model the scores of a space. Its arguments are those of ``SpaceSearcher``.

    A subclass gives the model's pick in ``next_config`` and overrides ``begin`` and ``learn``.

    Ray tells a searcher the metric only together with a config. In a run without one, under another scheduler than
    ``PlanScheduler``, pass ``metric`` and ``mode`` to the searcher too.
    """

    learns = True
    remedy = "make a new one, which learns from this one by new.warm_start(old)"
    space: SearchSpace
    axes: dict[str, ModelAxis]  # by parameter
    earlier: tuple[Score, ...] = ()  # what was learned in earlier runs

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
        """Begins a model of a space, with what was learned earlier in it."""
        self.axes = {hp.name: ModelAxis.of(hp) for hp in space.configuration_space.values()}
        self.scores: list[Score] = []  # all that was learned
        self.begin(fixed)
        if self.earlier:
            self._teach(self.earlier)

    def warm_start(self, learned_by: "ModelSearcher | str | os.PathLike[str]") -> None:
        """Begins with what another searcher has learned, for instance in an earlier run of the same space.

        A searcher belongs to one run, but what it has learned does not. Scores of configurations outside the space are
        left out.

        Args:
            learned_by: The other searcher, a file that it was saved to, or the folder of its run. Files are unpickled,
                so use only your own.

        Raises:
            SearchError: If there is no such searcher, or it has learned nothing.
            SpaceError: If nothing that it has learned lies in the space.
        """
        state = vars(learned_by) if isinstance(learned_by, ModelSearcher) else _saved_state(Path(learned_by))
        scores = (*state.get("earlier", ()), *state.get("scores", ()))
        if not scores:
            raise SearchError("warm_start needs a BohbSearcher or TpeSearcher that has learned a score, but got none")
        self.earlier = (*self.earlier, *scores)
        if getattr(self, "space", None) is not None:  # else the run's config brings it
            reason = self._teach(scores)
            if reason is not None:
                raise SpaceError(f"nothing of what was learned earlier lies in the space to be searched: {reason}")

    def _teach(self, scores: Sequence[Score]) -> SpaceError | None:
        """Learns the scores of configurations in the space; if none lies there, the reason."""
        taken, reason = 0, None
        for config, level, score in scores:
            try:
                self.space.check(config)
            except SpaceError as error:
                reason = error
            else:
                self.learn(config, level, score)
                taken += 1
        LOGGER.info("%s begins with %d of %d scores learned earlier", type(self).__name__, taken, len(scores))
        return None if taken else reason

    def _learn(self, config: Config, level: int, score: float) -> None:
        self.scores.append((config, level, score))
        self.learn(config, level, score)

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Learns the score at the end of the rung in which the trial stands."""
        if trial_id in self.configs:
            score = math.nan if result is None else reported_number(self.metric, result)
            if score is None:
                return
            level = max(1, epoch) if self.gate.is_open else self.gate.trials[trial_id].level
            if not math.isfinite(score):
                self._learn(self.configs[trial_id], level, math.nan)
            elif epoch == level:
                self._learn(self.configs[trial_id], level, score if self.mode == "max" else -score)

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


def _saved_state(path: Path) -> dict[str, Any]:
    """The state of a searcher in a file, or the newest one in the folder of a run."""
    path = path.expanduser()
    if path.is_dir():
        found = sorted(path.glob("searcher-state-*.pkl"))
        if not found:
            raise SearchError(f"warm_start needs the folder of a run, but {path} has no searcher-state-*.pkl")
        path = found[-1]
    try:
        state = pickle.loads(path.read_bytes())  # noqa: S301  Ray's own searchers keep their state so
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as error:
        raise SearchError(f"warm_start needs a saved searcher, but reading {path} gave {error!r}") from error
    return state if isinstance(state, dict) else {}
