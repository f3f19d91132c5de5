"""The books of a run: what its budget was spent on, which trials run or wait, and which faults they met.

A ledger knows epochs and trials, but neither rungs nor Ray. It is plain data keyed by trial id: it is saved with the
searcher, survives a killed driver, and is driven in the same way by real Tune and by a replay. Rules
(docs/protocol.md, "Runs under a budget"):

- A running trial has the epochs up to its target reserved. What is left of the budget may cut a target short, so that
  the sum over all trials is exactly the budget; epochs that a trial gives back go to the next one that waits.
- An epoch trained again after a fault is counted in ``redone_epochs`` and never charged.
"""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Ledger", "TrialState"]


@dataclass
class TrialState:
    """What a run knows about a trial. Anybody may read it; only ledger and gate change it."""

    id: str
    key: Any = None  # equal for equal configurations; None where none may come again
    bracket: int = -1  # last bracket it stood in
    epochs: int = 0  # charged to the budget
    position: int = 0  # last reported epoch; behind ``epochs`` after a fault
    level: int = 0  # epochs at the end of its rung
    target: int = 0  # epochs it may train to now
    next_level: int = 1  # next epoch whose score decides something
    pending: bool = False  # its rung waits for it
    ended: bool = False  # it will not train again
    dead: bool = False  # diverged or failed
    last: float = -math.inf  # last score; higher is better
    scores: dict[int, float] = field(default_factory=dict)  # level -> score


class Ledger:
    """What is spent, reserved and left of a budget, and by whom.

    Args:
        budget: Epochs of all trials together; infinite where nobody counts them.
        max_concurrent: Trials that may run at a time; None: as many as the cluster holds.
    """

    def __init__(self, budget: float, max_concurrent: int | None = None) -> None:
        self.budget = budget
        self.max_concurrent = max_concurrent
        self.trials: dict[str, TrialState] = {}
        self.spent = 0  # epochs charged
        self.reserved = 0  # epochs that running trials may still train
        self.redone_epochs = 0
        self.retries = 0  # failed attempts that were tried again
        self.restores = 0  # times the run went on after its driver had ended
        self.faults: dict[str, str] = {}  # trial -> why it will not go on
        self.finished = False
        self.early_end = ""  # why it finished with epochs left
        self.running: set[str] = set()
        # Permitted to run, in order, to be started by the scheduler; a dict's first key is slow to find once many went.
        self.ready: OrderedDict[str, None] = OrderedDict()
        self.waiting: deque[TrialState] = deque()  # in line, but not permitted to run yet

    @property
    def available(self) -> float:
        """Epochs of the budget that are neither spent nor reserved."""
        return self.budget - self.spent - self.reserved

    @property
    def has_room(self) -> bool:
        """Whether another trial may run now."""
        return self.available > 0 and (self.max_concurrent is None or len(self.running) < self.max_concurrent)

    def permit(self, trial: TrialState) -> None:
        """Lets a trial train to its level, or as far as the budget reaches, and reserves these epochs."""
        epochs = int(min(trial.level - trial.epochs, self.available))
        trial.target = trial.epochs + epochs
        self.reserved += epochs
        self.running.add(trial.id)

    def permit_waiting(self) -> None:
        """Lets those in line run while there is room."""
        while self.waiting and self.has_room:
            trial = self.waiting.popleft()
            if trial.pending:
                self.permit(trial)
                self.ready[trial.id] = None

    def release(self, trial: TrialState) -> None:
        """Takes a trial off the running ones and gives back what it has reserved."""
        if trial.id in self.running:
            self.running.remove(trial.id)
            self.ready.pop(trial.id, None)
            self.reserved -= max(0, trial.target - trial.epochs)

    def charge(self, trial: TrialState, epoch: int, steps: int = 1) -> bool:
        """Charges a trial's new epochs, and counts those that it has trained again.

        Args:
            trial: The trial that reports.
            epoch: Epochs it has behind it.
            steps: Epochs since it was last restored.

        Returns:
            Whether an epoch is new.
        """
        done = trial.epochs
        if epoch <= trial.position:  # restored from an earlier checkpoint
            trial.position = max(0, epoch - steps)
        if trial.position < done:
            self.redone_epochs += min(epoch, done) - trial.position
        trial.position = epoch
        if epoch <= done:
            return False
        self.spent += epoch - done
        if trial.id in self.running:
            self.reserved -= min(epoch, trial.target) - done
        trial.epochs = epoch
        return True

    def end_early(self, why: str) -> None:
        """The run is over with epochs left."""
        self.finished = True
        self.early_end = why

    def summary(self) -> str:
        """What was spent and every fault that the run met, one per line."""
        lines = [f"{self.spent} of {self.budget} epochs spent on {len(self.trials)} trials"]
        if self.early_end:
            lines.append(f"ended before its budget was spent: {self.early_end}")
        lines += [f"trial {trial_id} stands with the worst score: {why}" for trial_id, why in self.faults.items()]
        for what, count in (
            ("failed attempts that were tried again", self.retries),
            ("times the run was restored", self.restores),
            ("epochs known to be trained again, not charged", self.redone_epochs),
        ):
            if count:
                lines.append(f"{what}: {count}")
        return "\n".join(lines)
