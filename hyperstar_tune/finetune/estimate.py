"""How long a collection will take, before its first cell: a few short trainings, and arithmetic.

Of each kind of configuration (layers, image size) one is trained for a few epochs on a small part of the largest task.
Its seconds per image are then carried over to whole cells. Not a promise: other processes of the machine, slow disks
and configurations that diverge early are not known to it.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.expected import ExpectedSeconds, rough_cost
from hyperstar_tune.finetune.loop import FineTune
from hyperstar_tune.finetune.settings import VIEWS, FineTuneSettings
from hyperstar_tune.finetune.wanted import WantedCell, pending_cells, wanted_cells
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables.collection import Collection, read_cells
from hyperstar_tune.tasks.sources import Subset
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["CollectionEstimate", "estimate_collection"]

_PART = {"train": 96, "val": 64}  # images of the small part, of which each class has at least one
_MOST_CLASSES = 32


@dataclass(frozen=True)
class CollectionEstimate:
    """What a call of ``collect`` would have to do."""

    total: int  # cells asked for
    left: int  # of them not measured yet
    seconds: float  # of one process for those that are left
    workers: float  # processes that train side by side

    @property
    def hours(self) -> float:
        """Hours of the clock."""
        return self.seconds / self.workers / 3600

    def __str__(self) -> str:
        return (
            f"{self.left} of {self.total} cells left: about {self.hours:.1f} h with {self.workers:g} at a time "
            f"({self.seconds / 3600:.1f} h one after the other)"
        )


def estimate_collection(
    tasks: Sequence[str | Path | ImageTask],
    space: SearchSpace | str,
    out_dir: str | Path,
    settings: FineTuneSettings | None = None,
    *,
    seeds: Sequence[int] = (0,),
    workers: int | None = None,
    gpus_per_cell: float = 0.0,
    progress: Callable[[str], None] = print,
    **fields: Any,
) -> CollectionEstimate:
    """Estimates how long ``collect`` would take with the same arguments, and leaves ``out_dir`` as it is.

    It trains in this process, some seconds for each kind of configuration. Cells that a collection in ``out_dir`` has
    already count more than this probe.

    Raises:
        MetaDatasetError, SpaceError, TaskError, ModelError: As ``collect``.
    """
    wanted = wanted_cells(tasks, space, FineTuneSettings.of(settings, fields), seeds=seeds)
    there = Path(out_dir)
    if (there / "collection.json").exists() and (found := wanted.collection.differences(Collection.read(there))):
        progress(f"collect would not go on with {out_dir}, as it differs in {'; '.join(found)}; use another folder")
    finished = {task.name: read_cells(there, task.name) for task in wanted.tasks}
    left = pending_cells(wanted.cells, finished)
    expected = ExpectedSeconds(wanted.tasks, wanted.settings.max_epochs or 1)
    side_by_side = _side_by_side(workers, gpus_per_cell)
    for name, cells in finished.items():
        expected.learn(name, cells.values())
    if left:
        largest = max(wanted.tasks, key=lambda task: task.n_train)
        kinds = _kinds(left)
        good = [cell for cells in finished.values() for cell in cells.values() if cell["error"] is None]
        measured = {rough_cost(cell["config"]) for cell in good}
        for config, sharing in kinds:
            if rough_cost(config) in measured:
                continue
            seconds = probe_cell(largest, config, wanted.settings, side_by_side / sharing)
            expected.learn(largest.name, [{"config": config, "seconds": seconds, "error": None}])
            progress(f"{config.get('layers', 'a configuration')}: about {seconds:.0f} s a cell on {largest.name}")
    total = sum(expected.of(task, config) or 0.0 for task, config, _ in left)
    return CollectionEstimate(len(wanted.cells), len(left), total, side_by_side)


def probe_cell(task: ImageTask, config: Config, settings: FineTuneSettings, alone: float = 1.0) -> float:
    """Expected seconds of a cell, from two short trainings on a part of a task.

    Args:
        task: The task of the cell.
        config: Its configuration.
        settings: With ``max_epochs`` and ``evaluate_at``.
        alone: Share of the cells of this kind that find nothing in the cache of their process, in [0, 1].
    """
    part = _part(task)
    shares = {split: len(task.labels(split)) / len(part.labels(split)) for split in _PART}
    limit = int(settings.memory_limit / shares["train"])  # what does not fit for the task does not fit here
    short = replace(settings, memory_limit=limit, evaluate_at=(1,))
    epochs, evaluations = settings.max_epochs or 1, len(settings.evaluate_at or (1,))
    clock = time.process_time if settings.torch_device().type == "cpu" else time.perf_counter  # as for cells
    cache, seconds = TensorCache(), []
    with _one_thread():
        for _ in range(2):  # the second finds decoded images and kept features
            run = FineTune(part, config, short, cache=cache, clock=clock)
            start = clock()
            run.evaluate()
            first = clock() - start
            start = clock()
            run.evaluate()
            again = clock() - start
            trained = [run.train_epoch()["epoch_seconds"] for _ in range(min(epochs, VIEWS + 1))]
            run.close()
            trained[0] -= again  # the first epoch evaluates
            learning = sum(trained) + (epochs - len(trained)) * trained[-1]
            seconds.append(shares["train"] * learning + shares["val"] * (first + (evaluations - 1) * again))
    cold, warm = seconds
    return max(0.0, warm + (cold - warm) * min(1.0, alone))


def _kinds(cells: Sequence[WantedCell]) -> list[tuple[Config, int]]:
    """A configuration of each kind, and how many of the kind one task has: they share kept features."""
    kinds: dict[float, dict[str, Config]] = {}
    for _, config, _ in cells:
        kinds.setdefault(rough_cost(config), {})[config_key(config)] = config
    return [(next(iter(configs.values())), len(configs)) for configs in kinds.values()]


def _part(task: ImageTask) -> ImageTask:
    """A few images of a few classes of a task."""
    classes = np.arange(len(task.classes))[:_MOST_CLASSES]
    chosen = {}
    for split, n in _PART.items():
        each = max(2, math.ceil(n / len(classes)))
        chosen[split] = np.concatenate([np.flatnonzero(task.labels(split) == label)[:each] for label in classes])
    return ImageTask(
        task.name,
        [task.classes[label] for label in classes],
        {split: Subset(task.sources[split], chosen[split]) for split in _PART},
        {split: task.labels(split)[chosen[split]] for split in _PART},
        task.location,
        value_range=task.value_range,
    )


def _side_by_side(workers: int | None, gpus_per_cell: float) -> float:
    """Cells that train at a time: on the Ray that is connected, else on this machine."""
    if ray.is_initialized():
        has = ray.cluster_resources()
        cpus, gpus = has.get("CPU", 1), has.get("GPU", 0)
    else:
        cpus, gpus = workers or os.cpu_count() or 1, torch.cuda.device_count()
    return max(1, min(cpus, gpus // gpus_per_cell) if gpus_per_cell else cpus)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Trains as a cell does, which has one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
