"""The race: train two configurations for a while, finish the better one, then follow the ranking straight to R.

A ranking that is trained straight to R depends on its first configuration. So the first one races against the one that
best complements it on known tasks, and the rest of the budget goes down the ranking. Without a ranking a race of two is
random search: use a ``HyperBandPlan`` then. A learning rate that falls from the start (a cosine) must not race, because
a part of such a training says little of its end: pass ``race_epochs=0``, which follows the ranking without a race.

Source: our own measurements on recorded curves (docs/budgets.md).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from hyperstar_tune.errors import PlanError
from hyperstar_tune.plan import Bracket, Plan, Rung, check_whole

__all__ = ["RacePlan"]

_SHARE = 4  # a race takes one in so many of the epochs of a full training


@dataclass(frozen=True)
class RacePlan(Plan):
    """A race of the first two configurations of a ranking, then each next one to R, under an epoch budget.

    Both train for ``race_epochs``. The one with the better best epoch goes on to R, and every further configuration
    trains straight to R. A run ends at exactly ``epoch_budget`` epochs. If these are fewer than the two take to the end
    of their race, the first configuration trains alone.

    Workers that are free while the race runs begin with the next configurations. What the winner of the race still
    needs is held back for it. So one worker and many train the same configurations for the same epochs, in another
    order, as long as no trial fails.

    Args:
        max_epochs: R, the epochs of a configuration that is trained to the end.
        epoch_budget: Epochs of all trials together; by default those of the race, its winner and one more
            configuration.
        race_epochs: Epochs that each of the two trains before one is chosen; by default a quarter of R. 0: no race, the
            ranking is followed from its first configuration on.

    Raises:
        PlanError: If a number is not whole or too small, or the race would not end before R.

    Example:
        >>> RacePlan(max_epochs=32).brackets[0].rungs
        (Rung(n_configs=2, epochs=8), Rung(n_configs=1, epochs=32))
    """

    max_epochs: int
    epoch_budget: int = 0  # 0 becomes one pass over the brackets
    race_epochs: int = field(default=-1, kw_only=True)  # -1 becomes a quarter of R

    overlaps: ClassVar[bool] = True
    by_best: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("max_epochs", self.max_epochs, 1)
        check_whole("epoch_budget", self.epoch_budget, 0, " (0: one pass)")
        if self.race_epochs == -1:
            quarter = max(1, self.max_epochs // _SHARE) if self.max_epochs > 1 else 0
            object.__setattr__(self, "race_epochs", quarter)
        check_whole("race_epochs", self.race_epochs, 0, " (0: no race)")
        if self.race_epochs >= self.max_epochs:
            raise PlanError(
                f"race_epochs must be fewer than the {self.max_epochs} of max_epochs, but got {self.race_epochs}; "
                "leave it out for a quarter of them"
            )
        if self.epoch_budget == 0:
            object.__setattr__(self, "epoch_budget", sum(bracket.epochs for bracket in self._pass))

    @cached_property
    def _pass(self) -> tuple[Bracket, ...]:
        straight = Bracket((Rung(1, self.max_epochs),))
        if not self.race_epochs:
            return (straight,)
        return Bracket((Rung(2, self.race_epochs), Rung(1, self.max_epochs))), straight

    @property
    def has_race(self) -> bool:
        """Whether the plan has a race and its budget covers it."""
        return self.race_epochs > 0 and self.epoch_budget >= 2 * self.race_epochs

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """The race, if there is one, and one configuration to R."""
        return self._pass if self.has_race else self._pass[-1:]

    def bracket(self, number: int) -> Bracket:
        """The race only comes first; every later bracket is one configuration to R."""
        return self.brackets[min(number, len(self.brackets) - 1)]

    @property
    def brief(self) -> str:
        """R, the epochs of the race, and the budget."""
        head = f"Race of 2 x {self.race_epochs} epochs" if self.has_race else "Down the ranking without a race"
        return f"{head}: R={self.max_epochs} epochs, budget {self.epoch_budget} epochs"

    def __str__(self) -> str:
        """The plan as a table: the race, the configurations that follow, and what the budget reaches."""
        lines = [self.brief]
        spent = 0
        if self.has_race:
            first = self.brackets[0]
            spent = min(first.epochs, self.epoch_budget)
            last = first.epochs - spent
            cut = f"; the budget ends {last} epochs before the better one is at {self.max_epochs}" if last else ""
            lines.append(
                f"  race: 2 x {self.race_epochs} -> 1 x {self.max_epochs}   [configurations x epochs]   "
                f"{first.epochs} epochs, epoch 0 to {spent}{cut}"
            )
        elif self.race_epochs:
            lines.append(f"  no race: two configurations take {2 * self.race_epochs} epochs; the first trains alone")
        whole, rest = divmod(self.epoch_budget - spent, self.max_epochs)
        parts = [f"{whole} x {self.max_epochs}"] if whole else []
        parts += [f"1 x {rest} (the budget ends inside it)"] if rest else []
        if parts:
            then = "then down the ranking" if self.has_race else "down the ranking"
            lines.append(f"  {then}: {' and '.join(parts)}   epoch {spent} to {self.epoch_budget}")
            if self.has_race:
                lines.append("  free workers begin these while the race runs: the same epochs in another order")
        return "\n".join(lines)
