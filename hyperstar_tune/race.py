"""The race: train two configurations for a while, finish the better one, then follow the ranking straight to R.

A ranking that is trained straight to R depends on its first configuration. So the first one races against the one that
best complements it on known tasks, and the rest of the budget goes down the ranking. Without a ranking a race of two is
random search: use a ``HyperBandPlan`` then. A learning rate that falls from the start (a cosine) must not race, because
a part of such a training says little of its end: pass ``race_epochs=0``, which follows the ranking without a race.

Source: our own measurements on recorded curves (docs/budgets.md).
"""

from dataclasses import dataclass, field, replace
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
    trains straight to R. If ``epoch_budget`` has fewer epochs than the two take to the end of their race, there is no
    race: the first configuration trains to R, then the second. So they do with too few seconds, which is decided by the
    first measured epoch and the predicted seconds of both.

    Workers that are free while the race runs begin with the next configurations. What the winner of the race still
    needs is held back for it. So under a budget in epochs one worker and many train the same configurations for the
    same epochs, in another order, as long as no trial fails and the searcher does not learn.

    Args:
        max_epochs: R, the epochs of a configuration that is trained to the end.
        epoch_budget: Epochs of all trials together; without any budget those of the race, its winner and one more
            configuration.
        seconds_budget: Seconds of all trials together, beside or in place of ``epoch_budget``. Configurations that take
            long then come later (``Ranking.by_cost``).
        race_epochs: Epochs that each of the two trains before one is chosen; by default a quarter of R. 0: no race, the
            ranking is followed from its first configuration on.

    Raises:
        PlanError: If a number is not whole or too small, or the race would not end before R.

    Example:
        >>> RacePlan(max_epochs=32).brackets[0].rungs
        (Rung(n_configs=2, epochs=8), Rung(n_configs=1, epochs=32))
    """

    max_epochs: int
    epoch_budget: int = 0
    race_epochs: int = field(default=-1, kw_only=True)  # -1 becomes a quarter of R
    seconds_budget: float = field(default=0, kw_only=True)

    overlaps: ClassVar[bool] = True
    by_best: ClassVar[bool] = True
    starts_over: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("max_epochs", self.max_epochs, 1)
        if self.race_epochs == -1:
            quarter = max(1, self.max_epochs // _SHARE) if self.max_epochs > 1 else 0
            object.__setattr__(self, "race_epochs", quarter)
        check_whole("race_epochs", self.race_epochs, 0, " (0: no race)")
        if self.race_epochs >= self.max_epochs:
            raise PlanError(
                f"race_epochs must be fewer than the {self.max_epochs} of max_epochs, but got {self.race_epochs}; "
                "leave it out for a quarter of them"
            )
        self.check_budget()

    @cached_property
    def _pass(self) -> tuple[Bracket, ...]:
        straight = Bracket((Rung(1, self.max_epochs),))
        if not self.race_epochs:
            return (straight,)
        return Bracket((Rung(2, self.race_epochs), Rung(1, self.max_epochs))), straight

    @property
    def has_race(self) -> bool:
        """Whether the plan has a race and its budget covers it."""
        return self.race_epochs > 0 and not 0 < self.epoch_budget < 2 * self.race_epochs

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """The race, if there is one, and one configuration to R."""
        return self._pass if self.has_race else self._pass[-1:]

    def bracket(self, number: int) -> Bracket:
        """The race only comes first; every later bracket is one configuration to R."""
        return self.brackets[min(number, len(self.brackets) - 1)]

    def under(self, constant_epochs: float) -> "RacePlan":
        """The plan for trainings whose learning rate is constant for so many epochs: without a race if it falls before.

        Epochs at different rates cannot be compared, so a part of such a training says little of its end.
        """
        return self if self.race_epochs <= constant_epochs else replace(self, race_epochs=0)

    @property
    def brief(self) -> str:
        """R, the epochs of the race, and the budget."""
        head = f"Race of 2 x {self.race_epochs} epochs" if self.has_race else "Down the ranking without a race"
        return f"{head}: R={self.max_epochs} epochs, budget {self.budget_text}"

    def __str__(self) -> str:
        """The plan as a table: the race, the configurations that follow, and what the budget reaches."""
        lines = [self.brief]
        r, full, spent = self.race_epochs, self.max_epochs, 0
        if self.has_race:
            whole = self.brackets[0].epochs
            spent = min(whole, self.epoch_budget or whole)
            cut = (
                f"; the budget ends {whole - spent} epochs before the better one is at {full}" if spent < whole else ""
            )
            lines.append(
                f"  race: 2 x {r} -> 1 x {full}   [configurations x epochs]   {whole} epochs, epoch 0 to {spent}{cut}"
            )
        elif r:
            lines.append(f"  no race: two configurations take {2 * r} epochs; the first trains alone")
        then = "then down the ranking" if self.has_race else "down the ranking"
        n, rest = divmod(max(0, self.epoch_budget - spent), full)
        parts = [f"{n} x {full}"] if n else []
        parts += [f"1 x {rest} (the budget ends inside it)"] if rest else []
        if not self.epoch_budget:
            lines.append(f"  {then}: each {full} epochs, as far as the seconds reach")
        elif parts:
            lines.append(f"  {then}: {' and '.join(parts)}   epoch {spent} to {self.epoch_budget}")
        if self.has_race and (parts or not self.epoch_budget):
            lines.append("  free workers begin these while the race runs: the same epochs in another order")
        return "\n".join(lines)
