"""Sums up a sweep: means over families with intervals, comparisons, epochs to a rival's accuracy, every run's values.

The summary is plain JSON; figures are drawn from it and from nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hyperstar_tune.comparison.budgets import Budgets
from hyperstar_tune.comparison.statistics import (
    bootstrap_mean,
    epochs_over_rivals,
    holm,
    paired_p_value,
)
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["summarize"]

_RIVALS = ("hyperband", "bohb", "average_top1+hyperband", "average_normalized+hyperband")
_BASES = ("hyperband", "average_top1+hyperband", "average_top1+alone")


def summarize(frame: pd.DataFrame, table: MetaDataset, budgets: Sequence[Budgets]) -> dict[str, Any]:
    """Sums up the result of ``sweep``.

    Args:
        frame: The result of ``sweep``; its budgets may be finer than ``budgets``, for curves.
        table: The table that it was made from.
        budgets: Budgets to report.

    Returns:
        ``half`` ("B", or "A" where half B was not recorded), ``regret_unit`` and, by eta: the ``grid`` of epochs, for
        every method the mean accuracy and regret on it with intervals over families, the same at equal seconds, figures
        at the reported budgets; paired comparisons with vanilla Hyperband and the average ranking; ratios of epochs to
        the rivals' accuracy; for every task the mean curves; the values of every run.
    """
    half = "B" if frame["accuracy_b"].notna().any() else "A"
    column = "accuracy_b" if half == "B" else "accuracy"
    best = _best(table, column)
    summary: dict[str, Any] = {
        "half": half,
        "regret_unit": "share of images; best of the table less best found",
        "best_of_table": {task: round(value, 5) for task, value in best.items()},
        "families": {str(task): str(family) for task, family in zip(frame["task"], frame["family"], strict=True)},
        "by_eta": {},
    }
    longest = int(table.epochs[-1])
    for plan in budgets:
        part = frame[frame["eta"] == plan.eta]
        if len(part):
            summary["by_eta"][str(plan.eta)] = _one_eta(part, column, best, plan.epochs(longest))
    return summary


def _one_eta(part: pd.DataFrame, column: str, best: Mapping[str, float], points: list[int]) -> dict[str, Any]:
    grid = sorted({int(budget) for budget in part["budget"]})
    families = dict(zip(part["task"], part["family"], strict=True))
    by_task, timed = (_mean_curves(part, name, grid) for name in (column, f"timed_{column}"))
    accuracies = {method: _by_family(curves, families) for method, curves in by_task.items()}
    regrets, methods = {}, {}
    for method, accuracy in accuracies.items():
        own = part[part["method"] == method]
        regret, late = (
            _by_family({task: best[task] - curve for task, curve in curves[method].items()}, families)
            for curves in (by_task, timed)
        )
        regrets[method] = regret[points]
        methods[method] = {
            "seeds": int(own["seed"].nunique()),
            "searcher_s": round(float(own["searcher_s"].mean()), 5),
            "trials": round(float(own["trials"].mean()), 2),
            "accuracy": _bands(accuracy),
            "regret": _bands(regret),
            "regret_at_equal_seconds": _bands(late),
            "at_budgets": {
                str(point): {
                    "accuracy": bootstrap_mean(accuracy[point]).to_json(),
                    "regret": bootstrap_mean(regret[point]).to_json(),
                }
                for point in points
            },
        }
    tasks = dict.fromkeys(part["task"])
    return {
        "budgets": points,
        "grid": grid,
        "methods": methods,
        "tasks": {t: {m: _rounded(curves[t]) for m, curves in by_task.items() if t in curves} for t in tasks},
        "against": {base: _compare(regrets, base) for base in _BASES if base in regrets},
        "epochs_to_rival": {rival: _epochs_to_rival(accuracies, rival) for rival in _RIVALS if rival in accuracies},
        "runs": _every_run(part, column, points),
    }


def _best(table: MetaDataset, column: str) -> dict[str, float]:
    """The accuracy, on the half that reports, of the best configuration on half A: the end of a run over all."""
    accuracy = table.curve("val_accuracy")[:, :, 0]  # [T, H, F]
    reported = accuracy if column == "accuracy" else table.curve("val_accuracy_b")[:, :, 0]
    best = {}
    for row, task in enumerate(table.tasks["name"]):
        flat = accuracy[row].ravel()
        best[str(task)] = float(reported[row].ravel()[int(np.nanargmax(flat))]) if np.isfinite(flat).any() else np.nan
    return best


def _mean_curves(part: pd.DataFrame, column: str, grid: list[int]) -> dict[str, dict[str, pd.Series]]:
    """Mean over seeds at every budget, by method and task; before anything is found, the lowest value of the curve."""
    means = part.groupby(["method", "task", "budget"], sort=False)[column].mean().unstack("budget")[grid]
    means = means.apply(lambda curve: curve.fillna(curve.min()), axis=1)
    curves: dict[str, dict[str, pd.Series]] = {}
    for (method, task), curve in means.iterrows():
        curves.setdefault(str(method), {})[str(task)] = curve
    return curves


def _by_family(curves: Mapping[str, pd.Series], families: Mapping[str, str]) -> pd.DataFrame:
    """Mean over a family's tasks: one row per family, one column per budget."""
    return pd.DataFrame(curves).T.groupby(lambda task: families[task], sort=False).mean()


def _bands(by_family: pd.DataFrame) -> dict[str, list[float]]:
    intervals = [bootstrap_mean(by_family[budget], n_samples=2000) for budget in by_family]
    return {name: _rounded([getattr(interval, name) for interval in intervals]) for name in ("mean", "low", "high")}


def _compare(regrets: Mapping[str, pd.DataFrame], base: str) -> dict[str, Any]:
    """Difference of regret to a method (negative: better), with p-values adjusted for all methods."""
    own = regrets[base]
    others = {
        name: regret.loc[own.index] for name, regret in regrets.items() if name != base and len(regret) == len(own)
    }
    result: dict[str, Any] = {}
    for point in own:
        adjusted = holm({name: paired_p_value(regret[point], own[point]) for name, regret in others.items()})
        result[str(point)] = {
            name: bootstrap_mean(regret[point] - own[point]).to_json() | {"holm_p": round(adjusted[name], 5)}
            for name, regret in others.items()
        }
    return result


def _epochs_to_rival(accuracies: Mapping[str, pd.DataFrame], rival: str) -> dict[str, Any]:
    """Epochs of every method over the rival's own, until the rival's final accuracy is reached within half a point."""
    theirs, result = accuracies[rival], {}
    grid: Any = theirs.columns.tolist()
    for method, accuracy in accuracies.items():
        if list(accuracy.index) == list(theirs.index):
            ratio, reached = epochs_over_rivals(accuracy, theirs, grid)
            result[method] = ratio.to_json() | {"families_that_reach_it": round(reached, 4)}
    return result


def _every_run(part: pd.DataFrame, column: str, points: list[int]) -> dict[str, Any]:
    """The values at the reported budgets, for every seed in order, by method and task."""
    runs: dict[str, Any] = {}
    at = part[part["budget"].isin(points)]
    wide = at.pivot_table(index=["method", "task", "seed"], columns="budget", values=column, sort=True, dropna=False)
    wide = wide.dropna(how="all")[points]
    keys: Any = wide.index
    for (method, task, _), values in zip(keys, wide.to_numpy(dtype=np.float64), strict=True):
        row = [None if np.isnan(value) else round(float(value), 4) for value in values]
        runs.setdefault(str(method), {}).setdefault(str(task), []).append(row)
    return runs


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 5) for value in values]
