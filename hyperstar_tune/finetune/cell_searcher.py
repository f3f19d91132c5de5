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

from ray.tune.search import Searcher

from hyperstar_tune.finetune.cells import failed_cell
from hyperstar_tune.tables.journal import Journal

__all__ = ["CellSearcher", "Progress", "WantedCell"]

WantedCell = tuple[str, dict[str, Any], int]  # task, configuration, seed
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


class Progress:
    """Counts cells, and reports now and then how many are done and how long the others may take."""

    def __init__(self, total: int, wanted: Iterable[WantedCell], write: Callable[[str], None]) -> None:
        self._left = Counter(task for task, _, _ in wanted)
        self._total, self._before, self._write = total, total - self._left.total(), write
        self._began = self._said = time.monotonic()
        self.measured = 0

    def finished(self, task: str, cell: dict[str, Any]) -> None:
        """Counts a cell, and reports it if it failed, if it was the last of its task, or about once a minute."""
        self.measured += 1
        self._left[task] -= 1
        if cell["error"] is not None:
            self.line(f"{task} {cell['config']} seed {cell['seed']} failed: {cell['error']}")
        if not self._left[task]:
            self.line(f"{task} finished")
        elif time.monotonic() - self._said > _PROGRESS_SECONDS:
            self.line(task)

    def line(self, what: str) -> None:
        """Reports how far the collection is."""
        self._said = time.monotonic()
        elapsed = self._said - self._began
        done = self._before + self.measured
        left = (self._total - done) * elapsed / self.measured if self.measured else math.nan
        self._write(
            f"{time.strftime('%H:%M:%S')}  {done}/{self._total} cells, {elapsed / 3600:.2f} h, "
            f"about {left / 3600:.1f} h left  {what}"
        )
