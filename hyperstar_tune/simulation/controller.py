"""A stand-in for Ray's TuneController on a virtual clock: same calls in the same order, no processes.

It keeps what ``ray/tune/execution/tune_controller.py`` (2.60) does between two events: one pending trial is queued
ahead, the scheduler's choice goes first, then pending trials in order of arrival.
"""

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from hyperstar_tune.simulation.curves import TaskCurves

__all__ = ["METRIC", "MODE", "Fault", "ReplayTrial", "VirtualController"]

METRIC, MODE = "val_accuracy", "max"  # of every replay
PENDING, RUNNING, PAUSED, TERMINATED, ERROR = "PENDING", "RUNNING", "PAUSED", "TERMINATED", "ERROR"  # Ray's Trial


Fault = Callable[["VirtualController", "ReplayTrial"], None]


class ReplayTrial:
    """What searchers and schedulers read of a Ray trial."""

    __slots__ = (
        "checkpoint",
        "config",
        "epoch",
        "is_saving",
        "last_result",
        "row",
        "status",
        "stops",
        "top",
        "trial_id",
        "until",
    )

    def __init__(self, trial_id: str, config: dict[str, Any], row: int) -> None:
        self.trial_id = trial_id
        self.config = config
        self.row = row
        self.status = PENDING
        self.is_saving = False
        self.last_result: dict[str, Any] = {}
        self.epoch = 0  # trained
        self.top = 0  # most epochs it ever had; below it, epochs are redone
        self.checkpoint = 0  # epoch from which it would go on after a fault
        self.until = 0  # epoch at which it reports next
        self.stops: list[int] = []

    def set_status(self, status: str) -> None:
        """As Ray's."""
        self.status = status

    def is_finished(self) -> bool:
        """As Ray's."""
        return self.status in (ERROR, TERMINATED)

    def __repr__(self) -> str:
        return self.trial_id


class _SearchAlgorithm:
    """What schedulers see of Ray's SearchGenerator."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.metric = searcher.metric
        self._finished = False

    def set_finished(self) -> None:
        self._finished = True

    def is_finished(self) -> bool:
        return self._finished


class VirtualController:
    """Drives one searcher and one scheduler over recorded curves.

    Args:
        curves: Of the task.
        searcher: With its search properties set.
        scheduler: With its search properties set.
        n_workers: Trials that run side by side.
        epoch_budget: Ends the run at exactly so many epochs, whatever the scheduler wants; None: the scheduler ends it.
        next_report: ``(trial) -> epoch`` of a trial's next report that can matter; None: it reports every epoch.
        faults: What happens instead of the n-th report, counted from 1.
        n_queued: Trials asked for ahead: 1 with any searcher, as Ray does, 200 with Ray's own variant generator.
    """

    def __init__(
        self,
        curves: TaskCurves,
        searcher: Searcher,
        scheduler: TrialScheduler,
        n_workers: int = 1,
        epoch_budget: int | None = None,
        next_report: Callable[[ReplayTrial], int] | None = None,
        faults: "Mapping[int, Fault] | None" = None,
        n_queued: int = 1,
    ) -> None:
        self.curves = curves
        self.scheduler: Any = scheduler  # Ray's hints ask for its own controller and trials
        self.n_workers = n_workers
        self._n_queued = n_queued
        self.search_alg = _SearchAlgorithm(searcher)
        self.now = 0.0
        self.searcher_s = 0.0
        self.epochs = 0
        self.redone_epochs = 0
        self.n_results = 0
        self.segments: list[tuple[int, int, int, float]] = []
        self.faults = faults or {}
        self._left = epoch_budget
        self._next_report = next_report
        self._trials: list[ReplayTrial] = []
        self._live: dict[ReplayTrial, None] = {}
        self._pending: dict[ReplayTrial, None] = {}
        self._staged: deque[ReplayTrial] = deque()
        self._events: list[tuple[float, int, ReplayTrial, float]] = []
        self._n_events = 0
        self._results = curves.results
        self._ends = curves.end_seconds.tolist()  # plain floats: faster to index than an array

    # -- what searchers and schedulers may call, as on Ray's TuneController --------------------------------------------

    def get_trials(self) -> list[ReplayTrial]:
        """All trials."""
        return self._trials

    def get_live_trials(self) -> set[ReplayTrial]:
        """Trials that have not been stopped."""
        return set(self._live)

    def stop_trial(self, trial: ReplayTrial) -> None:
        """Ends a trial and tells scheduler and searcher, as ``TuneController.stop_trial``."""
        if trial.status in (ERROR, TERMINATED):
            return
        if trial.status == RUNNING:
            self.scheduler.on_trial_complete(self, trial, trial.last_result)
            self._complete(trial.trial_id, trial.last_result)
        else:
            self.scheduler.on_trial_remove(self, trial)
            self._complete(trial.trial_id, None)
        self._set_trial_status(trial, TERMINATED)
        self._live.pop(trial, None)

    def pause_trial(self, trial: ReplayTrial, should_checkpoint: bool = True) -> None:
        """Pauses a running trial."""
        if trial.status == RUNNING:
            trial.checkpoint = trial.epoch
            trial.stops.append(trial.epoch)
            self._set_trial_status(trial, PAUSED)

    def _set_trial_status(self, trial: ReplayTrial, status: str) -> None:
        if status == PENDING:
            self._pending[trial] = None
        elif trial.status == PENDING:
            self._pending.pop(trial, None)
            if trial in self._staged:
                self._staged.remove(trial)
        trial.status = status

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Runs until nothing happens any more."""
        while True:
            self._fill()
            if not self._events:
                break
            self.now, _, trial, start = heapq.heappop(self._events)
            self.n_results += 1
            fault = self.faults.get(self.n_results)
            if fault is None:
                self._account(trial, start)
                self._report(trial)
            else:
                fault(self, trial)
        if self._left == 0:
            self.search_alg.set_finished()
            for trial in list(self._live):
                self.stop_trial(trial)

    @property
    def stalled(self) -> bool:
        """Whether trials are left that nobody will ever run, or the searcher never ends."""
        return not self.search_alg.is_finished() or any(not trial.is_finished() for trial in self._trials)

    def _fill(self) -> None:
        """What Ray does between two events: ask for one trial ahead, hear the scheduler, start what can be started."""
        while self._left != 0:
            while len(self._pending) < self._n_queued and not self.search_alg.is_finished():
                if not self._ask():
                    break
            chosen = self.scheduler.choose_trial_to_run(self)
            if chosen is not None and chosen not in self._staged and chosen.status != RUNNING:
                if chosen.status != PENDING:
                    self._set_trial_status(chosen, PENDING)
                self._staged.append(chosen)
            if not self._staged and self._pending:
                self._staged.append(next(iter(self._pending)))
            if not self._staged or len(self._events) == self.n_workers:
                return
            trial = chosen if chosen in self._staged else self._staged[0]
            self._set_trial_status(trial, RUNNING)
            self._train(trial)

    def _ask(self) -> bool:
        trial_id = f"{len(self._trials):05d}"
        start = perf_counter()
        config = self.search_alg.searcher.suggest(trial_id)
        self.searcher_s += perf_counter() - start
        if config is None:
            return False
        if config == Searcher.FINISHED:
            self.search_alg.set_finished()
            return False
        self._add(ReplayTrial(trial_id, config, self.curves.row(config)))
        return True

    def _add(self, trial: ReplayTrial) -> None:
        self._trials.append(trial)
        if not trial.is_finished():
            self._live[trial] = None
        self.scheduler.on_trial_add(self, trial)
        if trial.status == PENDING:
            self._pending[trial] = None

    def _train(self, trial: ReplayTrial) -> None:
        """Puts the trial's next report on the clock."""
        epoch = trial.epoch
        until = epoch + 1 if self._next_report is None else self._next_report(trial)
        until = min(max(until, epoch + 1), self.curves.max_epochs)
        if self._left is not None:
            until = min(until, epoch + self._left)
            self._left -= until - epoch
            if until == epoch:
                return  # what is left of the budget is reserved by others
        trial.until = until
        ends = self._ends[trial.row]
        self._n_events += 1
        heapq.heappush(self._events, (self.now + ends[until] - ends[epoch], self._n_events, trial, self.now))

    def _account(self, trial: ReplayTrial, start: float) -> None:
        """Counts the epochs that a trial has just trained, apart from those it had trained before."""
        before, until = trial.epoch, trial.until
        trial.epoch = until
        if before < trial.top:
            self.redone_epochs += min(until, trial.top) - before
        first = max(before, trial.top)
        if until > first:
            ends = self._ends[trial.row]
            self.segments.append((trial.row, first, until, start + ends[first] - ends[before]))
            self.epochs += until - first
            trial.top = until

    def _report(self, trial: ReplayTrial) -> None:
        result = dict(self._results[trial.row][trial.epoch - 1])
        result["trial_id"] = trial.trial_id
        result["iterations_since_restore"] = trial.epoch - trial.checkpoint
        decision = self.scheduler.on_trial_result(self, trial, result)
        if decision == TrialScheduler.CONTINUE and trial.epoch >= self.curves.max_epochs:
            decision = TrialScheduler.STOP  # nothing is left to train
        if decision != TrialScheduler.STOP:
            start = perf_counter()
            self.search_alg.searcher.on_trial_result(trial.trial_id, result)
            self.searcher_s += perf_counter() - start
        trial.last_result = result
        if decision == TrialScheduler.CONTINUE:
            self._train(trial)
        elif decision == TrialScheduler.PAUSE:
            self.pause_trial(trial)
        elif decision == TrialScheduler.STOP:
            trial.stops.append(trial.epoch)
            self.stop_trial(trial)

    def _complete(self, trial_id: str, result: dict[str, Any] | None, error: bool = False) -> None:
        start = perf_counter()
        self.search_alg.searcher.on_trial_complete(trial_id=trial_id, result=result, error=error)
        self.searcher_s += perf_counter() - start
