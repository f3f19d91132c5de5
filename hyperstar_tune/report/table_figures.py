"""Three pictures of a table: all scores at a glance, the curves of one task, and how similar its tasks are.

They are drawn with matplotlib, without a display. ``tables.describe`` gives the numbers behind them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.metrics import normalize_scores, similarity_matrix
from hyperstar_tune.report.figures import save
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["draw_curves", "draw_figures"]

_MAX_LABELS = 120  # tasks whose names are still legible


def draw_figures(table: MetaDataset, folder: str | Path, task: str | None = None, prefix: str = "") -> list[Path]:
    """Draws all three pictures; the curves are those of ``task`` or of the first complete task.

    The heat map has one row per task, by family, and one column per configuration, the best on average first. The
    similarity of tasks is that of AP@10 (Eq. 2).

    Returns:
        The files written: ``PREFIXheat_map.png``, ``PREFIXcurves.png``, ``PREFIXsimilarity.png``.
    """
    chosen = task or table.tasks["name"].iloc[int(np.argmax(table.complete))]
    paths = [Path(folder) / f"{prefix}{name}.png" for name in ("heat_map", "curves", "similarity")]
    _draw_heat_map(table, paths[0])
    draw_curves(table, str(chosen), paths[1])
    _draw_similarity(table, paths[2])
    return paths


def draw_curves(table: MetaDataset, task: str, path: str | Path) -> None:
    """Half-A accuracy of every configuration of one task over its epochs, by the layers that were trained.

    Raises:
        MetaDatasetError: If the table has no such task.
    """
    names = table.tasks["name"].tolist()
    if task not in names:
        raise MetaDatasetError(f"a task of the table is one of {', '.join(names)}, but got {task!r}")
    curves = table.curve("val_accuracy")[names.index(task), :, 0]  # [H, F]
    key = "layers" if "layers" in table.space.parameters else table.space.parameters[0]
    kinds = list(dict.fromkeys(str(config[key]) for config in table.configs))
    figure = Figure(figsize=(4 * min(len(kinds), 4), 3.6), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    last = np.where(np.isfinite(curves[:, -1]), curves[:, -1], -np.inf)
    for panel, kind in zip(panels, kinds, strict=True):
        members = [row for row, config in enumerate(table.configs) if str(config[key]) == kind]
        for row in members:
            panel.plot(table.epochs, curves[row], color="C0", alpha=0.35, linewidth=0.8)
        best = max(members, key=lambda row: last[row])
        panel.plot(table.epochs, curves[best], color="C3", linewidth=1.8)
        panel.set(title=f"{key} = {kind}", xlabel="epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set_ylabel("half-A accuracy")
    figure.suptitle(f"{task} (red: the best of each panel)")
    save(figure, Path(path))


def _draw_heat_map(table: MetaDataset, path: Path) -> None:
    """Normalized score of every configuration on every task."""
    normalized = normalize_scores(table.scores())
    measured = np.isfinite(normalized)
    mean = np.where(measured, normalized, 0).sum(axis=0) / np.maximum(1, measured.sum(axis=0))
    figure = Figure(figsize=(10, 1.6 + 0.16 * len(normalized)), layout="constrained")
    axes = figure.add_subplot(xlabel="configurations, best on average first")
    best_first = normalized[:, np.argsort(-mean, kind="stable")]
    image = _show(axes, table, best_first, cmap="RdBu", aspect="auto", vmin=-2, vmax=2)
    figure.colorbar(image, label="normalized half-A accuracy (grey: not measured)")
    axes.set_title(f"{table.fingerprint.model}: {len(normalized)} tasks x {len(mean)} configurations")
    save(figure, path)


def _draw_similarity(table: MetaDataset, path: Path) -> None:
    similarity = similarity_matrix(table.scores(), min(10, len(table.configs)))[:, _by_family(table)]
    size = 3 + 0.14 * len(similarity)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.add_subplot(title="similarity of tasks")
    image = _show(axes, table, similarity, cmap="viridis", vmin=0, vmax=1)
    axes.set_xticks([])
    figure.colorbar(image, label="similarity r (mean AP@10 of both directions)", shrink=0.8)
    save(figure, path)


def _show(axes: Axes, table: MetaDataset, values: npt.NDArray[np.float64], **look: Any) -> AxesImage:
    """Shows one row per task, by family."""
    rows = _by_family(table)
    if len(rows) <= _MAX_LABELS:
        axes.set_yticks(range(len(rows)), table.tasks["name"].iloc[rows].tolist(), fontsize=6)
    else:
        axes.set_ylabel("tasks, by family")
    axes.set_facecolor("lightgrey")  # of what is not finite
    return axes.imshow(values[rows], interpolation="nearest", **look)


def _by_family(table: MetaDataset) -> npt.NDArray[np.intp]:
    return table.tasks.reset_index(drop=True).sort_values(["family", "name"]).index.to_numpy()
