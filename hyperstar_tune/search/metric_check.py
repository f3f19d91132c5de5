"""Whether the trainable reports the metric, found out at the first result and said in one line.

Ray checks this too, but raises a traceback over many lines, before the scheduler sees the result. Its check is
therefore switched off from the first trial to the first result, and on again afterwards.
"""

import os
from typing import Any

from hyperstar_tune.errors import SearchError

__all__ = ["MetricCheck", "missing_metric"]

_LENIENT = "TUNE_DISABLE_STRICT_METRIC_CHECKING"  # Ray's switch

_RAYS_OWN = {
    *("config", "date", "done", "episodes_total", "experiment_id", "experiment_tag", "hostname", "node_ip", "pid"),
    *("iterations_since_restore", "should_checkpoint", "time_since_restore", "time_this_iter_s", "time_total_s"),
    *(
        "timestamp",
        "timesteps_since_restore",
        "timesteps_total",
        "training_iteration",
        "trial_id",
        "checkpoint_dir_name",
    ),
}


class MetricCheck:
    """The check of one run."""

    def __init__(self) -> None:
        self.is_over = False
        self._before: str | None = None  # Ray's switch while ours takes its place

    @property
    def user_is_lenient(self) -> bool:
        """Whether results may lack the metric."""
        return os.environ.get(_LENIENT) == "1"

    def begin(self) -> None:
        """A trial is about to start."""
        if not self.is_over and self._before is None:
            self._before = os.environ.get(_LENIENT, "")
            os.environ[_LENIENT] = "1"

    def first(self, metric: str, result: dict[str, Any]) -> SearchError | None:
        """Looks at the first result; the error to raise, if any."""
        self.end()
        self.is_over = True
        return None if metric in result or self.user_is_lenient else missing_metric(metric, result)

    def end(self) -> None:
        """Gives Ray's switch back."""
        if self._before == "":
            os.environ.pop(_LENIENT, None)
        elif self._before is not None:
            os.environ[_LENIENT] = self._before
        self._before = None


def missing_metric(metric: str, result: dict[str, Any]) -> SearchError:
    """Says which metric is missing and what there is instead."""
    reported = sorted(key for key in result if key not in _RAYS_OWN and not key.startswith("config/"))
    return SearchError(
        f"the trainable must report {metric!r} in every result, but reports only {', '.join(reported) or 'nothing'}; "
        "correct the run's metric"
    )
