"""The account of a run: what its budget was spent on, which trials run or wait, and which faults they met.

A ledger knows epochs and trials, but neither rungs nor Ray. By itself it is a gate that is always open, for a run that
Hyperband does not schedule. So every searcher has a gate, and works in one way only. A ledger is plain data keyed by
trial id. So it is saved with the searcher, survives a killed driver, and works in the same way on real Tune and in a
replay. Its rules are (docs/protocol.md, "Runs under a budget"):

- A running trial has the epochs up to its target reserved. If less is left of the budget, the target is cut short, so
  that the sum over all trials is exactly the budget. Epochs that a trial gives back go to the next one that waits.
- An epoch that is trained again after a fault is counted in ``redone_epochs`` and never charged.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Ledger", "TrialState"]


@dataclass
class TrialState:
    """The state of a trial in a run. Anybody may read it, but only the ledger and the gate change it."""

    id: str
    epochs: int = 0  # epochs charged to the budget
    position: int = 0  # last reported epoch; less than ``epochs`` after a fault
    bracket: int = 0  # number of the last bracket that it entered
    level: int = 0  # epochs at the end of its rung
    target: int = 0  # epochs it may train to now
    ended: bool = False  # it will not train again
    last: float = -math.inf  # last score, or the best so far where the plan judges by it; higher is better
    scores: dict[int, float] = field(default_factory=dict)  # level -> score

    def __reduce__(self) -> tuple[Any, ...]:
        return TrialState, tuple(vars(self).values())  # no names of fields: a run may save thousands of trials


class Ledger:
    """Keeps account of the epochs of a budget that are spent, reserved and left.

    Args:
        budget: Epochs of all trials together; infinite if nobody counts them.
        max_concurrent: Trials that may run at a time; None: as many as the cluster holds.
    """

    is_open = True
    repeats = False  # a configuration that comes again is a new trial

    def __init__(self, budget: float = math.inf, max_concurrent: int | None = None) -> None:
        self.budget = budget
        self.max_concurrent = max_concurrent
        self.trials: dict[str, TrialState] = {}
        self.spent = 0  # epochs charged
        self.reserved = 0  # epochs that running trials may still train
        self.redone_epochs = 0
        self.retries = 0  # failed attempts that were tried again
        self.restores = 0  # times the run went on after its driver had ended
        self.faults: dict[str, str] = {}  # trial that diverged or failed -> why
        self.finished = False
        self.early_end = ""  # why the run finished with epochs left
        self.running: set[str] = set()
        # Trials that the scheduler is to start, in order. In a plain dict the first key is slow to find once many left.
        self.ready: OrderedDict[str, None] = OrderedDict()

    @property
    def available(self) -> float:
        """Epochs of the budget that are neither spent nor reserved."""
        return self.budget - self.spent - self.reserved

    @property
    def has_room(self) -> bool:
        """Whether another trial may run now."""
        return self.available > 0 and (self.max_concurrent is None or len(self.running) < self.max_concurrent)

    @property
    def bracket(self) -> int:
        """Number of the bracket that takes the next configuration; without a plan there is only one."""
        return 0

    def has_free_slot(self) -> bool:
        """Whether a new trial may start."""
        return self.has_room and not self.finished

    def is_busy(self, key: Any) -> bool:
        """Whether the trial that holds a configuration cannot be claimed yet; never without a plan."""
        return False

    def claim(self, key: Any) -> bool:
        """Gives a slot to the trial that holds a configuration; False if there is none, as always without a plan."""
        return False

    def admit(self, trial_id: str, key: Any = None) -> None:
        """Lets a new trial run."""
        self.trials[trial_id] = TrialState(trial_id)
        self.running.add(trial_id)

    def close_slots(self) -> None:
        """Notes that there is no further configuration."""
        self.finished = True

    def permit(self, trial: TrialState, left: float) -> None:
        """Lets a trial train to its level, or as far as ``left`` epochs reach, and reserves these epochs."""
        epochs = int(min(trial.level - trial.epochs, left))
        trial.target = trial.epochs + epochs
        self.reserved += epochs
        self.running.add(trial.id)

    def release(self, trial: TrialState) -> None:
        """Removes a trial from the running ones and gives back the epochs that it has reserved."""
        if trial.id in self.running:
            self.running.remove(trial.id)
            self.ready.pop(trial.id, None)
            self.reserved -= max(0, trial.target - trial.epochs)

    def charge(self, trial: TrialState, epoch: int, steps: int = 1) -> bool:
        """Charges a trial's new epochs, and counts those that it has trained again.

        Args:
            trial: The trial that reports.
            epoch: Epochs that it has trained.
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
        """Ends the run with epochs left."""
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
