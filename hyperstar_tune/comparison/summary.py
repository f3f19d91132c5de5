"""Sums up a sweep: means over families with intervals, comparisons, epochs to a rival's accuracy, every run's values.

The summary is plain JSON; figures are drawn from it and from nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hyperstar_tune.comparison.budgets import Budgets
from hyperstar_tune.comparison.statistics import Interval, bootstrap_mean, epochs_over_rivals, holm, paired_p_value
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["oracle", "summarize"]

_RIVALS = ("hyperband", "bohb", "average_top1+hyperband", "average_normalized+hyperband")
_BASES = ("hyperband", "average_top1+hyperband", "average_top1+alone")


def summarize(frame: pd.DataFrame, table: MetaDataset, budgets: Sequence[Budgets]) -> dict[str, Any]:
    """Sums up the result of ``sweep`` on a table at some budgets; those of the result may be ``finer``, for curves.

    Returns:
        ``half`` ("B", or "A" where half B was not recorded), ``regret_unit``, by task the ``best_of_table`` (the end of
        a run over everything) and the ``oracle`` and, by eta: the ``grid`` of epochs, for
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
        "oracle": {
            task: round(value, 5) for task, value in oracle(table, column).items() if task in set(frame["task"])
        },
        "families": {str(task): str(family) for task, family in zip(frame["task"], frame["family"], strict=True)},
        "by_eta": {},
    }
    for plan in budgets:
        part = frame[frame["eta"] == plan.eta]
        if len(part):
            summary["by_eta"][str(plan.eta)] = _one_eta(part, column, best, plan.epochs(int(table.epochs[-1])))
    return summary


def _one_eta(part: pd.DataFrame, column: str, best: pd.Series, points: list[int]) -> dict[str, Any]:
    grid = sorted({int(budget) for budget in part["budget"]})
    family = dict(zip(part["task"], part["family"], strict=True))
    by_task, timed = (_mean_curves(part, name, grid) for name in (column, f"timed_{column}"))
    accuracies = {method: _by_family(curves, family) for method, curves in by_task.items()}
    regrets, late = (
        {method: _by_family(curves.rsub(best[curves.index], axis=0), family) for method, curves in kind.items()}
        for kind in (by_task, timed)
    )
    methods = {}
    for method, accuracy in accuracies.items():
        own, regret = part[part["method"] == method], regrets[method]
        methods[method] = {
            "seeds": int(own["seed"].nunique()),
            "searcher_s": round(float(own["searcher_s"].mean()), 5),
            "trials": round(float(own["trials"].mean()), 2),
            "accuracy": _bands(accuracy),
            "regret": _bands(regret),
            "regret_at_equal_seconds": _bands(late[method]),
            "at_budgets": {
                str(point): {
                    "accuracy": bootstrap_mean(accuracy[point]).to_json(),
                    "regret": bootstrap_mean(regret[point]).to_json(),
                }
                for point in points
            },
        }
    tasks = {
        task: {name: _rounded(curves.loc[task].to_numpy()) for name, curves in by_task.items() if task in curves.index}
        for task in family
    }
    in_time = [point for point in (points[0] // 2, *points) if point in grid]
    late_tasks = {
        task: {name: _rounded(c.loc[task, in_time].to_numpy()) for name, c in timed.items() if task in c.index}
        for task in family
    }
    at_points = {method: regret[points] for method, regret in regrets.items()}
    return {
        "budgets": points,
        "grid": grid,
        "methods": methods,
        "tasks": tasks,
        "against": {base: _compare(at_points, base) for base in _BASES if base in at_points},
        "epochs_to_rival": {
            rival: _epochs_to_rival(accuracies, rival, grid) for rival in _RIVALS if rival in accuracies
        },
        "at_equal_seconds": {"budgets": in_time, "tasks": late_tasks},
        "runs": _every_run(part, column, points),
    }


def _best(table: MetaDataset, column: str) -> pd.Series:
    """By task the accuracy, on the half that reports, of the best result on half A: the end of a run over all."""
    first = -1 if table.fingerprint.settles else 0  # of the epochs that count
    half_a, reported = (
        table.curve(name)[:, :, 0, first:].reshape(len(table.tasks), -1).astype(np.float64)  # [T, H x F]
        for name in ("val_accuracy", "val_accuracy" if column == "accuracy" else "val_accuracy_b")
    )
    places = np.where(np.isnan(half_a), -np.inf, half_a).argmax(axis=1)
    found = np.where(np.isnan(half_a).all(axis=1), np.nan, reported[np.arange(len(places)), places])
    return pd.Series(found, index=table.tasks["name"].astype(str))


def oracle(table: MetaDataset, column: str) -> pd.Series:
    """By task the accuracy of the configuration that is best by all that was measured, trained to R: the limit.

    It is the one with the highest steady accuracy, and stands with its best epoch on half A (with its last one where
    curves settle). ``column`` says on which half it is reported.
    """
    steady = table.steady_scores()
    best = np.where(np.isnan(steady), -np.inf, steady).argmax(axis=1)
    rows, first = np.arange(len(best)), -1 if table.fingerprint.settles else 0
    half_a, reported = (
        table.curve(name)[rows, best, 0, first:].astype(np.float64)  # [T, F]
        for name in ("val_accuracy", "val_accuracy" if column == "accuracy" else "val_accuracy_b")
    )
    epochs = np.where(np.isnan(half_a), -np.inf, half_a).argmax(axis=1)
    return pd.Series(reported[rows, epochs], index=table.tasks["name"].astype(str))


def _mean_curves(part: pd.DataFrame, column: str, grid: list[int]) -> dict[str, pd.DataFrame]:
    """Means over seeds by method, [task, budget]; before anything is found, the lowest value of the curve."""
    means = part.groupby(["method", "task", "budget"], sort=False)[column].mean().unstack("budget")[grid]
    means = means.apply(lambda curve: curve.fillna(curve.min()), axis=1)
    return {str(method): curves.droplevel("method") for method, curves in means.groupby("method", sort=False)}


def _by_family(curves: pd.DataFrame, family: Mapping[str, str]) -> pd.DataFrame:
    """Means over a family's tasks, [family, budget]."""
    return curves.groupby(lambda task: family[task], sort=False).mean()


def _bands(by_family: pd.DataFrame) -> dict[str, list[float]]:
    intervals = [bootstrap_mean(by_family[budget], n_samples=2000) for budget in by_family]
    return {name: _rounded(ends) for name, ends in zip(Interval._fields, zip(*intervals, strict=True), strict=True)}


def _compare(regrets: Mapping[str, pd.DataFrame], base: str) -> dict[str, Any]:
    """Difference of regret to a method (negative: better), with p-values adjusted for all methods."""
    own = regrets[base]
    others = {name: of.loc[own.index] for name, of in regrets.items() if name != base and len(of) == len(own)}
    result: dict[str, Any] = {}
    for point in own:
        adjusted = holm({name: paired_p_value(regret[point], own[point]) for name, regret in others.items()})
        result[str(point)] = {
            name: bootstrap_mean(regret[point] - own[point]).to_json() | {"holm_p": round(adjusted[name], 5)}
            for name, regret in others.items()
        }
    return result


def _epochs_to_rival(accuracies: Mapping[str, pd.DataFrame], rival: str, grid: Sequence[int]) -> dict[str, Any]:
    """Epochs of every method over the rival's own, until the rival's final accuracy is reached within half a point."""
    theirs, result = accuracies[rival], {}
    for method, accuracy in accuracies.items():
        if list(accuracy.index) == list(theirs.index):
            ratio, reached = epochs_over_rivals(accuracy, theirs, grid)
            result[method] = ratio.to_json() | {"families_that_reach_it": round(reached, 4)}
    return result


def _every_run(part: pd.DataFrame, column: str, points: list[int]) -> dict[str, Any]:
    """The values at the reported budgets, for every seed in order, by method and task."""
    runs: dict[str, Any] = {}
    wide = part.pivot(index=["method", "task", "seed"], columns="budget", values=column)[points]
    for (method, task, _), *values in wide.dropna(how="all").sort_index().itertuples():
        row = [None if np.isnan(value) else round(value, 4) for value in values]
        runs.setdefault(str(method), {}).setdefault(str(task), []).append(row)
    return runs


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 5) for value in values]
