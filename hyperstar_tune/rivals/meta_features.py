"""Meta-features: what the baselines know of a task without looking at its images.

Source: HyperSTAR (CVPR 2020), Sec. 4.1: "number of images, classes and images per class in the dataset".
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["features_of", "meta_features"]


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
