"""HyperSTAR+ as rankers for tables: the predictor itself, and the average that it starts from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune.predictor.plus import PlusSettings, interpolated
from hyperstar_tune.predictor.plus_predictor import PlusPredictor
from hyperstar_tune.predictor.predictor import DEFAULT_IMAGE_SIZE
from hyperstar_tune.predictor.targets import default_curve, plus_targets
from hyperstar_tune.predictor.traits import traits_of
from hyperstar_tune.rivals.base import Floats, Ranker, images_of, task_name
from hyperstar_tune.space import Config
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["PlusAverageRanker", "PlusRanker"]


class PlusAverageRanker(Ranker):
    """HyperSTAR+ without its images: the average of its targets, which is the same order for every task."""

    name = "plus_average"

    def _fit(self, metadataset: MetaDataset) -> None:
        _, self._encoded, targets = plus_targets(metadataset, default_curve(metadataset))
        self._mean = targets.mean(axis=0)

    def _scores(self, task: Any, configs: Sequence[Config]) -> Floats:
        return interpolated(self._mean, self._encoded, self.space.encode(configs))


class PlusRanker(Ranker):
    """HyperSTAR+: a predictor fitted to the table.

    Args:
        images: The images of the tasks of the table, by name.
        settings: What is learned from and how.
        traits: Traits that were computed before, one row per task, indexed by name. These tasks need no images.

    Attributes:
        predictor: The fitted predictor.
    """

    name = PlusPredictor.method

    def __init__(
        self,
        images: Mapping[str, ImageTask] | None = None,
        settings: PlusSettings | None = None,
        traits: pd.DataFrame | None = None,
    ) -> None:
        self.images = images or {}
        self.settings = settings or PlusSettings()
        self.traits = traits

    def _fit(self, metadataset: MetaDataset) -> None:
        self._size = metadataset.fingerprint.image_size or DEFAULT_IMAGE_SIZE
        self.predictor = PlusPredictor.fit(metadataset, self.traits_of, self.settings)

    def _scores(self, task: Any, configs: Sequence[Config]) -> tuple[Floats, Floats]:
        return self.predictor.scores(self.traits_of(task), configs)

    def traits_of(self, task: Any) -> npt.NDArray[np.float64]:
        """Traits of a task, given by its images, its row of a table or its name."""
        name = task_name(task)
        if self.traits is not None and name in self.traits.index:
            return self.traits.loc[name, list(self.settings.traits)].to_numpy(dtype=np.float64)
        return traits_of(images_of(task, self.images), self._size, self.settings.traits)
