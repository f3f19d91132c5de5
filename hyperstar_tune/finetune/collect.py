"""Measures learning curves of tasks x configurations x seeds with Ray Tune; can be stopped and continued at any time.

A cell is one configuration on one task with one seed, trained to ``max_epochs``. Each cell is one trial of a single
step on one core. What is finished is on disk at once and never runs again; what failed is tried again by the next call.
A worker keeps the decoded images and the features of frozen layers of the tasks that it met last, so an order that
stays with a task costs least.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from hyperstar_tune.cluster import check_request, joined_quietly
from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.finetune.cell_searcher import CellScheduler, CellSearcher, Progress
from hyperstar_tune.finetune.cells import Cell
from hyperstar_tune.finetune.expected import ExpectedSeconds
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.finetune.wanted import pending_cells, wanted_cells
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.journal import Journal
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["CollectionSummary", "collect"]

_RUN_CELLS = 500  # cells of one run of Tune, which is slow with thousands of trials
# No result files and no panel for each run of Tune: the journal has all.
_QUIET = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}


@dataclass(frozen=True)
class CollectionSummary:
    """The result of a call of ``collect``: what it found and what it did."""

    total: int  # cells asked for
    before: int  # finished before the call
    measured: int  # finished by the call
    failed: int  # cells with an error, among all finished ones
    seconds: float
    interrupted: bool = False  # ended by the user, as with Ctrl-C

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
    accept_changed_data: bool = False,
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
        max_hours: No cell begins later than this; those that train then go on to their end.
        workers: Number of processes; None: as many as Ray has cores. It is ignored on a Ray cluster, which RAY_ADDRESS
            names or ``ray.init`` has connected to.
        gpus_per_cell: Share of a GPU that a cell reserves.
        nice: Niceness of the processes that train; None: that of Ray's workers.
        families: Family by task name (or by the name of a sub-task's parent); others keep what the collection says of
            them, or are families of their own.
        licences: Licence by task name or parent's name, for the table; others keep theirs.
        accept_changed_data: Whether to go on though labels or images have changed since the collection was begun.
        progress: Called with a line now and then.
        **fields: Fields of ``FineTuneSettings`` by name; they override ``settings``.

    Returns:
        Numbers of cells.

    Raises:
        MetaDatasetError: If ``out_dir`` holds a collection made with other settings or data (the message names what
            differs), or the order, the seeds or the number of workers make no sense.
        SpaceError: If the space is not finite or has a parameter that fine-tuning does not know.
        TaskError: If the images of a task cannot be read.
        ModelError: If the network cannot be had, or a setting makes no sense.
        ClusterError: If the named cluster cannot be joined, or no node can ever train a cell.
    """
    if workers is not None and workers < 1:
        raise MetaDatasetError(f"a collection needs at least one worker, but got {workers}")
    settings = FineTuneSettings.of(settings, fields)
    wanted = wanted_cells(tasks, space, settings, seeds=seeds, order=order, families=families, licences=licences)
    settings = wanted.settings
    with closing(Journal(out_dir, wanted.collection, accept_changed_data)) as journal:
        began = time.monotonic()
        deadline = math.inf if max_hours is None else began + 3600 * max_hours
        finished = {task.name: journal.finished(task.name) for task in wanted.tasks}
        expected = ExpectedSeconds(wanted.tasks, settings.max_epochs or 1)
        for name, cells in finished.items():
            expected.learn(name, cells.values())
        pending = pending_cells(wanted.cells, finished)
        report = Progress(len(wanted.cells), pending, progress, expected)
        interrupted = False
        with _ray(workers, nice) if pending else nullcontext():
            if pending:
                check_request([_request(gpus_per_cell)])
            for first in range(0, len(pending), _RUN_CELLS):
                part = pending[first : first + _RUN_CELLS]
                searcher = CellSearcher(part, journal, deadline, report)
                names = {name for name, _, _ in part}
                needed = {task.name: task for task in wanted.tasks if task.name in names}
                cell = tune.with_parameters(Cell, tasks=needed, settings=settings, nice=nice)
                _measure(cell, searcher, CellScheduler(deadline, progress), gpus_per_cell)
                if searcher.left:
                    left = f"{len(pending) - report.measured} cells left"
                    interrupted = time.monotonic() < deadline
                    why = f"interrupted; {out_dir} has all that was measured, and the same call goes on with it: "
                    report.line(why + left if interrupted else left)
                    break
        failed = sum(c["error"] is not None for task in wanted.tasks for c in journal.finished(task.name).values())
    before, seconds = len(wanted.cells) - len(pending), time.monotonic() - began
    return CollectionSummary(len(wanted.cells), before, report.measured, failed, seconds, interrupted)


def _request(gpus: float) -> dict[str, float]:
    return {"CPU": 1, **({"GPU": gpus} if gpus else {})}


def _measure(cell: type[Cell], searcher: CellSearcher, scheduler: CellScheduler, gpus: float) -> None:
    with tempfile.TemporaryDirectory(prefix="hyperstar-collect-", ignore_cleanup_errors=True) as scratch:
        tune.run(
            tune.with_resources(cell, _request(gpus)),
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            storage_path=scratch,
            raise_on_failed_trial=False,
            verbose=0,
        )


@contextmanager
def _ray(workers: int | None, nice: int | None) -> Iterator[None]:
    """Joins the Ray that is named or starts one of our own, and keeps it quiet."""
    saved = {name: os.environ[name] for name in _QUIET if name in os.environ}
    os.environ.update(_QUIET)
    try:
        with joined_quietly(num_cpus=workers, nice=nice):
            yield
    finally:
        for name in _QUIET:
            del os.environ[name]
        os.environ.update(saved)
