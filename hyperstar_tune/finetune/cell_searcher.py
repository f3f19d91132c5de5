"""The driver's side of a collection: a searcher of Ray Tune that hands out cells, and a report of its progress.

A cell is one configuration on one task with one seed. The searcher ranks nothing. When Tune asks for a trial it gives
the next pending cell, and what a worker returns goes straight into the journal. The journal is the only state, so a run
that is killed loses nothing that was measured.
"""

import json
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from hyperstar_tune.cluster import Waiting
from hyperstar_tune.finetune.cells import failed_cell
from hyperstar_tune.finetune.expected import ExpectedSeconds
from hyperstar_tune.finetune.wanted import WantedCell
from hyperstar_tune.space import config_key
from hyperstar_tune.tables.journal import Journal

__all__ = ["CellScheduler", "CellSearcher", "Progress"]

_TRIES = 2
_PROGRESS_SECONDS = 60.0


class CellSearcher(Searcher):
    """Hands out pending cells in order, and a failed one once more at the end. It journals what comes back."""

    def __init__(self, pending: Iterable[WantedCell], journal: Journal, deadline: float, report: "Progress") -> None:
        """No cell begins after ``deadline``, a value of ``time.monotonic()``."""
        super().__init__(metric="done", mode="max")
        self._journal, self._deadline, self._report = journal, deadline, report
        self._pending = deque((*cell, 1) for cell in pending)
        self._running: dict[str, tuple[str, dict[str, Any], int, int]] = {}

    @property
    def left(self) -> int:
        """Number of cells of this run that are not measured yet."""
        return len(self._pending) + len(self._running)

    def suggest(self, trial_id: str) -> Any:
        """The next cell as the configuration of a trial; None if Tune must wait, FINISHED if nothing is left."""
        if time.monotonic() > self._deadline:
            return Searcher.FINISHED
        if not self._pending:
            return None if self._running else Searcher.FINISHED  # a failed cell may come back
        self._running[trial_id] = self._pending.popleft()
        task, config, seed, _ = self._running[trial_id]
        return {"task": task, "config": dict(config), "seed": seed}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Writes the cell into the journal. A failed cell is tried once more; an interrupted one does not count."""
        if trial_id not in self._running:
            return
        task, config, seed, tries = self._running.pop(trial_id)
        text = (result or {}).get("cell")
        if remark := (result or {}).get("remark"):
            self._report.remark(remark)
        if text is None and not error:  # the run was interrupted
            self._pending.appendleft((task, config, seed, tries))
            return
        cell = json.loads(text) if text is not None else failed_cell(config, seed, "the worker process died")
        if cell["error"] is not None and tries < _TRIES:
            self._pending.append((task, config, seed, tries + 1))
            return
        self._journal.append(task, cell)
        self._report.finished(task, cell)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""


class CellScheduler(FIFOScheduler):
    """Ends a run at its deadline even if no cell can begin, and says now and then that none can.

    Args:
        deadline: A value of ``time.monotonic()``. Cells that train then go on to their end; no other begins.
        write: Called with a line while no cell can begin.
    """

    def __init__(self, deadline: float, write: Callable[[str], None]) -> None:
        super().__init__()
        self._deadline, self._waiting = deadline, Waiting(write)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The next pending trial; Tune asks at every step."""
        trials = tune_controller.get_live_trials()
        if time.monotonic() > self._deadline:
            for trial in [trial for trial in trials if trial.status == Trial.PENDING]:
                tune_controller.stop_trial(trial)
        else:
            self._waiting.look(trials)
        return super().choose_trial_to_run(tune_controller)


class Progress:
    """Counts cells, and reports now and then how many are done and how long the others may take.

    Args:
        total: Number of cells of the collection.
        wanted: Those that are to be measured now.
        write: Called with each line.
        expected: What cells may take; it learns from those that finish.
    """

    def __init__(
        self, total: int, wanted: Iterable[WantedCell], write: Callable[[str], None], expected: ExpectedSeconds
    ) -> None:
        self._cells = Counter((task, config_key(config)) for task, config, _ in wanted)  # those that are left
        self._of_task: Counter[str] = Counter()
        for (task, _), count in self._cells.items():
            self._of_task[task] += count
        self._total, self._before, self._write = total, total - self._cells.total(), write
        self._expected = expected
        self._seconds = 0.0  # that the cells of this call took
        self._began = self._said = time.monotonic()
        self._remarks: set[str] = set()
        self.measured = 0

    def finished(self, task: str, cell: dict[str, Any]) -> None:
        """Counts a cell, and reports it if it failed, if it was the last of its task, or about once a minute."""
        self.measured += 1
        self._of_task[task] -= 1
        self._cells[task, config_key(cell["config"])] -= 1
        self._seconds += cell["seconds"]
        self._expected.learn(task, [cell])
        if cell["error"] is not None:
            self.line(f"{task} {cell['config']} seed {cell['seed']} failed: {cell['error']}")
        if not self._of_task[task]:
            self.line(f"{task} finished")
        elif time.monotonic() - self._said > _PROGRESS_SECONDS:
            self.line(task)

    def remark(self, text: str) -> None:
        """Reports something once."""
        if text not in self._remarks:
            self._remarks.add(text)
            self._write(text)

    def line(self, what: str) -> None:
        """Reports how far the collection is."""
        self._said = time.monotonic()
        elapsed = self._said - self._began
        left = self._hours_left(elapsed)
        ahead = "time left is not known yet" if math.isnan(left) else f"about {left:.1f} h left"
        self._write(
            f"{time.strftime('%H:%M:%S')}  {self._before + self.measured}/{self._total} cells, {elapsed / 3600:.2f} h, "
            f"{ahead}  {what}"
        )

    def _hours_left(self, elapsed: float) -> float:
        """Hours of the clock for the cells that are left, if they run side by side as those of this call did."""
        if not self._seconds:
            return math.nan
        seconds = sum(
            count * (self._expected.of(task, json.loads(config)) or 0.0)
            for (task, config), count in self._cells.items()
            if count > 0
        )
        return seconds * elapsed / self._seconds / 3600
