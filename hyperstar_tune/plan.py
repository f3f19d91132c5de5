"""Plans as plain arithmetic: brackets of rungs under a hard budget, and Hyperband's brackets as one kind.

A plan knows nothing of Ray: the scheduler asks it how many configurations a rung takes and how long they train.
Hyperband is for whoever has no ranking. With a budget below about three times ``max_epochs`` its wide first rung wastes
most of it. If you have a ranking to follow, take a ``RacePlan`` (``race.py``).

Source: Li et al., "Hyperband", JMLR 18 (2018), Algorithm 1; whole epochs as in docs/protocol.md.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

from hyperstar_tune.errors import PlanError

__all__ = ["Bracket", "HyperBandPlan", "Plan", "Rung", "check_whole"]


@dataclass(frozen=True)
class Rung:
    """One step of successive halving: some configurations train to the same epoch."""

    n_configs: int  # configurations that train in this rung
    epochs: int  # epochs that a configuration has trained at the rung's end, counted from its start


@dataclass(frozen=True)
class Bracket:
    """Successive halving of one set of configurations."""

    rungs: tuple[Rung, ...]

    @property
    def n_configs(self) -> int:
        """Configurations that enter the bracket."""
        return self.rungs[0].n_configs

    @cached_property
    def rung_costs(self) -> tuple[int, ...]:
        """Epochs of each rung, all its configurations together; a promoted one goes on where it paused."""
        starts = (0, *(rung.epochs for rung in self.rungs))
        return tuple(rung.n_configs * (rung.epochs - start) for rung, start in zip(self.rungs, starts, strict=False))

    @property
    def epochs(self) -> int:
        """Epochs that the whole bracket trains."""
        return sum(self.rung_costs)


class Plan(ABC):
    """What a ``PlanScheduler`` runs: brackets one after another, until the budget is spent.

    A budget in epochs is met exactly. One in seconds counts the measured seconds of all epochs of all trials, so that
    two workers spend two seconds in a second. It is overshot at most by the epochs that are being trained when it ends.
    With both, the run ends at the first.

    Attributes:
        max_epochs: R, the epochs of a configuration that is trained to the end.
        epoch_budget: Epochs of all trials together; 0: no limit but that in seconds.
        seconds_budget: Seconds of all trials together; 0: no limit but that in epochs.
        overlaps: Whether the next bracket takes trials while the ones before it still decide. What these need of the
            budget is held back for them.
        by_best: Whether a trial is judged by its best epoch so far, not by that at which the rung ends. While the
            learning rate is constant, a single epoch is one draw of a noisy plateau.
        starts_over: Whether every stage of a run with stages begins the plan anew. Without, its brackets go on.
    """

    max_epochs: int
    epoch_budget: int
    seconds_budget: float
    overlaps: ClassVar[bool] = False
    by_best: ClassVar[bool] = False
    starts_over: ClassVar[bool] = False

    @property
    @abstractmethod
    def brackets(self) -> tuple[Bracket, ...]:
        """One pass over the brackets, in the order in which they begin."""

    def bracket(self, number: int) -> Bracket:
        """The bracket that begins as the ``number``-th of a run, counted from 0; passes follow one another."""
        return self.brackets[number % len(self.brackets)]

    @property
    def widest_rung(self) -> int:
        """Configurations of the widest rung, which is the first one of a bracket."""
        return max(bracket.n_configs for bracket in self.brackets)

    @property
    @abstractmethod
    def brief(self) -> str:
        """The plan in a few words, for messages."""

    @property
    def budget_text(self) -> str:
        """The budget in words."""
        epochs = [f"{self.epoch_budget} epochs"] if self.epoch_budget else []
        return " or ".join([*epochs, f"{self.seconds_budget:g} s"] if self.seconds_budget else epochs)

    def check_budget(self) -> None:
        """Refuses a budget that is no number; without any, ``epoch_budget`` becomes one pass over the brackets."""
        check_whole("epoch_budget", self.epoch_budget, 0, " (0: one pass)")
        seconds = self.seconds_budget
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise PlanError(f"seconds_budget must be a number of seconds (0: no limit), but got {seconds!r}")
        if not self.epoch_budget and not seconds:
            object.__setattr__(self, "epoch_budget", sum(bracket.epochs for bracket in self.brackets))


@dataclass(frozen=True)
class HyperBandPlan(Plan):
    """Brackets for the maximum epochs R and the factor eta, under an epoch budget.

    Brackets run in order, and start again with the first one when all are done, until the budget is spent. Fractions of
    an epoch are rounded down to whole epochs, at least 1.

    Args:
        max_epochs: R, the epochs of a configuration that survives every rung.
        eta: One in eta configurations is promoted at the end of a rung.
        epoch_budget: Epochs of all trials together; without any budget one pass over all brackets.
        seconds_budget: Seconds of all trials together, beside or in place of ``epoch_budget``.
        longest_first: Begin with the bracket whose trials train longest, so that the first configurations train for
            all R epochs. This pays if a ranking says which they should be; without one it begins as random search.

    Raises:
        PlanError: If ``max_epochs`` or ``eta`` is too small or the budget is smaller than the first rung.

    Example:
        >>> HyperBandPlan(max_epochs=9).brackets[0].rungs
        (Rung(n_configs=9, epochs=1), Rung(n_configs=3, epochs=3), Rung(n_configs=1, epochs=9))

    Source: Li et al., JMLR 18 (2018), Algorithm 1.
    """

    max_epochs: int
    eta: int = 3
    epoch_budget: int = 0
    longest_first: bool = field(default=False, kw_only=True)
    seconds_budget: float = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_whole("max_epochs", self.max_epochs, 1)
        check_whole("eta", self.eta, 2)
        self.check_budget()
        budget = self.epoch_budget
        first, least = "the first rung", self.brackets[0].rung_costs[0]
        if self.longest_first:
            first, least = "one configuration", self.max_epochs
        if 0 < budget < least:
            raise PlanError(
                f"epoch_budget must cover {first} ({least} epochs), but got {budget}; lower max_epochs or raise eta"
            )

    @cached_property
    def brackets(self) -> tuple[Bracket, ...]:
        """One pass over Hyperband's brackets, in the order they run."""
        s_max = 0
        while self.eta ** (s_max + 1) <= self.max_epochs:  # floor of a logarithm, without its rounding
            s_max += 1
        brackets = []
        for s in range(s_max, -1, -1):
            n = math.ceil(Fraction((s_max + 1) * self.eta**s, s + 1))
            rungs = [Rung(n // self.eta**i, max(1, self.max_epochs * self.eta**i // self.eta**s)) for i in range(s + 1)]
            brackets.append(Bracket(tuple(rungs)))
        return tuple(reversed(brackets) if self.longest_first else brackets)

    @property
    def brief(self) -> str:
        """R, eta, budget and order."""
        order = ", longest trials first" if self.longest_first else ""
        return f"Hyperband: R={self.max_epochs} epochs, eta={self.eta}, budget {self.budget_text}{order}"

    def __str__(self) -> str:
        """The plan as a table: one line per bracket, and what the budget reaches."""
        lines = [self.brief]
        spent = 0
        for number, bracket in enumerate(self.brackets, start=1):
            start, spent = spent, spent + bracket.epochs
            rungs = " -> ".join(f"{rung.n_configs} x {rung.epochs}" for rung in bracket.rungs)
            if not self.epoch_budget:
                reached = "as far as the seconds reach"
            elif start >= self.epoch_budget:
                reached = "not reached"
            elif spent > self.epoch_budget:
                reached = f"budget ends inside (epoch {start} to {self.epoch_budget})"
            else:
                reached = f"epoch {start} to {spent}"
            lines.append(
                f"  bracket {number}: {rungs}   [configurations x epochs]   {bracket.epochs} epochs, {reached}"
            )
        if self.epoch_budget > spent:
            lines.append(f"  then again from bracket 1, up to epoch {self.epoch_budget}")
        return "\n".join(lines)


def check_whole(name: str, value: Any, least: int, meaning: str = "") -> None:
    """Refuses a value of a plan that is no whole number, or too small; a ``PlanError`` names it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise PlanError(f"{name} must be a whole number of at least {least}{meaning}, but got {value!r}")
