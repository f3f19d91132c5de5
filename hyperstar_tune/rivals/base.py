"""The base of all rankers. A ranker learns from a table of learning curves to order configurations for a new task.

Rankers are for comparisons. To tune a network use ``Predictor``, unless a comparison on a table like yours says
otherwise: with few tasks, or with tasks that are alike, the average ranking is hard to beat.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["Floats", "LookUpRanker", "Ranker", "complete_scores", "images_of", "task_name"]

Floats = npt.NDArray[np.floating]
Self = TypeVar("Self", bound="Ranker")


class Ranker(ABC):
    """Ranks configurations for a task, once it was fitted to a table.

    Subclasses say how in ``_fit`` and ``_scores``.

    Attributes:
        name: Its name in tables, and the ``source`` of its rankings.
    """

    name: str
    _space: SearchSpace | None = None
    _known: Sequence[Config] = ()  # H configurations of the table

    @property
    def space(self) -> SearchSpace:
        """The space of the table it was fitted to.

        Raises:
            PredictorError: If it was not fitted.
        """
        if self._space is None:
            raise PredictorError(f"ranker {self.name!r} must be fitted to a table first; call fit")
        return self._space

    def fit(self: Self, metadataset: MetaDataset) -> Self:
        """Learns from every task of a table."""
        self._fit(metadataset)
        self._space, self._known = metadataset.space, metadataset.configs
        return self

    def rank(self, task: Any, configs: Sequence[Config]) -> Ranking:
        """Orders configurations for a task.

        Args:
            task: An ``ImageTask``, or a row of a table's tasks if the ranker has its images or needs none.
            configs: H configurations of the space.

        Raises:
            PredictorError: If the ranker was not fitted, or lacks something that it needs of the task.
        """
        self.space  # noqa: B018  # an unfitted ranker stops here
        scored = self._scores(task, configs)
        scores, spread = scored if isinstance(scored, tuple) else (scored, None)
        return Ranking.of(configs, scores, spread, task=task_name(task), source=self.name)

    @abstractmethod
    def _fit(self, metadataset: MetaDataset) -> None:
        """Learns from every task of a table."""

    @abstractmethod
    def _scores(self, task: Any, configs: Sequence[Config]) -> Floats | tuple[Floats, Floats]:
        """Predicted scores [H], or a pair of scores [H] and their spread [H]."""


class LookUpRanker(Ranker):
    """Base of the rankers that have one score per configuration of their table, and know no other configurations."""

    _values: Floats  # [H]

    def _scores(self, task: Any, configs: Sequence[Config]) -> Floats:
        rows = {config_key(config): row for row, config in enumerate(self._known)}
        unknown = next((config for config in configs if config_key(config) not in rows), None)
        if unknown is not None:
            raise PredictorError(f"ranker {self.name!r} knows the configurations of its table only, but got {unknown}")
        return self._of_table(task)[[rows[config_key(config)] for config in configs]]

    def _of_table(self, task: Any) -> Floats:
        """Scores of the table's configurations, in its order; by default the same for every task."""
        return self._values


def complete_scores(metadataset: MetaDataset) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Half-A accuracies of the tasks on which every configuration was trained.

    Tasks that lack configurations are left out, because means over other configurations cannot be compared.

    Returns:
        Row numbers of those tasks, shape [T], and their scores, shape [T, H].

    Raises:
        PredictorError: If no task is complete.
    """
    rows = np.flatnonzero(metadataset.complete)
    if not len(rows):
        raise PredictorError("a ranker needs a task on which every configuration was trained, but the table has none")
    return rows, metadataset.scores()[rows]


def task_name(task: Any) -> str:
    """The name of a task, which is a row of a table, an object with a name, or the name itself."""
    if isinstance(task, str):
        return task
    return str(task["name"] if hasattr(task, "__getitem__") else task.name)


def images_of(task: Any, known: Mapping[str, ImageTask]) -> ImageTask:
    """The images of a task: itself, or the known ones of its name.

    Raises:
        PredictorError: If there are none.
    """
    images = task if isinstance(task, ImageTask) else known.get(task_name(task))
    if images is None:
        raise PredictorError(
            f"this ranker looks at images, but task {task_name(task)!r} has none; add them to the store"
        )
    return images
