"""Three pictures of a table: all scores at a glance, the curves of one task, and how similar its tasks are.

They are drawn with matplotlib, without a display. ``tables.describe`` gives the numbers behind them.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.metrics import normalize_scores, similarity_matrix
from hyperstar_tune.report.figures import save
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["draw_curves", "draw_figures", "draw_heat_map", "draw_similarity"]

_MAX_LABELS = 120  # tasks whose names are still legible


def draw_figures(table: MetaDataset, folder: str | Path, task: str | None = None, prefix: str = "") -> list[Path]:
    """Draws all three pictures; the curves are those of ``task`` or of the first complete task.

    Returns:
        The files written: ``PREFIXheat_map.png``, ``PREFIXcurves.png``, ``PREFIXsimilarity.png``.
    """
    whole = np.flatnonzero(np.all(np.any(table.measured, axis=2), axis=1))
    chosen = task or table.tasks["name"].iloc[int(whole[0]) if len(whole) else 0]
    paths = [Path(folder) / f"{prefix}{name}.png" for name in ("heat_map", "curves", "similarity")]
    draw_heat_map(table, paths[0])
    draw_curves(table, str(chosen), paths[1])
    draw_similarity(table, paths[2])
    return paths


def draw_heat_map(table: MetaDataset, path: str | Path) -> None:
    """Normalized score of every configuration (columns, best on average first) on every task (rows, by family)."""
    normalized = normalize_scores(table.scores())
    measured = np.isfinite(normalized)
    mean = np.where(measured, normalized, 0).sum(axis=0) / np.maximum(1, measured.sum(axis=0))
    columns = np.argsort(-mean, kind="stable")
    rows = _by_family(table)
    figure = Figure(figsize=(10, 1.6 + 0.16 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    colours = colormaps["RdBu"].with_extremes(bad="lightgrey")
    shown = np.ma.masked_invalid(normalized[rows][:, columns])
    image = axes.imshow(shown, aspect="auto", cmap=colours, vmin=-2, vmax=2, interpolation="nearest")
    _name_rows(axes, table, rows)
    axes.set_xlabel("configurations, best on average first")
    figure.colorbar(image, label="normalized half-A accuracy (grey: not measured)")
    axes.set_title(f"{table.fingerprint.model}: {len(rows)} tasks x {len(columns)} configurations")
    save(figure, Path(path))


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
        panel.set_title(f"{key} = {kind}")
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set_ylabel("half-A accuracy")
    figure.suptitle(f"{task} (red: the best of each panel)")
    save(figure, Path(path))


def draw_similarity(table: MetaDataset, path: str | Path) -> None:
    """AP@10 similarity of every two tasks (Eq. 2), rows and columns by family."""
    rows = _by_family(table)
    similarity = similarity_matrix(table.scores()[rows], min(10, len(table.configs)))
    size = 3 + 0.14 * len(rows)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.add_subplot()
    colours = colormaps["viridis"].with_extremes(bad="lightgrey")
    image = axes.imshow(np.ma.masked_invalid(similarity), cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    _name_rows(axes, table, rows)
    axes.set_xticks([])
    figure.colorbar(image, label="similarity r (mean AP@10 of both directions)", shrink=0.8)
    axes.set_title("similarity of tasks")
    save(figure, Path(path))


def _by_family(table: MetaDataset) -> list[int]:
    families, names = table.tasks["family"].tolist(), table.tasks["name"].tolist()
    return sorted(range(len(names)), key=lambda row: (families[row], names[row]))


def _name_rows(axes: Any, table: MetaDataset, rows: list[int]) -> None:
    if len(rows) <= _MAX_LABELS:
        axes.set_yticks(range(len(rows)), [table.tasks["name"].iloc[row] for row in rows], fontsize=6)
    else:
        axes.set_ylabel("tasks, by family")
