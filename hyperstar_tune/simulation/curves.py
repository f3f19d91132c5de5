"""The recorded curves of one task, laid out for a replay: one row per configuration, one column per epoch.

Between recorded epochs the last value holds (docs/protocol.md, "Training").
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["TaskCurves"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaskCurves:
    """All curves of one task and one seed of training.

    Accuracies are NaN from the epoch on at which a configuration diverged; half B is NaN throughout where the table has
    none.
    """

    task: str
    family: str
    space: SearchSpace
    configs: tuple[Config, ...]  # H
    accuracy: Floats  # half A, [H, R]
    accuracy_b: Floats  # half B, [H, R]
    loss: Floats  # half A, [H, R]
    seconds: Floats  # duration of each epoch, [H, R]
    settles: bool = False  # a configuration that is trained to R is worth its last accuracy, not its best

    @classmethod
    def of(cls, table: MetaDataset, task: str, seed: int = 0) -> "TaskCurves":
        """The curves of a task.

        Args:
            table: A table of learning curves.
            task: Name of one of its tasks.
            seed: Index of the training seed.

        Raises:
            MetaDatasetError: If there is no such task or seed, or a configuration was not trained on it.
        """
        names = table.tasks["name"].tolist()
        if task not in names:
            raise MetaDatasetError(f"a task of the table is one of {', '.join(names)}, but got {task!r}")
        row = names.index(task)
        if not 0 <= seed < table.evaluations.shape[2]:
            raise MetaDatasetError(f"the table has {table.evaluations.shape[2]} seeds, but seed {seed} was asked for")
        if not table.measured[row, :, seed].all():
            missing = table.configs[int(np.argmin(table.measured[row, :, seed]))]
            raise MetaDatasetError(f"a replay needs every configuration, but {missing} was not trained on {task!r}")
        held = np.searchsorted(table.epochs, np.arange(1, table.epochs[-1] + 1), side="right") - 1
        if held[0] < 0:
            raise MetaDatasetError(f"a replay needs the curves from epoch 1, but they begin at {table.epochs[0]}")
        kinds = ("val_accuracy", "val_accuracy_b", "val_loss", "epoch_seconds")
        accuracy, accuracy_b, loss, seconds = (
            table.curve(name)[row, :, seed][:, held].astype(np.float64) for name in kinds
        )
        family = str(table.tasks["family"].iloc[row])
        return cls(
            *(task, family, table.space, tuple(table.configs)),
            *(accuracy, accuracy_b, loss, np.nan_to_num(seconds)),
            settles=table.fingerprint.settles,
        )

    @property
    def max_epochs(self) -> int:
        """R, the last recorded epoch."""
        return self.accuracy.shape[1]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {config_key(config): row for row, config in enumerate(self.configs)}

    def row(self, config: Config) -> int:
        """Row of a configuration.

        Raises:
            MetaDatasetError: If it is not in the table.
        """
        row = self._rows.get(config_key(config))
        if row is None:
            raise MetaDatasetError(f"only recorded configurations can be replayed, but got {config}")
        return row

    @cached_property
    def end_seconds(self) -> Floats:
        """Seconds that each configuration has trained at the end of each epoch, with a 0 in front, [H, R + 1]."""
        return np.concatenate([np.zeros((len(self.configs), 1)), np.cumsum(self.seconds, axis=1)], axis=1)

    @cached_property
    def _ends(self) -> list[list[float]]:  # faster to index than an array
        ends: list[list[float]] = self.end_seconds.tolist()
        return ends

    def ends(self, row: int) -> list[float]:
        """One row of ``end_seconds`` as plain floats, shape [R + 1]."""
        return self._ends[row]

    def result(self, row: int, epoch: int) -> dict[str, Any]:
        """What a trainable would report after an epoch. Do not change it."""
        return self.results[row][epoch - 1]

    @cached_property
    def results(self) -> list[list[dict[str, Any]]]:
        """All reports that a trainable would make: ``results[row][epoch - 1]``."""
        columns = {
            "val_accuracy": self.accuracy.tolist(),
            "val_loss": self.loss.tolist(),
            "val_accuracy_b": self.accuracy_b.tolist(),
            "epoch_seconds": self.seconds.tolist(),
            "time_this_iter_s": self.seconds.tolist(),
            "time_total_s": self.end_seconds[:, 1:].tolist(),
        }
        return [
            [
                dict.fromkeys(("training_iteration", "epoch", "iterations_since_restore"), epoch + 1)
                | {"done": False}
                | {name: values[row][epoch] for name, values in columns.items()}
                for epoch in range(self.max_epochs)
            ]
            for row in range(len(self.configs))
        ]

    def prefix(self, max_epochs: int) -> "TaskCurves":
        """The curves up to a shorter R. They hold only if the learning-rate schedule does not depend on R."""
        cut = {name: getattr(self, name)[:, :max_epochs] for name in ("accuracy", "accuracy_b", "loss", "seconds")}
        return replace(self, **cut, settles=False)  # the learning rate has not fallen yet
