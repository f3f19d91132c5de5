"""Rankers that know only the counts of a task (images, classes): the nearest known task, and a random forest.

Source: HyperSTAR (CVPR 2020), Sec. 4.1: "number of images, classes and images per class in the dataset"; Feurer et al.,
AAAI 2015 and NeurIPS 2015.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

from hyperstar_tune.errors import TaskError
from hyperstar_tune.metrics import normalize_scores
from hyperstar_tune.rivals.base import Floats, LookUpRanker, Ranker, complete_scores
from hyperstar_tune.space import Config
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["ForestRanker", "NearestTaskRanker", "features_of", "meta_features"]


def meta_features(task: Any) -> npt.NDArray[np.float64]:
    """Meta-features of an image task, or of a row of ``MetaDataset.tasks``.

    Returns:
        Logarithms of training images, classes, training images per class and validation images, shape [4].

    Raises:
        TaskError: If a count is missing or not positive.
    """
    names = ("name", "classes", "n_train", "n_val")
    values: dict[str, Any]
    if isinstance(task, Mapping | pd.Series):
        values = {name: task.get(name) for name in names}
    else:
        values = {name: getattr(task, name, None) for name in names}
        values["classes"] = len(values["classes"] or ())
    for name in names[1:]:
        if values[name] is None or not values[name] > 0:
            raise TaskError(f"meta-features need the {name} of task {values['name']!r}, but got {values[name]!r}")
    classes, n_train, n_val = (int(values[name]) for name in names[1:])
    return np.log(np.asarray((n_train, classes, n_train / classes, n_val), dtype=np.float64))


def features_of(metadataset: MetaDataset, rows: Iterable[int]) -> npt.NDArray[np.float64]:
    """Meta-features of some tasks of a table, by their row numbers, shape [T, 4]."""
    return np.stack([meta_features(metadataset.tasks.iloc[row]) for row in rows])


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
