"""Compares methods at equal budgets: they are replayed on recorded curves in seconds, or run live."""

from hyperstar_tune.comparison.budgets import Budgets, protocol_budgets
from hyperstar_tune.comparison.leave_out import LooScores, leave_family_out
from hyperstar_tune.comparison.live import run_live
from hyperstar_tune.comparison.methods import METHODS, USES, Setting, make_method
from hyperstar_tune.comparison.summary import summarize
from hyperstar_tune.comparison.sweeping import run_method, sweep

__all__ = [
    "METHODS",
    "USES",
    "Budgets",
    "LooScores",
    "Setting",
    "leave_family_out",
    "make_method",
    "protocol_budgets",
    "run_live",
    "run_method",
    "summarize",
    "sweep",
]
