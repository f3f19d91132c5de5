"""Draws the summary of a sweep: a panel a task (Figures 3, 4), the average (5b), regret against epochs and seconds."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

__all__ = ["LABELS", "draw_average", "draw_live_beside_replay", "draw_regret", "draw_tasks"]

LABELS = {
    "hyperband": "Hyperband",
    "bohb": "BOHB",
    "asha": "ASHA",
    "random_search": "random search",
    "tpe_hyperband": "TPE + Hyperband",
    "ray_hyperband": "Ray's HyperBandScheduler",
    "hyperband_reversed": "Hyperband, least aggressive first",
    "tr_automl": "Tr-AutoML",
    "rush": "RUSH",
    "hyperstar_plus+hyperband": "HyperSTAR+ and Hyperband",
    "hyperstar_plus+hyperband_reversed": "HyperSTAR+ and Hyperband, least aggressive first",
    "hyperstar_plus+alone": "HyperSTAR+'s ranking alone",
    "bm_both+hyperband": "HyperSTAR (frozen) + Hyperband",
    "bm_both+alone": "HyperSTAR's (frozen) ranking alone",
    "bm_both+bohb": "HyperSTAR (frozen) + BOHB",
    "bm_both+asha": "HyperSTAR (frozen) + ASHA",
    "bm_both+hyperband_reversed": "HyperSTAR (frozen) + Hyperband, least aggressive first",
    "hyperstar+hyperband": "HyperSTAR + Hyperband",
    "hyperstar+alone": "HyperSTAR's ranking alone",
    "average_top1+hyperband": "average ranking + Hyperband",
    "average_top1+alone": "average ranking alone",
}
SHOWN = (
    *("hyperband", "bohb", "average_top1+hyperband", "bm_both+hyperband", "bm_both+alone", "tr_automl"),
    *("hyperstar_plus+hyperband", "hyperstar_plus+hyperband_reversed", "hyperstar_plus+alone"),
)
_POINT_METHODS = {"tr_automl": 11}  # reported once, after so many times R epochs, as in the paper


def draw_tasks(summary: Mapping[str, Any], path: Path, methods: Sequence[str] = SHOWN, eta: str = "2") -> None:
    """Figures 3 and 4: the mean best accuracy against epochs, a panel a task."""
    part = summary["by_eta"][eta]
    tasks = part["tasks"]
    n_columns = 5
    n_rows = -(-len(tasks) // n_columns)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(15, 2.4 * n_rows), layout="constrained", squeeze=False)
    for axis, (task, curves) in zip(axes.flat, tasks.items(), strict=False):
        for method in methods:
            if method in curves and method not in _POINT_METHODS:
                axis.plot(part["grid"], curves[method], label=LABELS.get(method, method), lw=1.3, **_look(method))
        axis.axhline(summary["best_of_table"][task], color="0.6", lw=0.8, ls=":")
        axis.set_title(task, fontsize=9)
        axis.tick_params(labelsize=7)
    for axis in list(axes.flat)[len(tasks) :]:
        axis.axis("off")
    _legend_below(figure, axes.flat[0])
    figure.suptitle(
        f"Best accuracy found (half {summary['half']}) against epochs; dotted: best of the table. {_source(summary)}",
        fontsize=9,
    )
    _save(figure, path)


def draw_average(summary: Mapping[str, Any], path: Path, methods: Sequence[str] = SHOWN) -> None:
    """Figure 5b: mean over families at the protocol's budgets, with 95 % intervals; a marker a value of eta."""
    figure, axis = plt.subplots(figsize=(9, 4.5), layout="constrained")
    ticks: list[int] = []
    for (eta, part), marker in zip(summary["by_eta"].items(), "osD^", strict=False):
        ticks += part["budgets"]
        shown = [name for name in methods if name in part["methods"]]
        for place, method in enumerate(shown):
            at = [part["methods"][method]["at_budgets"][str(budget)]["accuracy"] for budget in part["budgets"]]
            means = [100 * value["mean"] for value in at]
            errors = [
                [mean - 100 * value["low"] for mean, value in zip(means, at, strict=True)],
                [100 * value["high"] - mean for mean, value in zip(means, at, strict=True)],
            ]
            shifted = [budget * (1 + 0.02 * (place - len(shown) / 2)) for budget in part["budgets"]]
            label = f"{LABELS.get(method, method)}" if marker == "o" else None
            axis.errorbar(shifted, means, errors, label=label, marker=marker, ms=4, capsize=2, lw=1.2, **_look(method))
        axis.annotate(
            f"eta = {eta}", (part["budgets"][-1], 1.0), xycoords=("data", "axes fraction"), ha="center", va="top"
        )
    axis.set(xscale="log", xlabel="epoch budget", ylabel=f"mean best accuracy (half {summary['half']}), %")
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside lower center", ncols=3)
    axis.set_title(f"{_source(summary)}. Intervals: families, 95 %", fontsize=9)
    _save(figure, path)


def draw_regret(summary: Mapping[str, Any], path: Path, methods: Sequence[str] = SHOWN, eta: str = "2") -> None:
    """Regret against epochs and against seconds, with 95 % intervals over families."""
    part = summary["by_eta"][eta]
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained", sharey=True)
    kinds = (("regret", "epochs spent"), ("regret_at_equal_seconds", "seconds spent, in mean epochs of the task"))
    for axis, (kind, label) in zip(axes, kinds, strict=True):
        for method in methods:
            if method in part["methods"]:
                _band(axis, part["grid"], part["methods"][method][kind], method)
        axis.set(xlabel=label, yscale="log")
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel(f"regret (half {summary['half']}), points of accuracy")
    _legend_below(figure, axes[0])
    figure.suptitle(_source(summary), fontsize=9)
    _save(figure, path)


def draw_live_beside_replay(result: Mapping[str, Any], path: Path) -> None:
    """Live runs on real training, a line a run, beside the mean (and 10 to 90 %) of the replayed ones: a row a task."""
    tasks = list(result["tasks"])
    figure, axes = plt.subplots(len(tasks), 2, figsize=(11, 3.4 * len(tasks)), layout="constrained", squeeze=False)
    for row, task in zip(axes, tasks, strict=True):
        for method, runs in result["tasks"][task]["live"].items():
            for number, run in enumerate(_percent(runs)):
                label = LABELS.get(method, method) if number == 0 else None
                row[0].step(range(1, len(run) + 1), run, where="post", color=_color(method), lw=1.2, label=label)
        for method, runs in result["tasks"][task]["replay"].items():
            values = _percent(runs)
            epochs = range(1, values.shape[1] + 1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # an epoch before anybody's first result
                low, high = np.nanpercentile(values, [10, 90], axis=0)
                mean = np.nanmean(values, axis=0)
            row[1].step(epochs, mean, where="post", color=_color(method), lw=1.4, label=f"{len(runs)} runs")
            row[1].fill_between(epochs, low, high, step="post", color=_color(method), alpha=0.12, lw=0)
        row[0].set(title=f"{task}: live, a line a run", ylabel="best accuracy so far (half B), %")
        row[1].set(title=f"{task}: replayed, mean and 10 to 90 %")
        row[1].sharey(row[0])
        for axis in row:
            axis.set(xlabel="epochs spent")
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8, loc="lower right")
    figure.suptitle(result["source"], fontsize=9)
    _save(figure, path)


def _percent(runs: Sequence[Sequence[float | None]]) -> npt.NDArray[np.float64]:
    """Runs of perhaps unequal length as percent, the last value held, shape [runs, epochs]."""
    longest = max(len(run) for run in runs)
    held = [[np.nan if v is None else 100 * v for v in (*run, *[run[-1]] * (longest - len(run)))] for run in runs]
    return np.asarray(held, dtype=np.float64)


def _band(axis: Axes, grid: Sequence[int], band: Mapping[str, Sequence[float]], method: str) -> None:
    points = {name: [max(100 * value, 0.05) for value in band[name]] for name in ("mean", "low", "high")}
    axis.plot(grid, points["mean"], label=LABELS.get(method, method), lw=1.4, **_look(method))
    axis.fill_between(grid, points["low"], points["high"], color=_color(method), alpha=0.12, lw=0)


def _legend_below(figure: Any, axis: Axes) -> None:
    """One legend in two rows for all panels, which show the same methods."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=-(-len(labels) // 2), fontsize=9)


def _look(method: str) -> dict[str, Any]:
    """Dashed where Hyperband's first bracket may hide the ranking alone."""
    return {"color": _color(method), "ls": "--" if method.endswith("+alone") else "-"}


def _color(method: str) -> str:
    method = method.replace("hyperstar+", "bm_both+")  # the ranking of a whole predictor
    order = list(LABELS)
    known = {
        "hyperband": "#1f77b4",
        "bohb": "#ff7f0e",
        "average_top1+hyperband": "#2ca02c",
        "bm_both+hyperband": "#d62728",
        "bm_both+alone": "#e377c2",
        "tr_automl": "#7f7f7f",
        "hyperstar_plus+hyperband": "#000000",
        "hyperstar_plus+hyperband_reversed": "#9467bd",
        "hyperstar_plus+alone": "#8c564b",
    }
    return known.get(method) or f"C{(order.index(method) if method in order else sum(map(ord, method))) % 10}"


def _source(summary: Mapping[str, Any]) -> str:
    table = summary.get("table")
    if not table:
        return ""
    return f"Table {table['name']}: {table.get('replayed_tasks', table['tasks'])} tasks, R = {table['max_epochs']}"


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
