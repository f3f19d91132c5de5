"""Where searcher and scheduler meet: Hyperband's brackets and rungs over the ledger of a run, without Ray's objects.

Ray's controller starts every new trial by itself, so only the searcher can hold one back. And only the scheduler sees
all results. So both talk to one gate. Every step takes constant time, and the end of a rung takes n log n. The rules
beyond those of the ledger are (docs/protocol.md, "Runs under a budget"):

- Brackets run one after another. A rung ends when all its places are decided. Equal scores keep the order of arrival.
- A diverged or failed trial keeps its place with the worst score.
- Trials that fail before their first epoch cost the budget nothing. So the run ends if it begins with its widest rung
  and all trials of that rung fail, or once as many trials in a row fail as that rung holds, at least 10. A trial that
  diverges has trained, and does not count as one of these.
- A configuration that comes again takes its stored trial back and pays only for new epochs.
"""

import math
from bisect import bisect
from collections import deque
from dataclasses import dataclass
from typing import Any

from hyperstar_tune.plan import HyperBandPlan, Rung
from hyperstar_tune.search.ledger import Ledger, TrialState

__all__ = ["CONTINUE", "PAUSE", "STOP", "Gate", "RungRecord"]

CONTINUE = "CONTINUE"  # values of Ray's TrialScheduler
PAUSE = "PAUSE"
STOP = "STOP"

_FEWEST_LOST = 10  # failed trials in a row that end a run; a plan of tiny rungs may lose a few by chance
_IDLE_PASSES = 100  # passes over all brackets without an epoch that end a run: all is trained to the end


@dataclass(frozen=True)
class RungRecord:
    """A finished rung."""

    bracket: int  # counted from 0 over the whole run
    rung: int  # counted from 0 within the bracket
    epochs: int  # epochs that its trials have trained
    trial_ids: tuple[str, ...]  # best first


class Gate(Ledger):
    """The state of one run of Hyperband.

    Args:
        plan: Brackets and epoch budget.
        repeats: Whether a configuration may come again, so that stored trials are kept for it.
        max_concurrent: Trials that may run at a time; None: as many as the cluster holds.
    """

    is_open = False

    def __init__(self, plan: HyperBandPlan, repeats: bool = True, max_concurrent: int | None = None) -> None:
        super().__init__(plan.epoch_budget, max_concurrent)
        self.plan = plan
        self.repeats = repeats
        self.levels: list[int] = sorted({rung.epochs for bracket in plan.brackets for rung in bracket.rungs})
        self.bracket = 0
        self.rung = 0
        self.free_slots = plan.brackets[0].n_configs  # of the bracket's first rung
        self.records: list[RungRecord] = []
        self.losers: list[str] = []  # never needed again, to be stopped by the scheduler
        self._stored: dict[Any, TrialState] = {}  # by the key of the configuration
        self._members: dict[str, TrialState] = {}  # trials of the rung, in order of arrival
        self._pending: set[str] = set()  # members that the rung waits for
        self._waiting: deque[TrialState] = deque()  # in line, but not permitted to run yet
        self._pass_start = 0  # epochs spent when this pass over the brackets began
        self._idle_passes = 0
        self._progress = (0, 0)  # epochs spent and trials started when a rung last ended with new epochs

    # -- slots, asked for by the searcher ------------------------------------------------------------------------------

    def has_free_slot(self) -> bool:
        """Whether a configuration may enter the bracket and train now."""
        return self.free_slots > 0 and not self.finished and not self._waiting and self.has_room

    def claim(self, key: Any) -> bool:
        """Gives a slot to the trial that holds this configuration; False if there is none."""
        trial = self._stored.get(key)
        if trial is None:
            return False
        self.free_slots -= 1
        if trial.id not in self._members:  # else it is in this bracket already
            self._enter(trial, self._rungs[0].epochs)
        self._advance()
        return True

    def admit(self, trial_id: str, key: Any = None) -> None:
        """Gives a slot and its epochs to a new trial, which the controller starts."""
        trial = self.trials[trial_id] = TrialState(trial_id)
        if self.repeats:
            self._stored[key] = trial
        self.free_slots -= 1
        self._enter(trial, self._rungs[0].epochs, waits=False)
        self.permit(trial)

    def close_slots(self) -> None:
        """Closes the free slots: there is no further configuration, and the bracket goes on with those it has."""
        self.free_slots = 0
        self._advance()

    def next_level(self, trial_id: str) -> int:
        """The next number of epochs of a trial at which a rung of the plan ends."""
        done = self.trials[trial_id].epochs
        return next((level for level in self.levels if level > done), self.plan.max_epochs + 1)

    # -- events, told by the scheduler ---------------------------------------------------------------------------------

    def result(self, trial_id: str, epoch: int, score: float | None, steps: int = 1) -> str:
        """Takes a result and decides what the trial does next.

        Args:
            trial_id: Trial that reports.
            epoch: Epochs that the trial has trained. It may skip epochs that decide nothing.
            score: Higher is better. A score that is not finite means that the trial diverged. None: not reported, at
                an epoch that decides nothing.
            steps: Epochs since the trial was last restored.

        Returns:
            CONTINUE, PAUSE or STOP.
        """
        trial = self.trials[trial_id]
        self.ready.pop(trial_id, None)  # it has started
        if not self._count(trial, epoch, score, steps):
            return CONTINUE if trial_id in self.running else PAUSE
        if _is_diverged(score):
            self.fail(trial_id, "diverged")
            return STOP
        if epoch < trial.target:
            return CONTINUE
        if epoch < trial.level:  # cut short by the budget: first in line if epochs come back
            self.release(trial)
            self._waiting.appendleft(trial)
            self._advance()
        else:
            self._decide(trial)
        if trial_id in self.running:
            del self.ready[trial_id]  # it never stopped
            return CONTINUE
        return STOP if trial.ended and trial.epochs < self.plan.max_epochs else PAUSE

    def end(self, trial_id: str, epoch: int = 0, score: float | None = None) -> None:
        """Ends a trial that ended by itself or was stopped by others; it keeps its last score, if it has one."""
        trial = self.trials[trial_id]
        if trial.ended:
            return
        if epoch > trial.epochs:
            self._count(trial, epoch, score, 1)
        if _is_diverged(score):
            self.fail(trial_id, "diverged")
            return
        trial.ended = True
        self._decide(trial)

    def fail(self, trial_id: str, why: str = "failed") -> None:
        """Gives a trial that failed for good the worst score."""
        trial = self.trials[trial_id]
        self.faults.setdefault(trial_id, why)
        trial.ended = True
        self._decide(trial)

    def forget(self, trial_id: str) -> bool:
        """Frees the slot of a trial that Ray lost before it reported anything; False if it has reported something."""
        trial = self.trials[trial_id]
        if trial.epochs or trial_id not in self._pending or self.rung:
            return False
        self.release(trial)
        self._pending.remove(trial_id)
        self._stored = {key: stored for key, stored in self._stored.items() if stored is not trial}
        del self._members[trial_id], self.trials[trial_id]
        self.free_slots += 1
        return True

    def revive(self, trial_id: str) -> None:
        """Lets a failed trial go on after all: it gets its place back if its rung has not ended."""
        trial = self.trials[trial_id]
        if trial_id not in self.faults or self.finished:
            return
        del self.faults[trial_id]
        trial.ended = False
        if trial_id in self._members and trial.level not in trial.scores:
            self._await(trial)
            self._advance()

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def _rungs(self) -> tuple[Rung, ...]:
        return self.plan.brackets[self.bracket % len(self.plan.brackets)].rungs

    def _count(self, trial: TrialState, epoch: int, score: float | None, steps: int) -> bool:
        """Charges new epochs and notes the score at the levels they reach; False if none is new."""
        done = trial.epochs
        if not self.charge(trial, epoch, steps):
            return False
        if score is not None and not _is_diverged(score):
            trial.last = score
            for level in self.levels[bisect(self.levels, done) : bisect(self.levels, epoch)]:
                trial.scores[level] = score
        return True

    def _score(self, trial: TrialState) -> float:
        return -math.inf if trial.id in self.faults else trial.scores.get(trial.level, trial.last)

    def _enter(self, trial: TrialState, level: int, waits: bool = True) -> None:
        trial.level = level
        self._members[trial.id] = trial
        if not trial.ended and level not in trial.scores:
            self._await(trial, waits)

    def _await(self, trial: TrialState, waits: bool = True) -> None:
        """Makes the rung wait for a trial, and the trial for its permission to run."""
        self._pending.add(trial.id)
        if waits:
            self._waiting.append(trial)

    def _decide(self, trial: TrialState) -> None:
        self.release(trial)
        self._pending.discard(trial.id)
        self._advance()

    def _advance(self) -> None:
        while not self.finished:
            while self._waiting and self.has_room:
                trial = self._waiting.popleft()
                if trial.id in self._pending:  # else it ended while it waited
                    self.permit(trial)
                    self.ready[trial.id] = None
            if self._pending or self.free_slots:
                break
            self._close_rung()
        if self.available <= 0 and not self.running:
            self.finished = True

    def _close_rung(self) -> None:
        order = sorted(self._members.values(), key=self._score, reverse=True)
        rungs = self._rungs
        if order:
            ids = tuple(trial.id for trial in order)
            self.records.append(RungRecord(self.bracket, self.rung, rungs[self.rung].epochs, ids))
        if self.spent > self._progress[0]:
            self._progress = (self.spent, len(self.trials))
        elif order and all(trial.id in self.faults for trial in order):
            n_lost = len(self.trials) - self._progress[1]
            widest = self.plan.widest_rung
            is_at_start = self.spent == 0 and self.plan.brackets[0].n_configs == widest
            if is_at_start or n_lost >= max(_FEWEST_LOST, widest):
                self.end_early(f"the last {n_lost} trials failed before their first epoch")  # the rest would too
                return
        self.rung += 1
        self._members = {}
        survivors = rungs[self.rung].n_configs if self.rung < len(rungs) else 0
        for trial in order[:survivors]:
            self._enter(trial, rungs[self.rung].epochs)
        if not self.repeats:
            for trial in order[survivors:]:
                trial.ended = True
                self.losers.append(trial.id)
        if not self._members:
            self._open_bracket()

    def _open_bracket(self) -> None:
        self.bracket += 1
        self.rung = 0
        if self.bracket % len(self.plan.brackets) == 0:
            self._idle_passes = self._idle_passes + 1 if self.spent == self._pass_start else 0
            self._pass_start = self.spent
            if self._idle_passes == _IDLE_PASSES:
                self.end_early("nothing that comes up is left to train")
                return
        self.free_slots = self._rungs[0].n_configs


def _is_diverged(score: float | None) -> bool:
    """Whether a score is not finite; a score that was not reported (None) does not count."""
    return score is not None and score - score != 0
