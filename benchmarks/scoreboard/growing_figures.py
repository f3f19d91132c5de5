"""The figures of Increasing Image Sizes, drawn from ``image_sizes.json`` alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hyperstar_tune.report.figures import save

__all__ = ["draw"]

_MOST = 8  # parameters of which importances are drawn


def draw(found: Mapping[str, Any], folder: Path) -> None:
    """Writes ``image_sizes_importance.png``, ``image_sizes_marginals.png`` and ``image_sizes_savings.png``."""
    sizes = [f"{size} px" for size in found["sizes"]]
    _importance(found["importance_agreement"]["importances"], sizes, folder / "image_sizes_importance.png")
    _marginals(found["marginals"], sizes, folder / "image_sizes_marginals.png")
    _savings(found["optimizers"], folder / "image_sizes_savings.png")


def _importance(shares: Mapping[str, Any], sizes: Sequence[str], path: Path) -> None:
    names = sorted(shares[sizes[-1]], key=lambda name: -sum(shares[size][name]["mean"] for size in sizes))[:_MOST]
    figure = Figure(figsize=(7, 0.6 + 0.5 * len(names)), layout="constrained")
    panel = figure.add_subplot()
    height = 0.8 / len(sizes)
    for place, size in enumerate(sizes):
        y = np.arange(len(names)) + place * height
        means, errors = _bars([shares[size][name] for name in names], 100)
        panel.barh(y, means, height, xerr=errors, label=size, error_kw={"lw": 0.8})
    panel.set_yticks(np.arange(len(names)) + (len(sizes) - 1) * height / 2, names)
    panel.invert_yaxis()
    panel.set_xlabel("share of the variance, % (interval over tasks)")
    panel.legend(fontsize=8)
    panel.grid(alpha=0.3, axis="x")
    save(figure, path)


def _marginals(found: Mapping[str, Any], sizes: Sequence[str], path: Path) -> None:
    figure = Figure(figsize=(3.4 * len(found), 3), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for panel, (name, of_sizes) in zip(panels, found.items(), strict=True):
        for size in sizes:
            means, errors = _bars(of_sizes[size], 1)
            panel.errorbar(of_sizes["values"], means, errors, marker="o", ms=3, lw=1.2, capsize=2, label=size)
        if name == "lr":
            panel.set_xscale("log")
        else:
            panel.set_xticks(of_sizes["values"])
        panel.set_title(name, fontsize=9)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy above the mean, points", fontsize=8)
    panels[0].legend(fontsize=8)
    save(figure, path)


def _savings(optimizers: Mapping[str, Any], path: Path) -> None:
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for panel, key, label in (
        (left, "time_saved_percent", "time saved, %"),
        (right, "accuracy_change_points", "change of held-out accuracy, points"),
    ):
        _points(panel, [of[key] for of in optimizers.values()])
        panel.set_xlabel(label)
    left.set_yticks(range(len(optimizers)), list(optimizers))
    left.invert_yaxis()
    save(figure, path)


def _points(panel: Axes, found: Sequence[Mapping[str, float]]) -> None:
    means, errors = _bars(found, 1)
    panel.errorbar(means, range(len(found)), xerr=errors, fmt="o", capsize=3)
    panel.axvline(0, color="grey", lw=0.8)
    panel.grid(alpha=0.3, axis="x")


def _bars(found: Sequence[Mapping[str, Any]], factor: float) -> tuple[list[float], np.ndarray]:
    """Means, and the lengths of the intervals below and above them; NaN where nothing is known."""
    rows = np.array([[one["mean"], one["low"], one["high"]] for one in found], dtype=np.float64) * factor
    return list(rows[:, 0]), np.clip([rows[:, 0] - rows[:, 1], rows[:, 2] - rows[:, 0]], 0, None)
