"""Faults to put in the place of a report of a replay: what a cluster does to a run.

The epoch of the report is lost with it. A trial goes on from where it was last paused: there it has a checkpoint.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from hyperstar_tune.simulation.controller import METRIC, MODE, ReplayTrial, VirtualController

__all__ = ["crash", "error", "kill"]


def error(controller: VirtualController, trial: ReplayTrial) -> None:
    """The trial fails for good, as with ``max_failures=0``."""
    controller.scheduler.on_trial_error(controller, trial)
    controller._complete(trial.trial_id, None, error=True)
    controller._set_trial_status(trial, "ERROR")
    controller._live.pop(trial, None)


def crash(controller: VirtualController, trial: ReplayTrial) -> None:
    """The trial fails and is restarted from its checkpoint, as ``TuneController._requeue_trial`` does it."""
    trial.epoch = trial.checkpoint
    controller._set_trial_status(trial, "ERROR")
    controller.scheduler.on_trial_error(controller, trial)
    controller._set_trial_status(trial, "PENDING")
    controller._trials.remove(trial)
    controller._trials.append(trial)
    controller.scheduler.on_trial_add(controller, trial)


def kill(make: Callable[[], tuple[Searcher, TrialScheduler]]) -> Callable[[VirtualController, ReplayTrial], None]:
    """The driver is killed and restored with a new searcher and scheduler, as ``TuneController.resume`` does it.

    Args:
        make: Gives a searcher and a scheduler as the restored driver would construct them.
    """

    def fault(controller: VirtualController, trial: ReplayTrial) -> None:
        searcher, scheduler = make()
        searcher.set_search_properties(METRIC, MODE, {})
        scheduler.set_search_properties(METRIC, MODE)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "searcher.pkl")
            controller.search_alg.searcher.save(path)
            searcher.restore(path)
        controller.search_alg.searcher = searcher
        controller.scheduler = scheduler
        controller._events.clear()
        controller._staged.clear()
        controller._pending.clear()
        trials = sorted(controller._trials, key=lambda t: t.last_result.get("timestamp", 0.0), reverse=True)
        controller._trials = []
        for restored in trials:
            restored.epoch = restored.checkpoint
            if not restored.is_finished():
                restored.status = "PENDING"
            controller._add(restored)

    return fault
