"""A stand-in for Ray's TuneController on a virtual clock: the same calls in the same order, without processes.

It keeps what ``ray/tune/execution/tune_controller.py`` (2.60) does between two events: one pending trial is queued
ahead, the scheduler's choice goes first, then pending trials in order of arrival.
"""

import heapq
import pickle
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from hyperstar_tune.simulation.trial import ERROR, PAUSED, PENDING, RUNNING, TERMINATED, Curves, ReplayTrial

__all__ = ["METRIC", "MODE", "Fault", "Saved", "VirtualController"]

METRIC, MODE = "val_accuracy", "max"  # metric and mode of every replay
_LOOKS = 1000  # looks in vain after which nothing will happen any more; Ray looks again every second

Fault = Callable[["VirtualController", "ReplayTrial"], None]


@dataclass
class Saved:
    """What is left of a run whose driver was killed."""

    searcher_state: Any
    trials: list[ReplayTrial]
    n_suggested: int
    is_finished: bool  # no trial will be suggested any more


class _SearchAlgorithm:
    """What controller and schedulers see of Ray's SearchGenerator."""

    def __init__(self, searcher: Searcher, num_samples: int | None) -> None:
        self.searcher = searcher
        self.n_suggested = 0
        self._finished = False
        self._num_samples = num_samples

    def set_finished(self) -> None:
        self._finished = True

    def is_finished(self) -> bool:
        return self._finished or self.n_suggested == self._num_samples


class VirtualController:
    """Drives one searcher and one scheduler over learning curves.

    Args:
        curves: Learning curves of the task.
        searcher: Searcher whose search properties are set.
        scheduler: Scheduler whose search properties are set.
        n_workers: Number of trials that run side by side.
        epoch_budget: Epochs after which the run ends; None: the scheduler ends it.
        next_report: Function of a trial that gives the epoch of its next report that can matter; None: every epoch.
        faults: What happens instead of the n-th report, counted from 1.
        n_queued: Trials asked for ahead, as Ray does.
        num_samples: Most trials of the run; None: as many as the searcher suggests.
        save_s: Seconds that saving takes before a trial is paused; None: it is paused at once.
    """

    def __init__(
        self,
        curves: Curves,
        searcher: Searcher,
        scheduler: TrialScheduler,
        *,
        n_workers: int = 1,
        epoch_budget: int | None = None,
        next_report: Callable[[ReplayTrial], int] | None = None,
        faults: Mapping[int, Fault] | None = None,
        n_queued: int = 1,
        num_samples: int | None = None,
        save_s: float | None = None,
    ) -> None:
        self.curves = curves
        self.scheduler: Any = scheduler  # Ray's hints ask for its own controller and trials
        self.n_workers = n_workers
        self.search_alg = _SearchAlgorithm(searcher, num_samples)
        self.faults = faults or {}
        self.now = 0.0  # seconds on the virtual clock
        self.searcher_s = 0.0  # measured inside the searcher
        self.epochs = 0
        self.redone_epochs = 0
        self.n_results = 0
        self.segments: list[tuple[int, int, int, float]] = []  # row, epoch before, epoch after, second of the start
        self._n_queued = n_queued
        self._save_s = save_s
        self._left = epoch_budget
        self._next_report = next_report
        self._trials: list[ReplayTrial] = []
        self._live: dict[ReplayTrial, None] = {}
        self._pending: dict[ReplayTrial, None] = {}
        self._staged: deque[ReplayTrial] = deque()
        self._events: list[tuple[float, int, ReplayTrial]] = []
        self._n_events = 0

    # -- what searchers and schedulers may call, as on Ray's TuneController --------------------------------------------

    def get_trials(self) -> list[ReplayTrial]:
        """All trials."""
        return self._trials

    def get_live_trials(self) -> set[ReplayTrial]:
        """Trials that have not been stopped."""
        return set(self._live)

    def stop_trial(self, trial: ReplayTrial) -> None:
        """Ends a trial and tells scheduler and searcher, as ``TuneController.stop_trial``."""
        if trial.is_finished():
            return
        if trial.status == RUNNING:
            self.scheduler.on_trial_complete(self, trial, trial.last_result)
            self._complete(trial, trial.last_result)
        else:
            self.scheduler.on_trial_remove(self, trial)
            self._complete(trial, None)
        self._end(trial, TERMINATED)

    def pause_trial(self, trial: ReplayTrial, should_checkpoint: bool = True) -> None:
        """Pauses a running trial, once it is saved."""
        if trial.status != RUNNING:
            return
        if self._save_s is None:
            self._pause(trial)
        else:
            trial.is_saving = True
            self._schedule(trial, self.now + self._save_s)

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
        while self.step():
            pass
        if self._left == 0:
            self.search_alg.set_finished()
            for trial in list(self._live):
                self.stop_trial(trial)

    def step(self) -> bool:
        """Starts the trials that can be started and plays one event; False if there is none."""
        for _ in range(_LOOKS):
            self._fill()
            if self._events:
                break
            if self._left == 0 or not self.stalled:
                return False
        else:
            return False
        self.now, _, trial = heapq.heappop(self._events)
        if trial.is_saving:
            trial.is_saving = False
            if trial.save_fails:
                trial.save_fails = False
                self.restart(trial)
            else:
                self._pause(trial)
            return True
        self.n_results += 1
        fault = self.faults.get(self.n_results)
        if fault is None:
            self.deliver(trial)
        else:
            fault(self, trial)
        return True

    @property
    def stalled(self) -> bool:
        """Whether trials are left that nobody will ever run, or the searcher never says that it has finished."""
        return not self.search_alg.is_finished() or any(not trial.is_finished() for trial in self._trials)

    def add(self, trial: ReplayTrial) -> None:
        """Takes a new trial, or one of a restored run."""
        self._trials.append(trial)
        if not trial.is_finished():
            self._live[trial] = None
        self.scheduler.on_trial_add(self, trial)
        if trial.status == PENDING:
            self._pending[trial] = None

    # -- what faults may call ------------------------------------------------------------------------------------------

    def deliver(self, trial: ReplayTrial, **changed: Any) -> None:
        """Delivers the report of a trial, with some values changed: ``done=True`` ends it."""
        self._account(trial)
        result = {**self.curves.result(trial.row, trial.epoch), "trial_id": trial.trial_id, **changed}
        result["iterations_since_restore"] = trial.epoch - trial.checkpoint
        if changed.get("done"):
            trial.last_result = result
            self.stop_trial(trial)
            return
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
            self.stop_trial(trial)

    def fail(self, trial: ReplayTrial) -> None:
        """Ends a trial that failed for good, and tells scheduler and searcher."""
        self.scheduler.on_trial_error(self, trial)
        self._complete(trial, None, error=True)
        self._end(trial, ERROR)

    def lose(self, trial: ReplayTrial) -> None:
        """Ends a trial and tells nobody."""
        self._end(trial, ERROR)

    def restart(self, trial: ReplayTrial) -> None:
        """Queues a failed trial again from its checkpoint, as ``TuneController._requeue_trial``."""
        trial.epoch = trial.checkpoint
        self._set_trial_status(trial, ERROR)
        self.scheduler.on_trial_error(self, trial)
        self._set_trial_status(trial, PENDING)
        self._trials.remove(trial)
        self._trials.append(trial)
        self.scheduler.on_trial_add(self, trial)

    def save(self) -> Saved:
        """A copy of everything that Ray would find again after a kill."""
        algorithm = self.search_alg
        saved = Saved(algorithm.searcher.get_state(), self._trials, algorithm.n_suggested, algorithm._finished)
        copy: Saved = pickle.loads(pickle.dumps(saved))  # noqa: S301  written by ourselves, a moment ago
        return copy

    def restore(self, saved: Saved, searcher: Searcher, scheduler: TrialScheduler) -> None:
        """Goes on from a saved state with a new searcher and scheduler, as ``TuneController.resume``."""
        searcher.set_state(saved.searcher_state)
        self.scheduler = scheduler
        self.search_alg.searcher = searcher
        self.search_alg.n_suggested, self.search_alg._finished = saved.n_suggested, saved.is_finished
        for container in (self._trials, self._live, self._pending, self._staged, self._events):
            container.clear()
        for trial in saved.trials:
            trial.epoch, trial.is_saving = trial.checkpoint, False
            if not trial.is_finished():
                trial.status = PENDING
            self.add(trial)

    # -- inside --------------------------------------------------------------------------------------------------------

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
        trial_id = f"{self.search_alg.n_suggested:05d}"
        start = perf_counter()
        config = self.search_alg.searcher.suggest(trial_id)
        self.searcher_s += perf_counter() - start
        if config is None:
            return False
        if config == Searcher.FINISHED:
            self.search_alg.set_finished()
            return False
        self.search_alg.n_suggested += 1
        self.add(ReplayTrial(trial_id, config, self.curves.row(config)))
        return True

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
        trial.until, trial.start_s = until, self.now
        ends = self.curves.ends(trial.row)
        self._schedule(trial, self.now + ends[until] - ends[epoch])

    def _schedule(self, trial: ReplayTrial, second: float) -> None:
        self._n_events += 1
        heapq.heappush(self._events, (second, self._n_events, trial))

    def _account(self, trial: ReplayTrial) -> None:
        """Counts the epochs that a trial has just trained, apart from those it had trained before."""
        before, until = trial.epoch, trial.until
        trial.epoch = until
        if before < trial.epochs:
            self.redone_epochs += min(until, trial.epochs) - before
        first = max(before, trial.epochs)
        if until > first:
            ends = self.curves.ends(trial.row)
            self.segments.append((trial.row, first, until, trial.start_s + ends[first] - ends[before]))
            self.epochs += until - first
            trial.epochs = until

    def _pause(self, trial: ReplayTrial) -> None:
        trial.checkpoint = trial.epoch
        self._set_trial_status(trial, PAUSED)

    def _complete(self, trial: ReplayTrial, result: dict[str, Any] | None, error: bool = False) -> None:
        start = perf_counter()
        self.search_alg.searcher.on_trial_complete(trial_id=trial.trial_id, result=result, error=error)
        self.searcher_s += perf_counter() - start

    def _end(self, trial: ReplayTrial, status: str) -> None:
        self._set_trial_status(trial, status)
        self._live.pop(trial, None)
