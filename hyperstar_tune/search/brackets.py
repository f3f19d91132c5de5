"""Where searcher and scheduler meet: the brackets and rungs of a plan over the ledger of a run, without Ray's objects.

Ray's controller starts every new trial by itself, so only the searcher can hold one back. And only the scheduler sees
all results. So both talk to one gate. Every step takes constant time, and the end of a rung takes n log n. The rules
beyond those of the ledger are (docs/protocol.md, "Runs under a budget"):

- Brackets run one after another. A rung ends when all its places are decided. Equal scores keep the order of arrival.
- A race whose first rung would take longer than the whole budget in seconds is called off: its trials train to the end.
  The prices of the two are corrected by what was measured of the first trial to report.
- In a plan that overlaps, the next bracket takes trials as soon as the one before it is full. What the later rungs of
  earlier brackets need is held back for them, and they go first.
- A diverged or failed trial keeps its place with the worst score.
- Trials that fail before their first epoch cost the budget nothing. So the run ends if it begins with its widest rung
  and all trials of that rung fail, or once as many trials in a row fail as that rung holds, at least 10. A trial that
  diverges has trained, and does not count as one of these. A race of two says too little to end a run.
- A configuration that comes again takes its stored trial back and pays only for new epochs.
"""

import math
from bisect import bisect
from collections import deque
from dataclasses import dataclass
from typing import Any

from hyperstar_tune.log import LOGGER
from hyperstar_tune.plan import Bracket, Plan, Rung
from hyperstar_tune.search.ledger import Ledger, TrialState
from hyperstar_tune.search.open_bracket import OpenBracket

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
    """The state of one run of a plan.

    Args:
        plan: Brackets and epoch budget.
        repeats: Whether a configuration may come again, so that stored trials are kept for it.
        max_concurrent: Trials that may run at a time; None: as many as the cluster holds.
    """

    is_open = False
    rival_price = 0.0  # predicted seconds per epoch of the one that races against the first; 0: unknown

    def __init__(self, plan: Plan, repeats: bool = True, max_concurrent: int | None = None) -> None:
        super().__init__(plan.epoch_budget or math.inf, max_concurrent, plan.seconds_budget or math.inf)
        self.plan = plan
        self.repeats = repeats
        self.starts: tuple[int, ...] = ()  # numbers of the brackets with which the plan begins anew
        self.levels: list[int] = sorted({rung.epochs for bracket in plan.brackets for rung in bracket.rungs})
        self.records: list[RungRecord] = []
        self.losers: list[str] = []  # never needed again, to be stopped by the scheduler
        self._open: dict[int, OpenBracket] = {}  # by number, which rises
        self._n_begun = 0
        self._closed_by = ""  # why there is no further configuration, if it is not that all have come
        self._no_more = False  # no further configuration comes before a bracket ends
        self._stored: dict[Any, TrialState] = {}  # by the key of the configuration
        self._waiting: deque[TrialState] = deque()  # in line, but not permitted to run yet; earlier brackets first
        self._n_lost = 0  # trials in a row that failed before their first epoch
        self._n_idle = 0  # brackets in a row that ended without an epoch
        self._progress = 0  # epochs spent when a rung last ended with new ones
        self._begin_bracket()

    # -- slots, asked for by the searcher ------------------------------------------------------------------------------

    @property
    def free_slots(self) -> int:
        """Places for further configurations."""
        return sum(bracket.free_slots for bracket in self._open.values())

    @property
    def bracket(self) -> int:
        """Number of the bracket that takes the next configuration, counted from 0."""
        return self._filling.number

    @property
    def place(self) -> str:
        """Where the run stands, in words: its earliest bracket that has not ended."""
        earliest = next(iter(self._open.values()))
        return f"bracket {earliest.number + 1}, rung {earliest.rung + 1}"

    def has_free_slot(self) -> bool:
        """Whether a configuration may enter a bracket and train now."""
        bracket = self._filling
        if self.finished or not bracket.free_slots or not self.has_room:
            return False
        if self._waiting and self._waiting[0].bracket <= bracket.number:
            return False
        return self._left_for(bracket.number) > 0

    def is_busy(self, key: Any) -> bool:
        """Whether the trial that holds this configuration is still needed by an earlier bracket."""
        trial = self._stored.get(key)
        if trial is None or len(self._open) == 1:
            return False
        holder = self._open.get(trial.bracket)
        return holder is not None and holder is not self._filling and trial.id in holder.members

    def claim(self, key: Any) -> bool:
        """Gives a slot to the trial that holds this configuration; False if there is none."""
        trial = self._stored.get(key)
        if trial is None:
            return False
        bracket = self._filling
        bracket.free_slots -= 1
        if trial.id not in bracket.members:  # else it is in this bracket already
            self._enter(bracket, trial)
        self._advance()
        return True

    def admit(self, trial_id: str, key: Any = None, price: float = 0.0) -> None:
        """Gives a slot and its epochs to a new trial, which the controller starts; ``price``: seconds per epoch."""
        trial = self.trials[trial_id] = TrialState(trial_id, price=price)
        if self.repeats:
            self._stored[key] = trial
        bracket = self._filling
        bracket.free_slots -= 1
        self._enter(bracket, trial, waits=False)
        self.permit(trial, self._left_for(bracket.number, trial))
        self._overlap()

    def close_slots(self, why: str = "") -> None:
        """Closes the free slots: there is no further configuration, and the brackets go on with those they have.

        Args:
            why: The reason, if it is not that all configurations have come.
        """
        self._closed_by = why
        for bracket in self._open.values():
            bracket.free_slots = 0
        self._no_more = True
        self._advance()

    def next_level(self, trial_id: str) -> int:
        """The next number of epochs of a trial at which a rung of the plan ends."""
        done = self.trials[trial_id].epochs
        return next((level for level in self.levels if level > done), self.plan.max_epochs + 1)

    def needs_every_epoch(self, trial_id: str) -> bool:
        """Whether every epoch of a trial counts, for the decision at the end of its rung or for the seconds."""
        if self.counts_seconds:
            return True
        bracket = self._open.get(self.trials[trial_id].bracket)
        return self.plan.by_best and bracket is not None and bracket.rung + 1 < len(bracket.plan.rungs)

    # -- events, told by the scheduler ---------------------------------------------------------------------------------

    def result(
        self, trial_id: str, epoch: int, score: float | None, steps: int = 1, seconds: float | None = None
    ) -> str:
        """Takes a result and decides what the trial does next.

        Args:
            trial_id: Trial that reports.
            epoch: Epochs that the trial has trained. It may skip epochs that decide nothing.
            score: Higher is better. A score that is not finite means that the trial diverged. None: not reported, at
                an epoch that decides nothing.
            steps: Epochs since the trial was last restored.
            seconds: Measured seconds of its last epoch; None: not measured.

        Returns:
            CONTINUE, PAUSE or STOP.
        """
        trial = self.trials[trial_id]
        self.ready.pop(trial_id, None)  # it has started
        if not self._count(trial, epoch, score, steps, seconds):
            return CONTINUE if trial_id in self.running else PAUSE
        if _is_diverged(score):
            self.fail(trial_id, "diverged")
            return STOP
        if self.counts_seconds and self.plan.by_best:
            self._call_off(trial)
        if epoch < trial.target and not self.is_out_of_seconds:
            return CONTINUE
        if epoch < trial.level:  # cut short by the budget: first in line if epochs come back
            self.release(trial)
            self._line_up(trial, first=True)
            self._advance()
        else:
            self._decide(trial)
        if trial_id in self.running:
            del self.ready[trial_id]  # it never stopped
            return CONTINUE
        return STOP if trial.ended and trial.epochs < self.plan.max_epochs else PAUSE

    def end(self, trial_id: str, epoch: int = 0, score: float | None = None, seconds: float | None = None) -> None:
        """Ends a trial that ended by itself or was stopped by others; it keeps its last score, if it has one."""
        trial = self.trials[trial_id]
        if trial.ended:
            return
        if epoch > trial.epochs:
            self._count(trial, epoch, score, 1, seconds)
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
        bracket = self._open.get(trial.bracket)
        if bracket is None or trial.epochs or trial_id not in bracket.pending or bracket.rung:
            return False
        self.release(trial)
        bracket.pending.remove(trial_id)
        self._stored = {key: stored for key, stored in self._stored.items() if stored is not trial}
        del bracket.members[trial_id], self.trials[trial_id]
        bracket.free_slots += 1
        return True

    def has_place(self, trial_id: str) -> bool:
        """Whether a trial that has ended could go on after all, because its rung has not ended."""
        trial = self.trials[trial_id]
        bracket = self._open.get(trial.bracket)
        is_member = bracket is not None and trial_id in bracket.members
        return is_member and trial.level not in trial.scores and not self.finished

    def revive(self, trial_id: str) -> None:
        """Lets a failed trial go on after all, if it has its place; if not, it stays failed."""
        if trial_id in self.faults and self.has_place(trial_id):
            trial = self.trials[trial_id]
            del self.faults[trial_id]
            trial.ended = False
            self._open[trial.bracket].pending.add(trial_id)
            self._line_up(trial)
            self._advance()

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def _filling(self) -> OpenBracket:
        """The earliest bracket with a free slot, else the last one."""
        if len(self._open) > 1:
            for bracket in self._open.values():
                if bracket.free_slots:
                    return bracket
        return next(reversed(self._open.values()))

    def _left_for(self, number: int, trial: TrialState | None = None) -> float:
        """Epochs of the budget that a bracket may take: what earlier ones still need is held back for these."""
        if len(self._open) == 1:
            return self.reach(trial)
        held, held_s = 0, 0.0
        for bracket in self._open.values():
            if bracket.number < number:
                held += bracket.still_needs
                if self.counts_seconds:
                    held_s += bracket.still_needs * max(map(self.price, bracket.members.values()), default=0.0)
        return self.reach(trial, held, held_s)

    def _count(self, trial: TrialState, epoch: int, score: float | None, steps: int, seconds: float | None) -> bool:
        """Charges new epochs and notes the score at the levels they reach; False if none is new."""
        done = trial.epochs
        if not self.charge(trial, epoch, steps, seconds):
            return False
        if score is not None and not _is_diverged(score):
            trial.last = max(score, trial.last) if self.plan.by_best else score
            for level in self.levels[bisect(self.levels, done) : bisect(self.levels, epoch)]:
                trial.scores[level] = trial.last
        return True

    def _score(self, trial: TrialState) -> float:
        return -math.inf if trial.id in self.faults else trial.scores.get(trial.level, trial.last)

    def _enter(self, bracket: OpenBracket, trial: TrialState, waits: bool = True) -> None:
        """Makes a trial a member of a bracket's rung, which waits for it; and the trial for its permission to run."""
        trial.level = bracket.epochs
        trial.bracket = bracket.number
        bracket.members[trial.id] = trial
        if not trial.ended and trial.level not in trial.scores:
            bracket.pending.add(trial.id)
            if waits:
                self._line_up(trial)

    def _line_up(self, trial: TrialState, first: bool = False) -> None:
        self._waiting.appendleft(trial) if first else self._waiting.append(trial)
        if len(self._open) > 1:
            self._waiting = deque(sorted(self._waiting, key=lambda waiting: waiting.bracket))

    def _call_off(self, first: TrialState) -> None:
        """Lets the first trial of a race that reports go on to R if the race takes longer than the whole budget."""
        race = self._open.get(first.bracket)
        if race is None or race.rung or len(race.plan.rungs) == 1 or len(race.pending) < len(race.members):
            return
        rivals = [TrialState("", price=self.rival_price)] * race.free_slots
        if race.epochs * sum(map(self.price, [*race.members.values(), *rivals])) > self.seconds_budget:
            race.plan = Bracket((Rung(race.plan.n_configs, race.plan.rungs[-1].epochs),))
            for member in race.members.values():
                member.level = race.epochs
            more = int(min(first.level - first.target, self.available))
            first.target += more
            self.reserved += more
            LOGGER.info("no race, as it would take longer than the %g s of the budget", self.seconds_budget)

    def _decide(self, trial: TrialState) -> None:
        self.release(trial)
        bracket = self._open.get(trial.bracket)
        if bracket is not None:
            bracket.pending.discard(trial.id)
        self._advance()

    def _advance(self) -> None:
        while not self.finished:
            while self._waiting and self.has_room and self._left_for(self._waiting[0].bracket) > 0:
                trial = self._waiting.popleft()
                bracket = self._open.get(trial.bracket)
                if bracket is not None and trial.id in bracket.pending:  # else it ended while it waited
                    self.permit(trial, self._left_for(trial.bracket, trial))
                    self.ready[trial.id] = None
            decided = next((one for one in self._open.values() if not one.pending and not one.free_slots), None)
            if decided is None:
                break
            self._close_rung(decided)
        if self.is_spent and not self.running:
            self.finished = True
        self._overlap()

    def _close_rung(self, bracket: OpenBracket) -> None:
        order = sorted(bracket.members.values(), key=self._score, reverse=True)
        if order:
            ids = tuple(trial.id for trial in order)
            self.records.append(RungRecord(bracket.number, bracket.rung, bracket.epochs, ids))
        if self.spent > self._progress:
            self._progress, self._n_lost, self._n_idle = self.spent, 0, 0
        elif order and all(trial.id in self.faults for trial in order):
            self._n_lost += len(order) if bracket.rung == 0 else 0
            if self._is_hopeless():
                self.end_early(f"the last {self._n_lost} trials failed before their first epoch; mend that first")
                return
        bracket.rung += 1
        bracket.members = {}
        rungs = bracket.plan.rungs
        survivors = rungs[bracket.rung].n_configs if bracket.rung < len(rungs) else 0
        for trial in order[:survivors]:
            self._enter(bracket, trial)
        if not self.repeats:
            for trial in order[survivors:]:
                trial.ended = True
                self.losers.append(trial.id)
        if not bracket.members:
            self._end_bracket(bracket)
            self._no_more = self._no_more and not order

    def _is_hopeless(self) -> bool:
        widest = self.plan.widest_rung
        begins_so = self.spent == 0 and not self.plan.overlaps and self.plan.brackets[0].n_configs == widest
        return begins_so or self._n_lost >= max(_FEWEST_LOST, widest)

    def _end_bracket(self, bracket: OpenBracket) -> None:
        del self._open[bracket.number]
        self._n_idle += 1
        if self._n_idle > max(_IDLE_PASSES * len(self.plan.brackets), 2 * len(self.trials)):
            self.end_early(self._closed_by or "all that comes up is trained as far as the plan asks; nothing is left")
        if not self._open:
            self._begin_bracket()

    def _overlap(self) -> None:
        """Begins the next bracket of a plan that overlaps, once the last one is full."""
        if self.plan.overlaps and not self._no_more and not self.finished and not self._filling.free_slots:
            self._begin_bracket()

    def _begin_bracket(self) -> None:
        start = max((number for number in self.starts if number <= self._n_begun), default=0)
        plan = self.plan.bracket(self._n_begun - start)
        self._open[self._n_begun] = OpenBracket(self._n_begun, plan, plan.n_configs)
        self._n_begun += 1


def _is_diverged(score: float | None) -> bool:
    """Whether a score is not finite; a score that was not reported (None) does not count."""
    return score is not None and score - score != 0
