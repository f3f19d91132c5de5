"""Means over families of what methods reach at equal seconds, what one is above another, and what was wanted."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hyperstar_tune.comparison.statistics import MIN_FAMILIES, bootstrap_mean

__all__ = ["GOALS", "above", "of_families", "wanted"]

# At each budget, points above the better of some methods.
GOALS: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "above the expert's race": (("expert", "expert_96px"), {"1": 1.0, "4.5": 3.0}),
    "above the untuned default": (("untuned_default", "untuned_default_96px"), {"1": 2.0, "4.5": 4.0}),
    "above optuna's TPE with Hyperband": (("optuna_tpe_hyperband",), {"1": 5.0, "16": 0.0}),
}

Repeats = Mapping[str, Mapping[str, list[float]]]  # by task and budget, one accuracy per run


def of_families(by_task: Mapping[str, float], families: Mapping[str, str]) -> dict[str, Any]:
    """Mean over families of the mean of their tasks, with its interval; fewer than five families give none."""
    of: dict[str, list[float]] = {}
    for task, value in by_task.items():
        of.setdefault(families[task], []).append(value)
    means = {family: float(np.mean(values)) for family, values in of.items()}
    found: dict[str, Any] = bootstrap_mean(list(means.values())).to_json()
    if len(means) < MIN_FAMILIES:
        found |= {"low": None, "high": None}
    return found | {"families": len(means)}


def above(ours: Repeats, theirs: Repeats, families: Mapping[str, str]) -> dict[str, Any]:
    """Points that one method is above another at each budget, on the tasks that both have."""
    shared = [task for task in ours if task in theirs]
    budgets = list(ours[shared[0]]) if shared else []
    return {
        budget: of_families(
            {task: 100 * float(np.mean(ours[task][budget]) - np.mean(theirs[task][budget])) for task in shared},
            families,
        )
        | {"by_task": {t: round(100 * float(np.mean(ours[t][budget]) - np.mean(theirs[t][budget])), 3) for t in shared}}
        for budget in budgets
    }


def wanted(leads: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The goals beside what was reached, against that rival of a goal which is hardest to beat at the budget.

    Args:
        leads: What ``above`` gives, by rival.
    """
    found: dict[str, Any] = {}
    for name, (rivals, points) in GOALS.items():
        for budget, least in points.items():
            of = {rival: leads[rival][budget] for rival in rivals if leads.get(rival)}
            if not of:
                continue
            hardest = min(of, key=lambda rival: of[rival]["mean"])
            reached = {key: of[hardest][key] for key in ("mean", "low", "high", "families")}
            found[f"{name} at {budget} R"] = {
                "at_least": least,
                "reached": reached,
                "rival": hardest,
                "met": reached["mean"] >= least,
            }
    return found
