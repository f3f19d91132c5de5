"""What a plan reaches with its budget, and which of its epochs decide nothing.

A configuration that the budget cuts off has not shown what it is worth, and a rung that is cut off promotes nobody. All
of this is counted before a run. In the run a trial that fails gives back epochs, and the last one may finish after all.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hyperstar_tune.plan import Plan
from hyperstar_tune.race import RacePlan

__all__ = ["USUAL_R", "Reach", "as_duration", "budget_remark", "fitting_max_epochs", "predicted", "reach"]

USUAL_R = 32  # of the predictors that ship
_ROOM = 2.25  # R that a budget should hold: a race with its winner takes 1.25, and one more configuration 1


@dataclass(frozen=True)
class Reach:
    """What a budget in epochs reaches."""

    n_finished: int  # configurations that are trained to R
    n_wasted: int  # epochs of the budget that decide nothing
    below: int  # the nearest budget that wastes none: this one, or a smaller one
    above: int  # the nearest larger budget that wastes none
    is_inside_rung: bool  # whether the wasted epochs belong to a rung before R; otherwise to one configuration


def reach(plan: Plan) -> Reach | None:
    """How far a plan comes with its budget in epochs; None if it has only one in seconds.

    Epochs decide something if they end a rung, or train a configuration to R. The first configuration that trains
    towards R wastes nothing, even if the budget cuts it off: without it there would be no model.
    """
    if not plan.epoch_budget:
        return None
    n = len(plan.brackets)
    again = [plan.bracket(number) for number in range(n, 2 * n)]  # what a long budget repeats: skipped as a whole
    cycle = sum(bracket.epochs for bracket in again)
    skipped = max(0, plan.epoch_budget - sum(bracket.epochs for bracket in plan.brackets)) // cycle
    n_finished, budget = skipped * sum(bracket.rungs[-1].n_configs for bracket in again), plan.epoch_budget
    below, above, is_end = 0, 0, True
    for epochs, is_end in _milestones(plan):
        above = epochs
        if above + skipped * cycle > budget:
            break
        below, n_finished = epochs, n_finished + is_end
    below, above = below + skipped * cycle, above + skipped * cycle
    n_wasted = 0 if is_end and not n_finished else budget - below
    return Reach(n_finished, n_wasted, below if n_wasted else budget, above, not is_end)


def _milestones(plan: Plan) -> Iterator[tuple[int, bool]]:
    """Epochs at which one worker has ended a rung, or trained a configuration to R (True), without an end."""
    spent = number = 0
    while True:
        bracket = plan.bracket(number)
        number += 1
        for rung, cost in zip(bracket.rungs, bracket.rung_costs, strict=True):
            is_end = rung.epochs >= plan.max_epochs
            steps = rung.n_configs if is_end else 1
            for _ in range(steps):
                spent += cost // steps
                yield spent, is_end


def budget_remark(plan: Plan) -> str:
    """What to know of a budget before it is spent, in a line; empty if every epoch decides something."""
    found = reach(plan)
    if found is None:
        return ""
    parts = []
    if found.n_wasted:
        why = (
            "they end inside a rung, so that nobody is promoted by them"
            if found.is_inside_rung
            else "they train a configuration that cannot finish"
        )
        parts = [
            f"{found.n_wasted} of the {plan.epoch_budget} epochs decide nothing: {why}; a budget of {found.below} or "
            f"{found.above} wastes none"
        ]
    if not found.n_finished:
        ends = (epochs for epochs, is_end in _milestones(plan) if is_end)
        parts.append(
            f"no configuration is trained to the end: for that {next(ends)} epochs are needed, or a max_epochs below "
            f"{plan.max_epochs}"
        )
    return ". ".join(part[0].upper() + part[1:] for part in parts)


def fitting_max_epochs(epochs: float | None = None, seconds: float | None = None, costs: Sequence[float] = ()) -> int:
    """R for a budget: 32 as for the predictors that ship, or less where there is no room for a race and one more.

    Args:
        epochs: Budget in epochs; None: there is one in seconds.
        seconds: Budget in seconds.
        costs: Predicted seconds per epoch of the configurations, in the order in which a race takes them; empty: not
            known.
    """
    room = float(USUAL_R)
    if epochs is not None:
        room = epochs / _ROOM
    elif seconds is not None and costs:
        room = seconds / (_ROOM * max(costs[:2]))
    return max(1, min(USUAL_R, int(room)))


def as_duration(seconds: float) -> str:
    """Seconds as a person says them: ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def predicted(plan: RacePlan, costs: Sequence[float]) -> str:
    """What a race takes on one worker, by predicted seconds, and the nearest times in which every epoch decides.

    Args:
        plan: The race.
        costs: Predicted seconds per epoch of the configurations, in the order in which the plan takes them. Of two that
            race the dearer one is taken for the winner.
    """
    legs = [(plan.max_epochs, cost, 1) for cost in costs]  # epochs, seconds per epoch, configurations that are new
    too_long = 0 < plan.seconds_budget < plan.race_epochs * sum(costs[:2])  # such a race is called off
    has_race = plan.has_race and len(costs) > 1 and not too_long
    if has_race:
        race = [(plan.race_epochs, cost, 1) for cost in costs[:2]]
        legs = [*race, (plan.max_epochs - plan.race_epochs, max(costs[:2]), 0), *legs[2:]]
    spent, seconds, n_configs, n_finished = 0, 0.0, 0, 0
    cut = ""
    for place, (epochs, cost, n_new) in enumerate(legs):
        left = in_time = epochs
        if plan.seconds_budget:
            left = in_time = min(epochs, math.ceil((plan.seconds_budget - seconds) / cost))
        if plan.epoch_budget:
            left = min(left, plan.epoch_budget - spent)
        if left <= 0:
            break
        is_last_of_race = place == 2 and n_new == 0
        begun_s = seconds
        spent, seconds, n_configs = spent + left, seconds + left * cost, n_configs + n_new
        if left == epochs:
            n_finished += int(is_last_of_race or not (has_race and place < 2))
        elif n_finished and left == in_time:
            cut = (
                f"; the last {left} epochs train a configuration that cannot finish: {as_duration(begun_s)} or "
                f"{as_duration(begun_s + epochs * cost)} waste none"
            )
    return (
        f"  predicted: {spent} epochs of {n_configs} configuration{'s' * (n_configs != 1)}, "
        f"{n_finished} of them to the end, in {as_duration(seconds)}{cut}; "
        "this holds if this machine is as fast as that of the known tasks, and a run corrects it by what it measures"
    )
