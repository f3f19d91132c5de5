"""Methods at equal budgets: replayed on recorded curves in seconds, or run live, and what they found in figures.

Names are handed on when they are first used: a worker that trains needs neither torch nor matplotlib for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperstar_tune.comparison.budgets import Budgets, protocol_budgets
    from hyperstar_tune.comparison.judging import by_family, judge, true_scores
    from hyperstar_tune.comparison.leave_out import LooScores, leave_family_out
    from hyperstar_tune.comparison.live import LiveRun, run_live, table_trainable
    from hyperstar_tune.comparison.methods import Method, Setting, make_method, method_names, use_names
    from hyperstar_tune.comparison.statistics import Interval, bootstrap_mean, holm, paired_p_value
    from hyperstar_tune.comparison.summary import summarize
    from hyperstar_tune.comparison.sweeping import SweepProgress, run_method, sweep

_FILES = {
    "budgets": ("Budgets", "protocol_budgets"),
    "judging": ("by_family", "judge", "true_scores"),
    "live": ("LiveRun", "run_live", "table_trainable"),
    "leave_out": ("LooScores", "leave_family_out"),
    "methods": ("Method", "Setting", "make_method", "method_names", "use_names"),
    "statistics": ("Interval", "bootstrap_mean", "holm", "paired_p_value"),
    "summary": ("summarize",),
    "sweeping": ("SweepProgress", "run_method", "sweep"),
}
_PLACES = {name: file for file, names in _FILES.items() for name in names}

__all__ = [
    "Budgets",
    "Interval",
    "LiveRun",
    "LooScores",
    "Method",
    "Setting",
    "SweepProgress",
    "bootstrap_mean",
    "by_family",
    "holm",
    "judge",
    "leave_family_out",
    "make_method",
    "method_names",
    "paired_p_value",
    "protocol_budgets",
    "run_live",
    "run_method",
    "summarize",
    "sweep",
    "table_trainable",
    "true_scores",
    "use_names",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"hyperstar_tune.comparison.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'hyperstar_tune.comparison' has no attribute {name!r}")
