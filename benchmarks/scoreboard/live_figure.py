"""Live runs on real training beside the same runs replayed, drawn from live.json alone."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hyperstar_tune.comparison.methods import looks
from hyperstar_tune.report.figures import save

__all__ = ["draw_live_beside_replay"]


def draw_live_beside_replay(result: Mapping[str, Any], path: Path) -> None:
    """Draws one row per task: left one line per live run, right the mean and 10 to 90 % of the replayed runs."""
    figure = Figure(figsize=(11, 3.4 * len(result["tasks"])), layout="constrained")
    rows = figure.subplots(len(result["tasks"]), 2, squeeze=False)
    for (live, replayed), (task, kinds) in zip(rows, result["tasks"].items(), strict=True):
        for method, look in looks(kinds["live"]).items():
            for number, run in enumerate(_percent(kinds["live"][method])):
                shown = look if number == 0 else {**look, "label": ""}
                live.step(range(1, len(run) + 1), run, where="post", lw=1.2, **shown)
        for method, look in looks(kinds["replay"]).items():
            values = _percent(kinds["replay"][method])
            epochs = range(1, values.shape[1] + 1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # an epoch before anybody's first result
                low, high = np.nanpercentile(values, [10, 90], axis=0)
                mean = np.nanmean(values, axis=0)
            replayed.step(epochs, mean, where="post", lw=1.4, **{**look, "label": f"{len(values)} runs"})
            replayed.fill_between(epochs, low, high, step="post", color=look["color"], alpha=0.12, lw=0)
        live.set(title=f"{task}: live, one line per run", ylabel="best accuracy so far (half B), %")
        replayed.set(title=f"{task}: replayed, mean and 10 to 90 %")
        replayed.sharey(live)
        for panel in (live, replayed):
            panel.set(xlabel="epochs spent")
            panel.grid(alpha=0.3)
            panel.legend(fontsize=8, loc="lower right")
    figure.suptitle(result["source"], fontsize=9)
    save(figure, path)


def _percent(runs: Sequence[Sequence[float | None]]) -> npt.NDArray[np.float64]:
    """Runs of perhaps unequal length as percent, the last value held, shape [runs, epochs]."""
    longest = max(len(run) for run in runs)
    held = [[np.nan if v is None else 100 * v for v in (*run, *[run[-1]] * (longest - len(run)))] for run in runs]
    return np.asarray(held, dtype=np.float64)
