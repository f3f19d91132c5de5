"""Compares methods at equal budgets: they are replayed on recorded curves in seconds, or run live."""

from hyperstar_tune.comparison.budgets import Budgets, protocol_budgets
from hyperstar_tune.comparison.judging import by_family, judge, true_scores
from hyperstar_tune.comparison.leave_out import LooScores, leave_family_out
from hyperstar_tune.comparison.live import LiveRun, run_live
from hyperstar_tune.comparison.methods import Method, Setting, make_method, method_names, use_names
from hyperstar_tune.comparison.statistics import Interval, bootstrap_mean, holm, paired_p_value
from hyperstar_tune.comparison.summary import summarize
from hyperstar_tune.comparison.sweeping import SweepProgress, run_method, sweep

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
    "true_scores",
    "use_names",
]
