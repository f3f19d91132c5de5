"""Measures learning curves of tasks x configurations x seeds with Ray Tune; can be stopped and continued at any time.

A cell is one configuration on one task with one seed, trained to ``max_epochs``. Each cell is one trial of a single
step on one core. What is finished is on disk at once and never runs again; what failed is tried again by the next call.
A worker keeps the decoded images and the features of frozen layers of the tasks that it met last, so an order that
stays with a task costs least.
"""

import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.finetune.cell_searcher import CellSearcher, Progress, WantedCell
from hyperstar_tune.finetune.cells import Cell
from hyperstar_tune.finetune.knobs import check_config
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables.collection import Collection
from hyperstar_tune.tables.journal import Journal
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["ORDERS", "CollectionSummary", "collect"]

ORDERS = ("by-task", "cheap-first", "round-robin")
_MAX_EPOCHS = 32
_PROTOCOL_EPOCHS = {  # measured epochs, by version of docs/protocol.md
    1: (1, 2, 3, 4, 6, 8, 9, 12, 16, 20, 24, 27, 32),  # every rung of eta 2, 3 and 4 up to R = 32
    2: (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32),  # of eta 2 and 4
}
_RUN_CELLS = 500  # cells of one run of Tune, which is slow with thousands of trials
# No result files and no panel for each run of Tune: the journal has all.
_QUIET = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
_NOT_YET = {"error": "not measured"}
_LAYERS_COST = {"head": 1, "last_stage": 10, "all": 30}  # EfficientNet-Lite0 on a CPU, seconds at 64 px


@dataclass(frozen=True)
class CollectionSummary:
    """The result of a call of ``collect``: what it found and what it did."""

    total: int  # cells asked for
    before: int  # finished before the call
    measured: int  # finished by the call
    failed: int  # cells with an error, among all finished ones
    seconds: float

    @property
    def left(self) -> int:
        """Number of cells that are still to be measured."""
        return self.total - self.before - self.measured


def collect(
    tasks: Sequence[str | Path | ImageTask],
    space: SearchSpace | str,
    out_dir: str | Path,
    settings: FineTuneSettings | None = None,
    *,
    seeds: Sequence[int] = (0,),
    order: str = "by-task",
    max_hours: float | None = None,
    workers: int | None = None,
    gpus_per_cell: float = 0.0,
    nice: int | None = None,
    families: Mapping[str, str] | None = None,
    licences: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = print,
    **fields: Any,
) -> CollectionSummary:
    """Measures the learning curve of every configuration of a finite space on every task.

    Args:
        tasks: Tasks, in the order in which they are measured unless ``order`` says otherwise.
        space: A finite space; its parameters are those of ``finetune.KNOBS``.
        out_dir: Folder of the collection, which is begun or continued.
        settings: As in ``finetune.trainable``. Where ``max_epochs`` is open, a cell has 32 epochs; where
            ``evaluate_at`` is open, it is measured at the epochs of docs/protocol.md; its last epoch always is.
        seeds: Random seeds of the training; cells of the first come before those of the second, task by task or
            altogether.
        order: ``"by-task"``: one task after the other, the most expensive configurations first, so that the last core
            is not left waiting. ``"cheap-first"``: small tasks first, and of each the heads, then more layers.
            ``"round-robin"``: each configuration on all tasks before the next, in a random but fixed order, so that
            whatever was reached is a balanced table; workers whose memory does not hold all tasks decode again.
        max_hours: No cell begins later than this.
        workers: Number of processes; None: as many as Ray has cores. It is ignored if a Ray cluster is running: one
            that ``ray.init`` has connected to, that RAY_ADDRESS names, or that ``ray start`` began on this machine.
        gpus_per_cell: Share of a GPU that a cell reserves.
        nice: Niceness of the processes that train.
        families: Family by task name (or by the name of a sub-task's parent); others keep what the collection says of
            them, or are families of their own.
        licences: Licence by task name or parent's name, for the table; others keep theirs.
        progress: Called with a line now and then.
        **fields: Fields of ``FineTuneSettings`` by name; they override ``settings``.

    Returns:
        Numbers of cells.

    Raises:
        MetaDatasetError: If ``out_dir`` holds a collection made with other settings (the message names what differs),
            or the order, the seeds or the number of workers make no sense.
        SpaceError: If the space is not finite or has a parameter that fine-tuning does not know.
        TaskError: If the images of a task cannot be read.
        ModelError: If the network cannot be had, or a setting makes no sense.
    """
    space = SearchSpace.from_name(space) if isinstance(space, str) else space
    configs = space.grid()
    for config in configs:
        check_config(config)
    if order not in ORDERS:
        raise MetaDatasetError(f"an order is one of {', '.join(ORDERS)}, but got {order!r}")
    if workers is not None and workers < 1:
        raise MetaDatasetError(f"a collection needs at least one worker, but got {workers}")
    if not tasks or not seeds:
        raise MetaDatasetError(f"a collection needs tasks and seeds, but got {len(tasks)} tasks, {len(seeds)} seeds")
    settings = _whole(FineTuneSettings.of(settings, fields))
    settings.check_network()
    images = [ImageTask.of(task) for task in tasks]
    network = {**settings.normalization(), "kwargs": settings.model_kwargs, "epochs": settings.evaluate_at}
    rows = [_row(task, families or {}, licences or {}) for task in images]
    collection = Collection(settings.fingerprint(space), space, json.loads(json.dumps(network)), rows)
    with closing(Journal(out_dir, collection)) as journal:
        began = time.monotonic()
        deadline = math.inf if max_hours is None else began + 3600 * max_hours
        wanted = _in_order(images, configs, [int(seed) for seed in seeds], order, settings.max_epochs or _MAX_EPOCHS)
        finished = {task.name: journal.finished(task.name) for task in images}
        pending = [
            (task, config, seed)
            for task, config, seed in wanted
            if finished[task].get((config_key(config), seed), _NOT_YET)["error"] is not None
        ]
        report = Progress(len(wanted), pending, progress)
        with _ray(workers) if pending else nullcontext():
            for first in range(0, len(pending), _RUN_CELLS):
                cells = pending[first : first + _RUN_CELLS]
                searcher = CellSearcher(cells, journal, deadline, report)
                names = {name for name, _, _ in cells}
                needed = {task.name: task for task in images if task.name in names}
                _measure(needed, settings, searcher, gpus_per_cell, nice)
                if searcher.left:  # out of time, or interrupted
                    report.line(f"{len(pending) - report.measured} cells left")
                    break
        failed = sum(c["error"] is not None for task in images for c in journal.finished(task.name).values())
    before = len(wanted) - len(pending)
    return CollectionSummary(len(wanted), before, report.measured, failed, time.monotonic() - began)


def _whole(settings: FineTuneSettings) -> FineTuneSettings:
    """Settings with the epochs of a cell and those at which it is measured."""
    last = settings.max_epochs or _MAX_EPOCHS
    whole = replace(settings, max_epochs=last)
    asked = whole.evaluate_at or _PROTOCOL_EPOCHS[whole.protocol]
    return replace(whole, evaluate_at=(*(e for e in asked if e < last), last))


def _in_order(
    tasks: Sequence[ImageTask], configs: Sequence[Config], seeds: Sequence[int], order: str, max_epochs: int
) -> list[WantedCell]:
    """All cells in the order that ``collect`` describes."""
    dear_first = sorted(configs, key=_cost, reverse=True)
    if order == "by-task":
        return [(task.name, config, seed) for task in tasks for seed in seeds for config in dear_first]
    if order == "cheap-first":
        small_first = sorted(tasks, key=lambda task: task.n_train * max_epochs + task.n_val)
        cheap_first = sorted(configs, key=_cost)
        return [(task.name, config, seed) for seed in seeds for task in small_first for config in cheap_first]
    shuffled = [configs[place] for place in np.random.default_rng(0).permutation(len(configs))]
    return [(task.name, config, seed) for seed in seeds for config in shuffled for task in tasks]


def _measure(
    tasks: dict[str, ImageTask], settings: FineTuneSettings, searcher: CellSearcher, gpus: float, nice: int | None
) -> None:
    cell = tune.with_parameters(Cell, tasks=tasks, settings=settings, nice=nice)
    resources: dict[str, float] = {"cpu": 1, **({"gpu": gpus} if gpus else {})}
    with tempfile.TemporaryDirectory(prefix="hyperstar-collect-", ignore_cleanup_errors=True) as scratch:
        tune.run(
            tune.with_resources(cell, resources),
            search_alg=searcher,
            num_samples=-1,
            reuse_actors=True,
            storage_path=scratch,
            raise_on_failed_trial=False,
            verbose=0,
        )


@contextmanager
def _ray(workers: int | None) -> Iterator[None]:
    """Starts a Ray of our own unless one is running, and keeps it quiet."""
    saved = {name: os.environ[name] for name in _QUIET if name in os.environ}
    os.environ.update(_QUIET)
    analysis = logging.getLogger("ray.tune.analysis.experiment_analysis")
    level = analysis.level
    analysis.setLevel(logging.ERROR)  # it misses the result files that are not written
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
        except ValueError:  # a cluster that is found (RAY_ADDRESS, or `ray start` on this machine) has its own number
            ray.init(log_to_driver=False)
    try:
        yield
    finally:
        if ours:
            ray.shutdown()
        analysis.setLevel(level)
        for name in _QUIET:
            del os.environ[name]
        os.environ.update(saved)


def _row(task: ImageTask, families: Mapping[str, str], licences: Mapping[str, str]) -> dict[str, Any]:
    own_family = "" if task.family == task.name.partition("@")[0] else task.family
    location = task.location if task.location.startswith("torchvision:") else Path(task.location).name
    return {
        "name": task.name,
        "family": families.get(task.name, families.get(task.family, own_family)),
        "location": location,  # never a path of this machine
        "classes": len(task.classes),
        "n_train": task.n_train,
        "n_val": task.n_val,
        "licence": licences.get(task.name, licences.get(task.family, "")),
        "image_hash": task.sample_hash(),
    }


def _cost(config: dict[str, Any]) -> float:
    """Rough cost of a configuration, only to order the configurations of one space."""
    full = check_config(config)
    return _LAYERS_COST[full["layers"]] * (full["image_size"] or 1)
