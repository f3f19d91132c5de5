"""A trainable with a table of recorded curves in the place of a network, to hold a replay against."""

import os
import time
from typing import Any

from ray import tune

from hyperstar_tune.simulation.controller import METRIC
from hyperstar_tune.simulation.curves import TaskCurves


class TableTrainable(tune.Trainable):
    """Reads its results from recorded curves; a checkpoint is the epoch."""

    def setup(self, config: dict[str, Any], curves: TaskCurves | None = None, wait_s: float = 0.0) -> None:
        assert curves is not None
        self._curves = curves
        self._wait_s = wait_s
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._row = self._curves.row(new_config)
        self._epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        time.sleep(self._wait_s)
        self._epoch += 1
        recorded = self._curves.result(self._row, self._epoch)
        return {name: recorded[name] for name in ("epoch", METRIC, "val_loss", "val_accuracy_b", "epoch_seconds")}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        with open(os.path.join(checkpoint_dir, "epoch"), "w") as file:
            file.write(str(self._epoch))

    def load_checkpoint(self, checkpoint: Any) -> None:
        with open(os.path.join(checkpoint, "epoch")) as file:
            self._epoch = int(file.read())


def table_trainable(curves: TaskCurves, wait_s: float = 0.0) -> Any:
    """A trainable that reports recorded curves instead of training, after so many seconds each."""
    return tune.with_parameters(TableTrainable, curves=curves, wait_s=wait_s)
