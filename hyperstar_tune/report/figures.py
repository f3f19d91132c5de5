"""Draws the summary of a sweep: a panel per task (Figures 3, 4), the average (5b), regret against epochs and seconds.

``comparison.summarize`` makes the summary. The caller says how methods look, by name: matplotlib's ``label``, ``color``
and ``ls`` of a line. A method without a look is not drawn.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["draw_average", "draw_regret", "draw_tasks", "save"]

Looks = Mapping[str, Mapping[str, Any]]


def draw_tasks(summary: Mapping[str, Any], path: Path, looks: Looks, eta: str = "2") -> None:
    """Draws Figures 3 and 4: the mean best accuracy against epochs, one panel per task."""
    part = summary["by_eta"][eta]
    n_columns, n_rows = 5, -(-len(part["tasks"]) // 5)
    figure = Figure(figsize=(15, 2.4 * n_rows), layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for panel, (task, curves) in zip(panels, part["tasks"].items(), strict=False):
        for method in (name for name in looks if name in curves):
            panel.plot(part["grid"], curves[method], lw=1.3, **looks[method])
        panel.axhline(summary["best_of_table"][task], color="0.6", lw=0.8, ls=":")
        panel.set_title(task, fontsize=9)
        panel.tick_params(labelsize=7)
    for panel in panels[len(part["tasks"]) :]:
        panel.axis("off")
    _legend_below(figure, panels[0])
    figure.suptitle(
        f"Best accuracy found (half {summary['half']}) against epochs; dotted: best of the table. {_source(summary)}",
        fontsize=9,
    )
    save(figure, path)


def draw_average(summary: Mapping[str, Any], path: Path, looks: Looks) -> None:
    """Draws Figure 5b: the mean over families at the reported budgets with 95 % intervals, one marker per eta."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axis = figure.add_subplot()
    drawn: set[str] = set()
    for (eta, part), marker in zip(summary["by_eta"].items(), "osD^", strict=False):
        budgets = part["budgets"]
        shown = [name for name in looks if name in part["methods"]]
        for place, method in enumerate(shown):
            at = [part["methods"][method]["at_budgets"][str(budget)]["accuracy"] for budget in budgets]
            means, low, high = ([100 * value[end] for value in at] for end in ("mean", "low", "high"))
            ends = np.abs(np.subtract([low, high], means))
            beside = [budget * (1 + 0.02 * (place - len(shown) / 2)) for budget in budgets]  # or bars would hide bars
            look = {**looks[method], **({"label": ""} if method in drawn else {})}
            axis.errorbar(beside, means, ends, marker=marker, ms=4, capsize=2, lw=1.2, **look)
            drawn.add(method)
        axis.annotate(f"eta = {eta}", (budgets[-1], 1.0), xycoords=("data", "axes fraction"), ha="center", va="top")
    axis.set(xscale="log", xlabel="epoch budget", ylabel=f"mean best accuracy (half {summary['half']}), %")
    ticks = [budget for part in summary["by_eta"].values() for budget in part["budgets"]]
    axis.set_xticks(ticks, map(str, ticks))
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    axis.set_title(f"{_source(summary)}. Intervals: families, 95 %", fontsize=9)
    save(figure, path)


def draw_regret(summary: Mapping[str, Any], path: Path, looks: Looks, eta: str = "2") -> None:
    """Draws regret against epochs and against seconds, with 95 % intervals over families."""
    part = summary["by_eta"][eta]
    figure = Figure(figsize=(12, 5.0), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    kinds = {"regret": "epochs spent", "regret_at_equal_seconds": "seconds spent, in mean epochs of the task"}
    for panel, (kind, label) in zip(panels, kinds.items(), strict=True):
        for method in (name for name in looks if name in part["methods"]):
            band = part["methods"][method][kind]
            mean, low, high = ([max(100 * value, 0.05) for value in band[end]] for end in ("mean", "low", "high"))
            panel.plot(part["grid"], mean, lw=1.4, **looks[method])
            panel.fill_between(part["grid"], low, high, color=looks[method]["color"], alpha=0.12, lw=0)
        panel.set(xlabel=label, yscale="log")
        panel.grid(alpha=0.3, which="both")
    panels[0].set_ylabel(f"regret (half {summary['half']}), points of accuracy")
    _legend_below(figure, panels[0])
    figure.suptitle(_source(summary), fontsize=9)
    save(figure, path)


def save(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Writes a figure into a file, and makes its folder if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)


def _legend_below(figure: Figure, panel: Axes) -> None:
    """One legend for all panels, which show the same methods."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)


def _source(summary: Mapping[str, Any]) -> str:
    table = summary.get("table")
    if not table:
        return ""
    return f"Table {table['name']}: {table.get('replayed_tasks', table['tasks'])} tasks, R = {table['max_epochs']}"
