"""The account of a run: what its budget was spent on, which trials run or wait, and which faults they met.

A ledger knows epochs, seconds and trials, but neither rungs nor Ray. By itself it is a gate that is always open, for a
run that no plan schedules. So every searcher has a gate, and works in one way only. A ledger is plain data keyed by
trial id. So it is saved with the searcher, survives a killed driver, and works in the same way on real Tune and in a
replay. Its rules are (docs/protocol.md, "Runs under a budget"):

- A running trial has the epochs up to its target reserved. If less is left of the budget, the target is cut short, so
  that the sum over all trials is exactly the budget. Epochs that a trial gives back go to the next one that waits.
- An epoch that is trained again after a fault is counted in ``redone_epochs`` and never charged.
- A budget in seconds is charged with the seconds that the trainable measured. A running trial has the predicted seconds
  of its epochs up to its target reserved. The prediction is the mean of its own epochs; before its first, the price
  that the searcher gave it, times what such prices were off in this run so far; without a price, the mean of all epochs
  of the run. As long as a second is left, one epoch may begin. So the budget is overshot at most by the epochs that are
  being trained when it ends.
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
    price: float = 0.0  # seconds per epoch that the searcher predicted; 0: unknown
    seconds: float = 0.0  # measured for the epochs charged
    last: float = -math.inf  # last score, or the best so far where the plan judges by it; higher is better
    scores: dict[int, float] = field(default_factory=dict)  # level -> score

    def __reduce__(self) -> tuple[Any, ...]:
        return TrialState, tuple(vars(self).values())  # no names of fields: a run may save thousands of trials


class Ledger:
    """Keeps account of the epochs of a budget that are spent, reserved and left.

    Args:
        budget: Epochs of all trials together; infinite if nobody counts them.
        max_concurrent: Trials that may run at a time; None: as many as the cluster holds.
        seconds_budget: Seconds of all trials together; infinite if nobody counts them.
    """

    is_open = True
    repeats = False  # a configuration that comes again is a new trial

    def __init__(
        self, budget: float = math.inf, max_concurrent: int | None = None, seconds_budget: float = math.inf
    ) -> None:
        self.budget = budget
        self.seconds_budget = seconds_budget
        self.max_concurrent = max_concurrent
        self.trials: dict[str, TrialState] = {}
        self.spent = 0  # epochs charged
        self.seconds = 0.0  # measured for the epochs charged
        self._priced = (0.0, 0.0)  # seconds measured and predicted, for the epochs of trials that had a price
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
    def counts_seconds(self) -> bool:
        """Whether seconds are limited."""
        return self.seconds_budget < math.inf

    @property
    def is_out_of_seconds(self) -> bool:
        """Whether all seconds are spent, so that no further epoch may begin."""
        return self.seconds >= self.seconds_budget

    @property
    def is_spent(self) -> bool:
        """Whether nothing of the budget is left that running trials have not reserved."""
        return self.available <= 0 or self.is_out_of_seconds

    @property
    def has_room(self) -> bool:
        """Whether another trial may run now."""
        return self.reach() > 0 and (self.max_concurrent is None or len(self.running) < self.max_concurrent)

    @property
    def bracket(self) -> int:
        """Number of the bracket that takes the next configuration; without a plan there is only one."""
        return 0

    def price(self, trial: TrialState) -> float:
        """Predicted seconds of a trial's next epoch; 0 as long as nothing is known."""
        if trial.epochs:
            return trial.seconds / trial.epochs
        measured, predicted = self._priced
        if trial.price:
            return trial.price * measured / predicted if predicted else trial.price
        return self.seconds / self.spent if self.spent else 0.0

    def reach(self, trial: TrialState | None = None, held: float = 0, held_s: float = 0.0) -> float:
        """Epochs that the budget leaves for a trial; at least 1 if any second is left.

        Args:
            trial: The trial; None: any, of which no price is known.
            held: Epochs that are held back for others.
            held_s: Seconds that are held back for others.
        """
        epochs = self.available - held
        if not self.counts_seconds:
            return epochs
        running = (self.trials[trial_id] for trial_id in self.running)
        reserved_s = sum((one.target - one.epochs) * self.price(one) for one in running)
        left_s = self.seconds_budget - self.seconds - reserved_s - held_s
        if left_s <= 0:
            return 0
        price = self.price(trial) if trial is not None else 0.0
        return min(epochs, math.ceil(left_s / price)) if price else epochs

    def has_free_slot(self) -> bool:
        """Whether a new trial may start."""
        return self.has_room and not self.finished

    def is_busy(self, key: Any) -> bool:
        """Whether the trial that holds a configuration cannot be claimed yet; never without a plan."""
        return False

    def claim(self, key: Any) -> bool:
        """Gives a slot to the trial that holds a configuration; False if there is none, as always without a plan."""
        return False

    def admit(self, trial_id: str, key: Any = None, price: float = 0.0) -> None:
        """Lets a new trial run."""
        self.trials[trial_id] = TrialState(trial_id)
        self.running.add(trial_id)

    def close_slots(self, why: str = "") -> None:
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

    def charge(self, trial: TrialState, epoch: int, steps: int = 1, seconds: float | None = None) -> bool:
        """Charges a trial's new epochs, and counts those that it has trained again.

        Args:
            trial: The trial that reports.
            epoch: Epochs that it has trained.
            steps: Epochs since it was last restored.
            seconds: Measured seconds of its last epoch; None: not measured, so that the prediction counts.

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
        cost = (epoch - done) * (self.price(trial) if seconds is None else seconds)
        if trial.price:
            measured, predicted = self._priced
            self._priced = (measured + cost, predicted + (epoch - done) * trial.price)
        trial.seconds += cost
        self.seconds += cost
        self.spent += epoch - done
        if trial.id in self.running:
            self.reserved -= min(epoch, trial.target) - done
        trial.epochs = epoch
        return True

    def end_early(self, why: str) -> None:
        """Ends the run with epochs left."""
        self.finished = True
        self.early_end = why

    @property
    def account(self) -> str:
        """What is spent of the budget, in words."""
        epochs = f"{self.spent} of {self.budget} epochs" if self.budget < math.inf else f"{self.spent} epochs"
        return f"{epochs}, {self.seconds:.0f} of {self.seconds_budget:.0f} s" if self.counts_seconds else epochs

    def summary(self) -> str:
        """What was spent and every fault that the run met, one per line."""
        lines = [f"{self.account} spent on {len(self.trials)} trials"]
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
