"""The worker's side of a collection: a trial of Tune measures one cell, in a single step."""

import json
import math
import os
import time
import traceback
from typing import Any

import torch
from ray import tune

from hyperstar_tune.errors import HyperStarError, ModelError, first_line
from hyperstar_tune.finetune.loop import FineTune
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.tables.objectives import OBJECTIVES
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["Cell", "failed_cell", "measure_cell", "take_niceness"]


def measure_cell(settings: FineTuneSettings, task: ImageTask, config: dict[str, Any], seed: int) -> dict[str, Any]:
    """Measures a cell in this process and gives its line of the journal.

    If training runs on one core, seconds are those of the processor, so that a busy machine measures the same as an
    idle one. Otherwise, as with a GPU, they are those of the wall clock. Features of frozen layers that an earlier cell
    of the task has left in the process cost nothing, as in a run that reuses its processes.
    """
    if settings.max_epochs is None:
        raise ModelError("a cell is trained to max_epochs, but the settings have none")
    on_cpu = settings.torch_device().type == "cpu"
    clock = time.process_time if on_cpu and torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    run = FineTune(task, config, settings, seed=seed, clock=clock)
    cell = failed_cell(config, seed, None)
    seconds: list[float] = []
    try:
        cell["device"] = run.device_name
        while run.epoch < settings.max_epochs:
            metrics = run.train_epoch()
            seconds.append(metrics["epoch_seconds"])
            if settings.evaluate_at is None or run.epoch in settings.evaluate_at:
                cell["epochs"].append(run.epoch)
                metrics["epoch_seconds"] = sum(seconds) / len(seconds)
                seconds.clear()
                for name in OBJECTIVES:
                    value = float(metrics[name])
                    cell[name].append(round(value, 6) if math.isfinite(value) else None)
    finally:
        run.close()
    return {**cell, "seconds": round(clock() - start, 3)}


class Cell(tune.Trainable):
    """A trial that measures one cell in its only step. An error is a result like any other."""

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], tasks: dict[str, ImageTask], settings: FineTuneSettings, nice: int | None
    ) -> None:
        """Takes all tasks of the run: a worker trains cells of one after the other."""
        self._tasks, self._settings, self._cell = tasks, settings, config
        torch.set_num_threads(1)
        self._remark = "" if nice is None else take_niceness(nice)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next cell in the same process."""
        self._cell = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Measures the cell and hands its line of the journal to the driver, as text."""
        config, seed = self._cell["config"], self._cell["seed"]
        try:
            cell = measure_cell(self._settings, self._tasks[self._cell["task"]], config, seed)
        except HyperStarError as error:
            cell = failed_cell(config, seed, first_line(error))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1].name
            cell = failed_cell(config, seed, f"{type(error).__name__}: {error} ({where})".splitlines()[0])
        return {"cell": json.dumps(cell), "remark": self._remark, "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a cell is measured in one step."""


def take_niceness(nice: int) -> str:
    """Gives this process a niceness; a remark if the system does not allow it. Ray's workers begin at 15."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except OSError:
        now = os.getpriority(os.PRIO_PROCESS, 0)
        return (
            f"cells train with niceness {now} and not {nice}, as only root can lower it; start the nodes of the "
            f"cluster with RAY_worker_niceness={nice} in their environment"
        )
    return ""


def failed_cell(config: dict[str, Any], seed: int, error: str | None) -> dict[str, Any]:
    """The line of a cell that could not be measured, or that is empty so far."""
    curves: dict[str, list[float | None]] = {name: [] for name in OBJECTIVES}
    return {"config": config, "seed": seed, "epochs": [], **curves, "device": "", "seconds": 0.0, "error": error}
