"""Draws importances as bars, side by side for image sizes or sources, and marginals, one panel per parameter."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hyperstar_tune.report.figures import save
from hyperstar_tune.report.importance import Importance

__all__ = ["draw_importance", "draw_marginals"]

_MOST = 20  # parameters that are drawn
_COLUMNS = 4


def draw_importance(importances: Mapping[str, Importance], path: Path) -> None:
    """Draws one group of bars for each parameter, with 95 % intervals where there are some."""
    names = _names(importances)
    figure = Figure(figsize=(7, 1.2 + 0.32 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(importances)
    for place, (label, one) in enumerate(importances.items()):
        effects = [one.parameters.get(name) for name in names]
        means = [100 * effect.mean if effect else 0.0 for effect in effects]
        ends = [(effect.mean - effect.low, effect.high - effect.mean) if effect else (0, 0) for effect in effects]
        errors = None if np.isnan(ends).any() else np.clip(100 * np.transpose(ends), 0, None)
        y = np.arange(len(names)) + place * height
        axes.barh(y, means, height, xerr=errors, label=f"{label} ({one.n_trials} trials)", error_kw={"lw": 0.8})
    axes.set_yticks(np.arange(len(names)) + (len(importances) - 1) * height / 2, names)
    axes.invert_yaxis()
    axes.set_xlabel("share of the variance, %")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3, axis="x")
    save(figure, path)


def draw_marginals(importances: Mapping[str, Importance], path: Path) -> None:
    """Draws the mean score over all other parameters against each parameter, one line for each source."""
    names = [name for name in _names(importances) if any(name in one.marginals for one in importances.values())]
    rows = -(-len(names) // _COLUMNS)
    figure = Figure(figsize=(3.2 * _COLUMNS, 2.4 * rows), layout="constrained")
    panels = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    for panel, name in zip(panels, names, strict=False):
        for label, one in importances.items():
            if name not in one.marginals:
                continue
            marginal = one.marginals[name]
            are_numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in marginal.values)
            x = np.array(marginal.values if are_numbers else range(len(marginal.values)), dtype=float)
            panel.plot(x, marginal.mean, marker="" if len(x) > 12 else "o", ms=3, lw=1.2, label=label)
            panel.fill_between(x, marginal.low, marginal.high, alpha=0.15, lw=0)
            if not are_numbers:
                panel.set_xticks(x, map(str, marginal.values))
            elif x[0] > 0 and x[-1] >= 10 * x[0]:
                panel.set_xscale("log")
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.grid(alpha=0.3)
    for panel in panels[len(names) :]:
        panel.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    save(figure, path)


def _names(importances: Mapping[str, Importance]) -> list[str]:
    """Parameters, those with the largest mean importance first."""
    names = list(dict.fromkeys(name for one in importances.values() for name in one.parameters))

    def mean(name: str) -> float:
        return float(np.mean([one.parameters[name].mean for one in importances.values() if name in one.parameters]))

    return sorted(names, key=mean, reverse=True)[:_MOST]
