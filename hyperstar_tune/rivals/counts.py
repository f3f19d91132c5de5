"""Rankers that know only the counts of a task (images, classes): the nearest known task, and a random forest.

Source: HyperSTAR (CVPR 2020), Sec. 4.1; Feurer et al., AAAI 2015 and NeurIPS 2015.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestRegressor

from hyperstar_tune.metrics import normalize_scores
from hyperstar_tune.rivals.base import Floats, LookUpRanker, Ranker, complete_scores
from hyperstar_tune.rivals.meta_features import features_of, meta_features
from hyperstar_tune.space import Config
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["ForestRanker", "NearestTaskRanker"]


class NearestTaskRanker(LookUpRanker):
    """Feurer 2015b: the true ranking of the training task with the nearest meta-features (scaled L1 distance).

    If two tasks are equally near, the first one counts.
    """

    name = "nearest_task"

    def _fit(self, metadataset: MetaDataset) -> None:
        rows, scores = complete_scores(metadataset)
        self._features = features_of(metadataset, rows)
        self._span = np.maximum(np.ptp(self._features, axis=0), 1e-9)
        self._of_tasks = normalize_scores(scores)  # [T, H]

    def _of_table(self, task: Any) -> Floats:
        distance = (np.abs(self._features - meta_features(task)) / self._span).sum(axis=1)
        return np.asarray(self._of_tasks[int(np.argmin(distance))])


class ForestRanker(Ranker):
    """Feurer 2015a: a random forest that predicts the score from meta-features and the encoded configuration."""

    name = "random_forest"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _fit(self, metadataset: MetaDataset) -> None:
        rows, scores = complete_scores(metadataset)
        encoded = metadataset.space.encode(metadataset.configs)
        inputs = np.concatenate([_joined(row, encoded) for row in features_of(metadataset, rows)])
        self._forest = RandomForestRegressor(min_samples_leaf=3, random_state=self.seed)
        self._forest.fit(inputs, normalize_scores(scores).ravel())

    def _scores(self, task: Any, configs: Sequence[Config]) -> Floats:
        encoded = self.space.encode(configs)
        return np.asarray(self._forest.predict(_joined(meta_features(task), encoded)))


def _joined(features: npt.NDArray[np.float64], encoded: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.broadcast_to(features, (len(encoded), len(features))), encoded], axis=1)
