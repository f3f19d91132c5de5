"""How a budget is spent: R and the plan of a run."""

from collections.abc import Mapping

import ray

from hyperstar_tune.plan import Plan
from hyperstar_tune.race import RacePlan
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.reach import fitting_max_epochs
from hyperstar_tune.tuning.options import TuneOptions

__all__ = ["choose_max_epochs", "make_plan", "parallel_trials"]


def choose_max_epochs(options: TuneOptions, ranking: Ranking) -> int:
    """R: as was asked for, else that of the predictors that ship, or less where the budget has no room for it.

    Seconds of an epoch are those predicted for the configurations that a race takes. They were measured on another
    machine, so that this is a rough figure.
    """
    if options.max_epochs is not None:
        return options.max_epochs
    ordered = ranking.by_cost() if options.hours else ranking
    costs = [ordered.costs[place] for place in ordered.order()[:2]] if ordered.costs else ()
    return fitting_max_epochs(options.epochs, 3600 * options.hours if options.hours else None, costs)


def make_plan(options: TuneOptions, max_epochs: int, parallel: int) -> Plan:
    """The plan of a run.

    A budget in hours is one of the clock. The seconds of all trials are counted, so that trials that run beside each
    other have as many times that.

    Raises:
        PlanError: If the numbers make no sense.
    """
    return RacePlan(max_epochs, options.epochs or 0, seconds_budget=3600 * (options.hours or 0) * parallel)


def parallel_trials(resources: Mapping[str, float]) -> int:
    """How many trials the cluster runs at a time; at least 1."""
    has = ray.cluster_resources()
    shares = [has.get(name.upper(), 0) / amount for name, amount in resources.items() if amount]
    return max(1, int(min(shares, default=1) + 1e-9))
