"""Sums up a sweep: means over families with intervals, comparisons, epochs to a rival's accuracy, every run's values.

The summary is plain JSON; figures are drawn from it and from nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune.comparison.statistics import (
    bootstrap_mean,
    epochs_to_target,
    geometric_ratio,
    holm,
    paired_p_value,
)
from hyperstar_tune.comparison.sweeping import Budgets
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["summarize"]

_RIVALS = ("hyperband", "bohb", "average_top1+hyperband", "average_normalized+hyperband")
_BASES = ("hyperband", "average_top1+hyperband", "average_top1+alone")

Floats = npt.NDArray[np.float64]


def summarize(frame: pd.DataFrame, table: MetaDataset, budgets: Sequence[Budgets]) -> dict[str, Any]:
    """Sums up the result of ``sweep``.

    Args:
        frame: Its result; its budgets may be finer than ``budgets``, for curves.
        table: The table it was made from.
        budgets: Those to report.

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
    places = [grid.index(point) for point in points]
    by_task = _mean_curves(part, column, grid)
    timed = _mean_curves(part, f"timed_{column}", grid)
    families = dict(zip(part["task"], part["family"], strict=True))
    methods = list(dict.fromkeys(part["method"]))
    seconds = part.groupby(["method"], sort=False)[["searcher_s", "trials"]].mean()
    result: dict[str, Any] = {"budgets": points, "grid": grid, "methods": {}, "tasks": {}}
    regrets = {}
    for method in methods:
        accuracy, _ = _by_family(by_task[method], families)
        regret, names = _by_family({t: best[t] - curve for t, curve in by_task[method].items()}, families)
        timed_regret, _ = _by_family({t: best[t] - curve for t, curve in timed[method].items()}, families)
        regrets[method] = pd.DataFrame(regret[:, places], index=names, columns=points)
        result["methods"][method] = {
            "seeds": int(part[part["method"] == method]["seed"].nunique()),
            "searcher_s": round(float(seconds.loc[method, "searcher_s"]), 5),
            "trials": round(float(seconds.loc[method, "trials"]), 2),
            "accuracy": _bands(accuracy),
            "regret": _bands(regret),
            "regret_at_equal_seconds": _bands(timed_regret),
            "at_budgets": {
                str(point): {
                    "accuracy": bootstrap_mean(accuracy[:, place]).to_json(),
                    "regret": bootstrap_mean(regret[:, place]).to_json(),
                }
                for point, place in zip(points, places, strict=True)
            },
        }
    for task in dict.fromkeys(part["task"]):
        result["tasks"][task] = {m: _rounded(by_task[m][task]) for m in methods if task in by_task[m]}
    result["against"] = {base: _compare(regrets, points, base) for base in _BASES if base in regrets}
    result["epochs_to_rival"] = _epochs_to_rivals(by_task, families, grid)
    result["runs"] = _every_run(part, column, points)
    return result


def _best(table: MetaDataset, column: str) -> dict[str, float]:
    """What a run over the whole table would end with: the accuracy, on the half that reports, of the best on half A."""
    accuracy = table.curve("val_accuracy")[:, :, 0]  # [T, H, F]
    reported = accuracy if column == "accuracy" else table.curve("val_accuracy_b")[:, :, 0]
    best = {}
    for row, task in enumerate(table.tasks["name"]):
        flat = accuracy[row].ravel()
        best[str(task)] = float(reported[row].ravel()[int(np.nanargmax(flat))]) if np.isfinite(flat).any() else np.nan
    return best


def _mean_curves(part: pd.DataFrame, column: str, grid: list[int]) -> dict[str, dict[str, Floats]]:
    """Mean over seeds, by method and task, shape [budgets]; where nothing was found yet, the lowest of the curve."""
    means = part.groupby(["method", "task", "budget"], sort=False)[column].mean().unstack("budget")[grid]
    curves: dict[str, dict[str, Floats]] = {}
    keys: Any = means.index
    for (method, task), values in zip(keys, means.to_numpy(dtype=np.float64), strict=True):
        curves.setdefault(str(method), {})[str(task)] = np.where(np.isnan(values), np.nanmin(values), values)
    return curves


def _by_family(curves: Mapping[str, Floats], families: Mapping[str, str]) -> tuple[Floats, list[str]]:
    names = list(dict.fromkeys(families[task] for task in curves))
    rows = [np.mean([curve for task, curve in curves.items() if families[task] == name], axis=0) for name in names]
    return np.stack(rows), names


def _bands(by_family: Floats) -> dict[str, list[float]]:
    intervals = [bootstrap_mean(values, n_samples=2000) for values in by_family.T]
    return {name: _rounded([getattr(interval, name) for interval in intervals]) for name in ("mean", "low", "high")}


def _compare(regrets: Mapping[str, pd.DataFrame], points: list[int], base: str) -> dict[str, Any]:
    """Difference of regret to a method (negative: better), with p-values adjusted for all methods."""
    own = regrets[base]
    others = {
        name: regret.loc[own.index] for name, regret in regrets.items() if name != base and len(regret) == len(own)
    }
    result: dict[str, Any] = {}
    for point in points:
        adjusted = holm({name: paired_p_value(regret[point], own[point]) for name, regret in others.items()})
        result[str(point)] = {
            name: bootstrap_mean(regret[point] - own[point]).to_json() | {"holm_p": round(adjusted[name], 5)}
            for name, regret in others.items()
        }
    return result


def _epochs_to_rivals(
    by_task: Mapping[str, Mapping[str, Floats]], families: Mapping[str, str], grid: list[int]
) -> dict[str, Any]:
    """Epochs of every method over the rival's own, until the rival's final accuracy is reached within half a point."""
    result: dict[str, Any] = {}
    for rival in (name for name in _RIVALS if name in by_task):
        target, names = _by_family(by_task[rival], families)
        for method, curves in by_task.items():
            mean, own_names = _by_family(curves, families)
            if own_names != names:
                continue
            ratios = []
            for own, theirs in zip(mean, target, strict=True):
                steps = [epochs_to_target(curve, theirs[-1], 2 * len(grid)) for curve in (own, theirs)]
                ratios.append([grid[int(step) - 1] if step <= len(grid) else 2 * grid[-1] for step in steps])
            first, second = np.asarray(ratios, dtype=np.float64).T
            reached = float(np.mean(first <= grid[-1]))
            result.setdefault(rival, {})[method] = geometric_ratio(first.tolist(), second.tolist()).to_json() | {
                "families_that_reach_it": round(reached, 4)
            }
    return result


def _every_run(part: pd.DataFrame, column: str, points: list[int]) -> dict[str, Any]:
    """By method and task: for every seed, in order, the values at the reported budgets."""
    runs: dict[str, Any] = {}
    at = part[part["budget"].isin(points)]
    wide = at.pivot_table(index=["method", "task", "seed"], columns="budget", values=column, sort=True, dropna=False)
    wide = wide.dropna(how="all")[points]
    keys: Any = wide.index
    for (method, task, _), values in zip(keys, wide.to_numpy(dtype=np.float64), strict=True):
        row = [None if np.isnan(value) else round(float(value), 4) for value in values]
        runs.setdefault(str(method), {}).setdefault(str(task), []).append(row)
    return runs


def _rounded(values: Sequence[float] | Floats) -> list[float]:
    return [round(float(value), 5) for value in values]
