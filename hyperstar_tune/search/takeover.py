"""What ``PlanScheduler`` changes in Ray's controller of its own run. Other runs of the process stay as they are.

- Ray too checks the metric, but raises a traceback of many lines before the scheduler sees the result. So the check is
  left to the scheduler.
- Ray tells no scheduler that a run has ended, or why: by ``time_budget_s``, by a ``Stopper``, by ``fail_fast`` or by an
  interrupt. So the controller's last call passes it on.
- A restored run keeps why it was stopped, and Ray would stop it again at once. So that is taken back.

Source: ray 2.60, ``tune/execution/tune_controller.py`` (``_validate_result_metrics``, ``cleanup``,
``_stop_experiment_if_needed``, ``__getstate__``), ``tune/stopper/timeout.py``.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from ray.tune.stopper import NoopStopper, TimeoutStopper

from hyperstar_tune.errors import HyperStarError

__all__ = ["lift_stop", "take_over"]

_RAYS_CHECK = "_validate_result_metrics"
_RESTORE = "restore the run to go on (hyperstar tune --resume, Tuner.restore, or tune.run with resume=True)"


def take_over(tune_controller: Any, at_end: Callable[[str], None]) -> None:
    """Switches Ray's own check of the metric off in one run, and listens for the run's end.

    Args:
        tune_controller: The controller of the run, in the wrapper that Ray hands to schedulers. Any other object stays
            as it is.
        at_end: Called once with the reason why the controller ended, and how to go on; an empty text if by an error of
            ours, which says so itself.
    """
    controller = getattr(tune_controller, "_tune_controller", None)
    if not hasattr(controller, _RAYS_CHECK):
        return
    kind: Any = type(controller)

    def cleanup(self: Any) -> None:
        at_end(_why(self))
        kind.cleanup(self)

    # Replaced in its class, as a controller's attributes are saved with the run.
    controller.__class__ = type(kind.__name__, (kind,), {_RAYS_CHECK: lambda self, result: None, "cleanup": cleanup})


def lift_stop(tune_controller: Any) -> bool:
    """Lets a restored run go on that was stopped from outside; a time budget begins anew.

    Returns:
        Whether it was stopped so.
    """
    search_alg = tune_controller.search_alg
    if not getattr(search_alg, "_finished", False):
        return False
    search_alg._finished = False
    controller = getattr(tune_controller, "_tune_controller", None)
    if controller is not None:
        controller._has_errored = False
        for stopper in _timeouts(controller._stopper):
            if stopper._budget <= 0:
                stopper._budget = stopper._timeout_seconds
    return True


def _why(controller: Any) -> str:
    error = sys.exc_info()[1]
    if isinstance(error, HyperStarError):
        return ""
    if controller._fail_fast and controller._has_errored:
        return f"a trial failed, and fail_fast ends a run then; {_RESTORE}"
    if error is not None:
        return f"{type(error).__name__} ended it; {_RESTORE}"
    if any(not trial.is_finished() for trial in controller.get_trials()):
        return f"it was interrupted; {_RESTORE}"
    over = next((stopper for stopper in _timeouts(controller._stopper) if stopper._budget <= 0), None)
    if over is not None:
        return f"time_budget_s={over._timeout_seconds:g} is over; {_RESTORE}, which gives it as much time again"
    if isinstance(controller._stopper, NoopStopper):
        return f"Ray lost its last trials; {_RESTORE}"
    return (
        f"its {type(controller._stopper).__name__} stopped it; {_RESTORE}, once the stopper does not stop it any more"
    )


def _timeouts(stopper: Any) -> Iterator[Any]:
    if isinstance(stopper, TimeoutStopper):
        yield stopper
    for part in getattr(stopper, "_stoppers", ()):
        yield from _timeouts(part)
