"""Figures of a run as SVG text for its page: so small that they can be read on a telephone without scaling."""

import io
import re
import warnings
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hyperstar_tune.report.importance import Importance
from hyperstar_tune.report.standings import Promise, Standing
from hyperstar_tune.report.words import metric_name

__all__ = ["draw_best", "draw_confusion", "draw_curves", "draw_importance_bars", "draw_promise"]

_SIZE = (4.2, 3.0)  # inches: about 400 pixels wide
_MOST_NAMED = 16  # classes whose names are written
_NUMBERED = 12  # classes up to which the cells have numbers


def draw_curves(standings: Sequence[Standing], levels: Sequence[int], metric: str) -> str:
    """The metric of each trial after each epoch, coloured by the rung that it reached; the winner is black."""
    figure, axes = _axes()
    reached = sorted({s.level for s in standings if s.values})
    colours = dict(zip(reached, mpl.colormaps["viridis"](np.linspace(0.85, 0.1, max(1, len(reached)))), strict=True))
    for level in levels:
        axes.axvline(level, color="0.85", lw=0.8, zorder=0)
    for s in sorted(standings, key=lambda s: s.is_winner):
        look = {"color": "black", "lw": 2.0} if s.is_winner else {"color": colours.get(s.level, "0.5"), "lw": 1.0}
        axes.plot(s.epochs, s.values, marker="." if len(s.values) < 2 else "", **look)
    for level in reached:
        n = sum(s.level == level and bool(s.values) for s in standings)
        label = f"{n} reached epoch {level}" if level else f"{n} ended before a rung" if levels else f"{n} trials"
        axes.plot([], [], color=colours[level], label=label)
    axes.plot([], [], color="black", lw=2, label="winner")
    axes.set(xlabel="epoch", ylabel=metric_name(metric))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8)
    return _svg(figure, "curves")


def draw_best(x: Sequence[float], best: Sequence[float], label: str, metric: str, name: str) -> str:
    """The best value so far against what was spent."""
    figure, axes = _axes()
    axes.step(x, best, where="post", color="#1f5fa8", lw=1.8)
    axes.set(xlabel=label, ylabel=f"best {metric_name(metric)} so far")
    axes.set_xlim(left=0)
    return _svg(figure, name)


def draw_promise(promise: Promise) -> str:
    """Ranks that the ranking promised against those that were found; a kept promise lies on the line."""
    figure, axes = _axes()
    n = len(promise.promised)
    axes.plot([1, n], [1, n], color="0.8", lw=1, zorder=0)
    for rank, observed, s in zip(promise.promised, promise.observed, promise.standings, strict=True):
        axes.plot(rank, observed, "o", ms=5, color="black" if s.is_winner else "#1f5fa8")
    axes.set(xlabel="promised rank (1 is the best)", ylabel="observed rank")
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure, "promise")


def draw_confusion(confusion: Sequence[Sequence[int]], classes: Sequence[str], name: str) -> str:
    """Shares of the images of each true class (row) that were taken for each class (column)."""
    table = np.array(confusion, dtype=np.float64)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    figure, axes = _axes((4.2, 4.0))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set(xlabel="taken for", ylabel="is")
    if len(classes) <= _MOST_NAMED:
        names = [text if len(text) <= 14 else f"{text[:13]}…" for text in classes]
        axes.set_xticks(range(len(classes)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(classes)), names, parse_math=False)
    if len(classes) <= _NUMBERED:
        for i, j in zip(*np.nonzero(table), strict=True):
            colour = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", fontsize=8, color=colour)
    return _svg(figure, name)


def draw_importance_bars(importance: Importance) -> str:
    """Share of the variance of the results that each parameter explains, with 95 % intervals over forests."""
    effects = importance.parameters
    figure, axes = _axes((4.2, 1.0 + 0.3 * len(effects)))
    means = [100 * effect.mean for effect in effects.values()]
    ends = 100 * np.array([(e.mean - e.low, e.high - e.mean) for e in effects.values()]).T
    axes.barh(range(len(effects)), means, xerr=np.clip(ends, 0, None), color="#7fa8d4", error_kw={"lw": 1})
    axes.set_yticks(range(len(effects)), list(effects), parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel="share of the variance, %")
    return _svg(figure, "importance")


def _axes(size: tuple[float, float] = _SIZE) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    """A figure as an ``svg`` element whose ids no other one has. Its text stays text: small, and found by a search."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # of names in other scripts, which the browser has
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])
