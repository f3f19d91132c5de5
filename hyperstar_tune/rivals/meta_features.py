"""Meta-features: what the baselines know of a task without looking at its images.

Source: HyperSTAR (CVPR 2020), Sec. 4.1: "number of images, classes and images per class in the dataset".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune.errors import TaskError

if TYPE_CHECKING:
    from hyperstar_tune.tables.metadataset import MetaDataset
    from hyperstar_tune.tasks.task import ImageTask

__all__ = ["TaskFacts", "features_of"]


@dataclass(frozen=True)
class TaskFacts:
    """The counts of a task."""

    name: str
    classes: int
    n_train: int  # training images
    n_val: int  # validation images

    n_features: ClassVar[int] = 4

    @classmethod
    def of(cls, task: "TaskFacts | Mapping[str, Any] | pd.Series | ImageTask") -> "TaskFacts":
        """Facts of an image task, or of a row of ``MetaDataset.tasks``.

        Raises:
            TaskError: If a count is missing or not positive.
        """
        if isinstance(task, TaskFacts):
            return task
        values: dict[str, Any]
        if isinstance(task, Mapping | pd.Series):
            values = {name: task.get(name) for name in ("name", "classes", "n_train", "n_val")}
        else:
            values = {name: getattr(task, name, None) for name in ("name", "n_train", "n_val")}
            values["classes"] = len(getattr(task, "classes", ()))
        for name in ("classes", "n_train", "n_val"):
            if values[name] is None or not values[name] > 0:
                raise TaskError(f"meta-features need the {name} of task {values['name']!r}, but got {values[name]!r}")
        return cls(str(values["name"]), *(int(values[name]) for name in ("classes", "n_train", "n_val")))

    def features(self) -> npt.NDArray[np.float64]:
        """Logarithms of training images, classes, training images per class and validation images, shape [4]."""
        counts = (self.n_train, self.classes, self.n_train / self.classes, self.n_val)
        return np.log(np.asarray(counts, dtype=np.float64))


def features_of(metadataset: "MetaDataset", rows: Iterable[int]) -> npt.NDArray[np.float64]:
    """Features of some tasks of a table, by their row numbers, shape [T, 4]."""
    return np.stack([TaskFacts.of(metadataset.tasks.iloc[row]).features() for row in rows])
