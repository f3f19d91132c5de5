"""The metric of a run: who names it, and what trials report of it.

A tensor, a text or None would be compared, averaged and saved in silence until something breaks, at the earliest when
the budget is spent. So it is refused at the first result.
"""

import math
import os
from numbers import Real
from typing import Any

import numpy as np
from ray.tune.result import AUTO_RESULT_KEYS, DEBUG_METRICS

from hyperstar_tune.errors import SearchError

__all__ = ["agreed", "is_lenient", "missing_metric", "reported_number"]

_RAYS_OWN = {*AUTO_RESULT_KEYS, *DEBUG_METRICS, "done", "experiment_tag", "should_checkpoint"}


def reported_number(metric: str | None, result: dict[str, Any]) -> float | None:
    """The metric in a flat result: a number of Python or NumPy, truth values included, as a float.

    Args:
        metric: Its name; None: not known.
        result: What a trial has reported.

    Returns:
        None if the result has no such metric, or says None.

    Raises:
        SearchError: If it is anything but a number.
    """
    value: Any = result.get(metric) if metric is not None else None
    if value is None:
        return None
    is_number = isinstance(value, Real | np.bool_)
    if not is_number:
        kind = type(value).__name__
        article = "an" if kind[0] in "aeiouAEIOU" or kind == "ndarray" else "a"
        remedy = ".item()" if hasattr(value, "item") else "float(...) of it" if isinstance(value, str) else "a number"
        raise SearchError(f"metric {metric!r} must be a number, but is {article} {kind}; report {remedy}")
    try:
        return float(value)
    except OverflowError:  # a whole number beyond all floats
        return math.inf if value > 0 else -math.inf


def is_lenient() -> bool:
    """Whether the user has told Ray that results may lack the metric (an environment variable of Ray)."""
    return os.environ.get("TUNE_DISABLE_STRICT_METRIC_CHECKING") == "1"


def missing_metric(metric: str, result: dict[str, Any]) -> SearchError:
    """Says that the metric is missing, and what there is instead."""
    if metric in result:
        return SearchError(f"metric {metric!r} must be a number in every result, but is None; report a number")
    reported = sorted(key for key in result if key not in _RAYS_OWN and not key.startswith("config/"))
    return SearchError(
        f"the trainable must report {metric!r} in every result, but reports "
        f"{'only ' + ', '.join(reported) if reported else 'nothing'}; correct the run's metric"
    )


def agreed(
    owner: Any, metric: str | None, mode: str | None, run_metric: str | None, run_mode: str | None
) -> tuple[str | None, str | None]:
    """Metric and mode of a searcher or scheduler and of its run, of which each may leave them to the other.

    Raises:
        SearchError: If both have them and they differ.
    """
    for name, mine, theirs in (("metric", metric, run_metric), ("mode", mode, run_mode)):
        if mine and theirs and mine != theirs:
            raise SearchError(f"{name} is {mine!r} in {type(owner).__name__} but {theirs!r} in the run; give it once")
    return run_metric or metric, run_mode or mode
