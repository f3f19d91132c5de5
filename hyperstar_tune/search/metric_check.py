"""Checks at the first result that the trainable reports the metric, and says in one line if it does not.

Ray checks this too, but raises a traceback of many lines before the scheduler sees the result. So in a run with our
scheduler, the controller leaves the check to the scheduler. Other runs of the process keep Ray's check.

Source: ray 2.60, ``tune/execution/tune_controller.py::_validate_result_metrics``.
"""

import os
from typing import Any

from ray.tune.result import AUTO_RESULT_KEYS, DEBUG_METRICS

from hyperstar_tune.errors import SearchError

__all__ = ["is_lenient", "missing_metric", "take_over_check"]

_RAYS_CHECK = "_validate_result_metrics"
_RAYS_OWN = {*AUTO_RESULT_KEYS, *DEBUG_METRICS, "done", "experiment_tag", "should_checkpoint"}


def take_over_check(tune_controller: Any) -> None:
    """Switches Ray's own check off in one run.

    Args:
        tune_controller: The controller of the run, in the wrapper that Ray hands to schedulers. Any other object stays
            as it is.
    """
    controller = getattr(tune_controller, "_tune_controller", None)
    if hasattr(controller, _RAYS_CHECK):  # replaced in its class, as a controller's attributes are saved with the run
        kind = type(controller)
        controller.__class__ = type(kind.__name__, (kind,), {_RAYS_CHECK: lambda self, result: None})


def is_lenient() -> bool:
    """Whether the user has told Ray that results may lack the metric (an environment variable of Ray)."""
    return os.environ.get("TUNE_DISABLE_STRICT_METRIC_CHECKING") == "1"


def missing_metric(metric: str, result: dict[str, Any]) -> SearchError:
    """Says which metric is missing and what there is instead."""
    reported = sorted(key for key in result if key not in _RAYS_OWN and not key.startswith("config/"))
    return SearchError(
        f"the trainable must report {metric!r} in every result, but reports only {', '.join(reported) or 'nothing'}; "
        "correct the run's metric"
    )
