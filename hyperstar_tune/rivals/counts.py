"""The rankers that HyperSTAR is compared with, behind one small interface.

``fit`` learns from a table, ``rank`` orders configurations for a new task. These look at counts only; those that look
at images are in ``neural_rankers``. For tuning a network use ``Predictor`` instead, unless a figure says otherwise for
tables like yours: on few or alike tasks the average ranking is hard to beat.

Source: HyperSTAR (CVPR 2020), Sec. 4.1; Feurer et al., AAAI 2015 and NeurIPS 2015.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestRegressor

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.metrics import normalize_scores
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.meta_features import TaskFacts
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = [
    "AverageNormalizedRanker",
    "AverageTop1Ranker",
    "ForestRanker",
    "NearestTaskRanker",
    "RandomRanker",
    "Ranker",
    "complete_scores",
    "ranker_names",
    "make_ranker",
]


class Ranker(Protocol):
    """Learns from a table of learning curves how to order configurations for a task."""

    name: str

    def fit(self, metadataset: MetaDataset) -> "Ranker":
        """Learns from every task of a table."""
        ...

    def rank(self, task: Any, configs: Sequence[Config]) -> Ranking:
        """Orders configurations for a task: an ``ImageTask`` or, where no image is needed, a row of a table's tasks."""
        ...


def complete_scores(metadataset: MetaDataset) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Half-A accuracies of the tasks on which every configuration was trained.

    Tasks that lack configurations are left out: their means are over other configurations and do not compare.

    Returns:
        Row numbers of those tasks, shape [T], and their scores, shape [T, H].

    Raises:
        PredictorError: If no task is complete.
    """
    scores = metadataset.scores()
    rows = np.flatnonzero(np.isfinite(scores).all(axis=1))
    if not len(rows):
        raise PredictorError("a ranker needs a task on which every configuration was trained, but the table has none")
    return rows, scores[rows]


class RandomRanker:
    """A uniformly random order, another one for every task and seed."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, metadataset: MetaDataset) -> "RandomRanker":
        """Learns nothing."""
        return self

    def rank(self, task: Any, configs: Sequence[Config]) -> Ranking:
        """Orders configurations at random."""
        name = _name(task)
        draw = np.random.default_rng([self.seed, *name.encode()]).random(len(configs))
        return Ranking.of(configs, draw, task=name, source=self.name)


class _LookUpRanker:
    """Ranks by one score a known configuration."""

    name: str
    _scores: dict[str, float] | None = None

    def _rank(self, facts_name: str, scores: dict[str, float] | None, configs: Sequence[Config]) -> Ranking:
        if scores is None:
            raise PredictorError(f"ranker {self.name!r} must be fitted to a table first")
        unknown = next((config for config in configs if config_key(config) not in scores), None)
        if unknown is not None:
            raise PredictorError(f"ranker {self.name!r} knows the configurations of its table only, but got {unknown}")
        values = [scores[config_key(config)] for config in configs]
        return Ranking.of(configs, values, task=facts_name, source=self.name)


class AverageTop1Ranker(_LookUpRanker):
    """Task-agnostic: configurations by their mean accuracy over the training tasks, as in the paper."""

    name = "average_top1"

    def fit(self, metadataset: MetaDataset) -> "AverageTop1Ranker":
        """Averages accuracies over the complete tasks."""
        self._scores = _by_key(metadataset, complete_scores(metadataset)[1].mean(axis=0))
        return self

    def rank(self, task: Any, configs: Sequence[Config]) -> Ranking:
        """The same order for every task."""
        return self._rank(_name(task), self._scores, configs)


class AverageNormalizedRanker(AverageTop1Ranker):
    """Task-agnostic: configurations by their mean normalized score, so that every task weighs the same."""

    name = "average_normalized"

    def fit(self, metadataset: MetaDataset) -> "AverageNormalizedRanker":
        """Averages normalized scores over the complete tasks."""
        scores = normalize_scores(complete_scores(metadataset)[1])
        self._scores = _by_key(metadataset, np.asarray(scores).mean(axis=0))
        return self


class NearestTaskRanker(_LookUpRanker):
    """Feurer 2015b: the true ranking of the training task whose meta-features are nearest (L1 distance, scaled)."""

    name = "nearest_task"

    def fit(self, metadataset: MetaDataset) -> "NearestTaskRanker":
        """Keeps meta-features and scores of the complete tasks."""
        rows, scores = complete_scores(metadataset)
        self._features = _features(metadataset, rows)
        self._lower = self._features.min(axis=0)
        self._span = np.maximum(np.ptp(self._features, axis=0), 1e-9)
        normalized = np.asarray(normalize_scores(scores))
        self._tables = [_by_key(metadataset, row) for row in normalized]
        return self

    def rank(self, task: Any, configs: Sequence[Config]) -> Ranking:
        """The order of the nearest task; of two equally near ones, the first."""
        facts = TaskFacts.of(task)
        if not hasattr(self, "_tables"):
            return self._rank(facts.name, None, configs)
        distance = (np.abs(self._features - facts.features()) / self._span).sum(axis=1)
        return self._rank(facts.name, self._tables[int(np.argmin(distance))], configs)


class ForestRanker:
    """Feurer 2015a: a random forest from meta-features and the encoded configuration to the score.

    Args:
        seed: Of the forest.
        n_trees: Its size.
    """

    name = "random_forest"

    def __init__(self, seed: int = 0, n_trees: int = 100) -> None:
        self.seed = seed
        self.n_trees = n_trees
        self._space: SearchSpace | None = None

    def fit(self, metadataset: MetaDataset) -> "ForestRanker":
        """Fits the forest to normalized scores of the complete tasks."""
        rows, scores = complete_scores(metadataset)
        encoded = metadataset.space.encode(metadataset.configs)
        inputs = np.concatenate([_joined(row, encoded) for row in _features(metadataset, rows)])
        self._forest = RandomForestRegressor(self.n_trees, min_samples_leaf=3, random_state=self.seed)
        self._forest.fit(inputs, np.asarray(normalize_scores(scores)).ravel())
        self._space = metadataset.space
        return self

    def rank(self, task: Any, configs: Sequence[Config]) -> Ranking:
        """Orders configurations, known or not, by the forest's prediction."""
        if self._space is None:
            raise PredictorError(f"ranker {self.name!r} must be fitted to a table first")
        facts = TaskFacts.of(task)
        scores = self._forest.predict(_joined(facts.features(), self._space.encode(configs)))
        return Ranking.of(configs, scores, task=facts.name, source=self.name)


_RANKERS: dict[str, Callable[[int], Any]] = {
    RandomRanker.name: RandomRanker,
    AverageTop1Ranker.name: lambda seed: AverageTop1Ranker(),
    AverageNormalizedRanker.name: lambda seed: AverageNormalizedRanker(),
    ForestRanker.name: ForestRanker,
    NearestTaskRanker.name: lambda seed: NearestTaskRanker(),
}


def ranker_names() -> tuple[str, ...]:
    """Names that ``make_ranker`` knows: the rankers that need no image."""
    return tuple(_RANKERS)


def make_ranker(name: str, seed: int = 0) -> Ranker:
    """A ranker by name.

    Raises:
        PredictorError: If there is none of this name.
    """
    if name not in _RANKERS:
        raise PredictorError(f"a ranker is one of {', '.join(_RANKERS)}, but got {name!r}")
    ranker: Ranker = _RANKERS[name](seed)
    return ranker


def _name(task: Any) -> str:
    return str(task["name"] if hasattr(task, "__getitem__") else task.name)


def _features(metadataset: MetaDataset, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    return np.stack([TaskFacts.of(metadataset.tasks.iloc[row]).features() for row in rows])


def _joined(features: npt.NDArray[np.float64], encoded: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.broadcast_to(features, (len(encoded), len(features))), encoded], axis=1)


def _by_key(metadataset: MetaDataset, scores: npt.NDArray[np.floating]) -> dict[str, float]:
    keys = (config_key(config) for config in metadataset.configs)
    return dict(zip(keys, (float(score) for score in scores), strict=True))
