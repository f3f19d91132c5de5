"""Faults that happen in a replay in place of a report, as they happen to a run on a cluster.

Except for ``diverge``, ``done`` and ``fail_save``, the epoch of the report is lost too. A trial goes on from where it
was last paused, because it has a checkpoint there.
"""

import math
from collections.abc import Callable

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from hyperstar_tune.simulation.controller import METRIC, MODE, Fault, VirtualController
from hyperstar_tune.simulation.trial import ReplayTrial

__all__ = ["crash", "diverge", "done", "error", "fail_save", "kill", "lose"]


error = VirtualController.fail  # the trial fails for good, as with ``max_failures=0``
crash = VirtualController.restart  # the trial fails and is restarted from its checkpoint
lose = VirtualController.lose  # the trial ends and nobody is told, as when Ray cannot reset its actor


def diverge(controller: VirtualController, trial: ReplayTrial) -> None:
    """The trial reports a metric that is not a number."""
    controller.deliver(trial, **{controller.scheduler.metric: math.nan})


def done(controller: VirtualController, trial: ReplayTrial) -> None:
    """The trial reports that it has ended by itself."""
    controller.deliver(trial, done=True)


def fail_save(controller: VirtualController, trial: ReplayTrial) -> None:
    """The trial reports as usual, but cannot be saved if it is to be paused now, and is restarted."""
    controller.deliver(trial)
    trial.save_fails = trial.is_saving


def kill(make: Callable[[], tuple[Searcher, TrialScheduler]]) -> Fault:
    """The driver is killed and restored with a new searcher and scheduler.

    Args:
        make: Function that gives a searcher and a scheduler as the restored driver would construct them.
    """

    def fault(controller: VirtualController, trial: ReplayTrial) -> None:
        searcher, scheduler = make()
        searcher.set_search_properties(METRIC, MODE, {})
        scheduler.set_search_properties(METRIC, MODE)
        controller.restore(controller.save(), searcher, scheduler)

    return fault
