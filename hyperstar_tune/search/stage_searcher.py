"""A copy of a searcher for one stage of a run, whichever library it is of: flat configurations out, results in.

A searcher of this library is told the conditions of the space. Any other is given a Ray dict space. That knows no
conditions, so it searches all parameters, and those that mean nothing in a configuration are left out of it.
"""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune.search import Searcher

from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.ray_space import RaySpace, nest, to_ray, unnest
from hyperstar_tune.search.searcher import GatedSearcher
from hyperstar_tune.space import Config, SearchSpace, config_key, values_of

__all__ = ["StageSearcher"]


class StageSearcher(ABC):
    """A searcher for one stage."""

    def __init__(self, searcher: Any) -> None:
        self.searcher = searcher

    @staticmethod
    def copy(template: Searcher, taken: RaySpace, metric: str | None, mode: str | None) -> "StageSearcher":
        """A copy that has suggested nothing yet.

        Args:
            template: An unused searcher.
            taken: What to search, and where in a configuration; a searcher of this library also gets what is fixed.
            metric: Reported metric, which other searchers must know from the beginning.
            mode: "max" or "min".

        Raises:
            SearchError: If the searcher cannot be given the space or the metric.
            SpaceError: If it cannot search it.
        """
        if isinstance(template, GatedSearcher):
            flat: dict[str, tuple[str, ...]] = {name: (name,) for name in taken.paths}
            own = template.anew(RaySpace(taken.space, flat, taken.fixed))
            own.take_metric(metric, mode)
            return _OwnSearcher(own)
        name = type(template).__name__
        if metric is None or mode is None:
            raise SearchError(f"{name} must know metric and mode; pass both to IncreasingImageSizes")
        if taken.space is None:
            raise SearchError(f"{name} needs a space, but neither it nor the run's config has one; pass space=")
        other = cloudpickle.loads(cloudpickle.dumps(template))  # Tuner pickles its searcher in the same way
        if not other.set_search_properties(metric, mode, nest(to_ray(taken.space), taken.paths)):
            raise SearchError(f"{name} has a space of its own, which cannot be narrowed; pass it to space= instead")
        return _OtherSearcher(other, taken.space, taken.paths)

    @abstractmethod
    def suggest(self, trial_id: str, known: Collection[str]) -> Any:
        """A flat configuration, or None or FINISHED as the searcher says.

        Args:
            trial_id: The trial that will train it.
            known: Keys of configurations that are handed on, which need not come again.
        """

    @abstractmethod
    def adopt(self, trial_id: str, config: Config) -> bool:
        """Takes a trial that was handed on; whether the searcher is to hear its results as those of its own trials."""

    @abstractmethod
    def teach(self, config: Config, value: float) -> None:
        """Tells the metric of a configuration that was handed on and that the searcher did not adopt."""

    def save(self) -> bytes:
        """The file in which the searcher saves itself."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "searcher"
            self.searcher.save(str(path))
            return path.read_bytes()

    def restore(self, saved: bytes) -> None:
        """Takes back what ``save`` gave."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "searcher"
            path.write_bytes(saved)
            self.searcher.restore(str(path))


class _OwnSearcher(StageSearcher):
    """A searcher of this library."""

    searcher: GatedSearcher

    def suggest(self, trial_id: str, known: Collection[str]) -> Any:
        for _ in range(len(known) + 1):  # a deck gives each of them once more
            suggestion = self.searcher.suggest(trial_id)
            if not isinstance(suggestion, dict) or config_key(suggestion) not in known:
                break
        return suggestion

    def adopt(self, trial_id: str, config: Config) -> bool:
        self.searcher.adopt(trial_id, config)
        return True

    def teach(self, config: Config, value: float) -> None:
        """Nothing: it adopts."""


class _OtherSearcher(StageSearcher):
    """A searcher of Ray or of anybody else."""

    def __init__(self, searcher: Searcher, space: SearchSpace, paths: dict[str, tuple[str, ...]]) -> None:
        super().__init__(searcher)
        self._space, self._paths = space, paths

    def suggest(self, trial_id: str, known: Collection[str]) -> Any:
        suggestion = self.searcher.suggest(trial_id)
        if not isinstance(suggestion, dict):
            return suggestion
        return self._space.active(self._space.from_row(unnest(suggestion, self._paths)))

    def adopt(self, trial_id: str, config: Config) -> bool:
        return False

    def teach(self, config: Config, value: float) -> None:
        full = {}
        parameters: Any = self._space.configuration_space.values()
        for hp in parameters:  # what the conditions leave out has its first value
            values = values_of(hp)
            full["/".join(self._paths[hp.name])] = config.get(hp.name, values[0] if values is not None else hp.lower)
        with suppress(NotImplementedError):  # of a searcher that cannot be taught
            self.searcher.add_evaluated_point(full, value)
