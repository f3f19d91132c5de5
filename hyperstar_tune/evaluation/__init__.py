"""Methods at equal budgets: replayed on recorded curves in seconds, or run live, and what they found in figures.

Names are handed on when they are first used: a worker that trains needs neither torch nor matplotlib for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperstar_tune.evaluation import faults
    from hyperstar_tune.evaluation._replay import replay
    from hyperstar_tune.evaluation._run import Incumbent, Run, TrialRecord
    from hyperstar_tune.evaluation._sweep import Budgets, SweepProgress, protocol_budgets, run_method, sweep
    from hyperstar_tune.evaluation.curves import TaskCurves
    from hyperstar_tune.evaluation.live import LiveRun, run_live, table_trainable
    from hyperstar_tune.evaluation.loo import LooScores, leave_family_out
    from hyperstar_tune.evaluation.methods import Method, Setting, make_method, method_names, use_names
    from hyperstar_tune.evaluation.statistics import Interval, bootstrap_mean, holm, paired_p_value
    from hyperstar_tune.evaluation.summary import summarize

_FILES = {
    "_run": ("Incumbent", "Run", "TrialRecord"),
    "curves": ("TaskCurves",),
    "live": ("LiveRun", "run_live", "table_trainable"),
    "loo": ("LooScores", "leave_family_out"),
    "methods": ("Method", "Setting", "make_method", "method_names", "use_names"),
    "_replay": ("replay",),
    "statistics": ("Interval", "bootstrap_mean", "holm", "paired_p_value"),
    "summary": ("summarize",),
    "_sweep": ("Budgets", "SweepProgress", "protocol_budgets", "run_method", "sweep"),
}
_PLACES = {name: file for file, names in _FILES.items() for name in names}

__all__ = [
    "Budgets",
    "Incumbent",
    "Interval",
    "LiveRun",
    "LooScores",
    "Method",
    "Run",
    "Setting",
    "SweepProgress",
    "TaskCurves",
    "TrialRecord",
    "bootstrap_mean",
    "faults",
    "holm",
    "leave_family_out",
    "make_method",
    "method_names",
    "paired_p_value",
    "protocol_budgets",
    "replay",
    "run_live",
    "run_method",
    "summarize",
    "sweep",
    "table_trainable",
    "use_names",
]


def __getattr__(name: str) -> Any:
    if name == "faults":
        return import_module("hyperstar_tune.evaluation.faults")
    if name in _PLACES:
        return getattr(import_module(f"hyperstar_tune.evaluation.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'hyperstar_tune.evaluation' has no attribute {name!r}")
