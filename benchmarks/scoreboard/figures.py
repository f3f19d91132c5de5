"""Draws tables of rankers from their JSON: AP@10 with intervals, critical differences, Figure 5a."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hyperstar_tune.report.figures import save
from hyperstar_tune.rivals.registry import ranker_kind

__all__ = ["draw_critical_difference", "draw_precision", "draw_warm_start"]

SHOWN = (
    *("hyperstar_plus", "bm_both", "average_top1", "average_normalized", "meta_data", "random_forest"),
    *("portfolio", "deep_kernel", "tr_automl", "random"),
)


def draw_precision(block: Mapping[str, Any], path: Path, title: str = "") -> None:
    """Draws Table 1 as a figure: AP@10 of every ranker, with the chance level.

    Where there is a noise ceiling, it stands in a panel of its own with the rankers judged like it: on half B of one
    seed of the repeated tasks.

    Args:
        block: Result of ``ranker_table``.
        path: The PNG file.
        title: Which table and families.
    """
    rows = [(name, row) for name, row in block["rankers"].items() if name != "average"][::-1]
    ceiling = block["diagnosis"]["noise_ceiling"]
    panels = 2 if ceiling else 1
    figure = Figure(figsize=(5 + 3 * panels, 0.34 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)
    axis = axes[0, 0]
    kinds = {name: ranker_kind(name) for name, _ in rows}
    for place, (name, row) in enumerate(rows):
        mean, low, high = (100 * row[key] for key in ("ap_at_10", "ci_low", "ci_high"))
        spread = [[mean - low], [high - mean]]
        axis.errorbar(mean, place, xerr=spread, fmt="o", ms=5, capsize=3, color=kinds[name].color)
    axis.set_yticks(range(len(rows)), [kind.label for kind in kinds.values()])
    axis.axvline(100 * block["chance_ap10"], color="0.6", ls=":", label="chance")
    axis.set(xlabel="AP@10, %, mean over families left out, 95 %", title=title)
    if ceiling:
        beside = axes[0, 1]
        for place, (name, kind) in enumerate(kinds.items()):
            mean = 100 * ceiling["rankers"][name]["measures"]["ap_at_10"]["mean"]
            beside.plot(mean, place, "o", ms=5, color=kind.color)
        beside.axvline(100 * ceiling["measures"]["ap_at_10"]["mean"], color="0.3", ls="--", label="noise ceiling")
        where = f"{ceiling['tasks']} repeated tasks of {ceiling['families']} families"
        beside.set(xlabel="AP@10, %, on half B of one seed", title=where)
    for panel in axes.flat:
        panel.title.set_fontsize(9)
        panel.grid(alpha=0.3, axis="x")
        panel.legend(fontsize=8)
    save(figure, path)


def draw_critical_difference(block: Mapping[str, Any], path: Path, title: str = "") -> None:
    """Draws mean ranks over families; rankers under one bar do not differ (Nemenyi, 5 %).

    Args:
        block: Result of ``ranker_table``, with at least three rankers and two families.
        path: The PNG file.
        title: Which table and families.
    """
    kinds = {"ap_at_10": "AP@10", "normalized_regret_at_3": "normalized regret@3"}
    found = block["critical_difference"]
    n_methods = len(found["ap_at_10"]["mean_ranks"])
    figure = Figure(figsize=(11, 0.46 * n_methods + 3), layout="constrained")
    axes = figure.subplots(2, 1)
    for axis, (measure, label) in zip(axes, kinds.items(), strict=True):
        _one_diagram(axis, found[measure], label)
    figure.suptitle(title, fontsize=9)
    save(figure, path)


def draw_warm_start(
    curves: Mapping[str, Any], path: Path, rankers: Sequence[str] = SHOWN, n_shown: int = 40, title: str = ""
) -> None:
    """Draws Figure 5a: how far the best of the first k configurations is from the best of the table.

    Args:
        curves: Result of ``warm_start``.
        path: The PNG file.
        rankers: Those drawn, as far as there are curves of them.
        n_shown: The largest k.
        title: Which table and families.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.add_subplot()
    ks = curves["k"][:n_shown]
    for name in (name for name in rankers if name in curves["rankers"]):
        kind, band = ranker_kind(name), curves["rankers"][name]
        mean, low, high = (band[end][: len(ks)] for end in ("mean", "low", "high"))
        axis.plot(ks, mean, label=kind.label, color=kind.color, lw=1.5)
        if name in ("hyperstar_plus", "average_normalized"):
            axis.fill_between(ks, low, high, color=kind.color, alpha=0.12, lw=0)
    axis.set(xlabel="configurations trained, k", ylabel=f"regret (half {curves['half']}), points", title=title)
    axis.title.set_fontsize(9)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(figure, path)


def _one_diagram(axis: Axes, found: Mapping[str, Any], label: str) -> None:
    ranks = found["mean_ranks"]
    n_methods = len(ranks)
    half = -(-n_methods // 2)
    axis.hlines(0, 1, n_methods, color="black", lw=1)
    for tick in range(1, n_methods + 1):
        axis.vlines(tick, -0.12, 0.12, color="black", lw=1)
        axis.text(tick, 0.25, str(tick), ha="center", va="bottom", fontsize=8)
    axis.hlines(1.5, 1, 1 + found["difference"], color="black", lw=2)
    text = f"critical difference {found['difference']:.2f}"
    axis.text(1 + found["difference"] / 2, 1.6, text, ha="center", fontsize=8)
    bars = len(found["groups"])
    for place, group in enumerate(found["groups"], 1):
        axis.hlines(-0.35 * place, ranks[group[0]] - 0.05, ranks[group[-1]] + 0.05, color="0.25", lw=3)
    for place, (name, rank) in enumerate(ranks.items()):
        on_left = place < half
        depth = -(0.35 * bars + 0.8 + 0.7 * (place if on_left else n_methods - 1 - place))
        end = 0.4 if on_left else n_methods + 0.6
        kind = ranker_kind(name)
        axis.plot([rank, rank, end], [0, depth, depth], color=kind.color, lw=1)
        axis.text(end, depth, f"{kind.label} ({rank:.1f})", ha="right" if on_left else "left", va="center", fontsize=8)
    axis.set_xlim(-n_methods * 0.45, n_methods * 1.5)
    axis.set_title(f"{label}: mean rank over families (Friedman p = {found['friedman_p']:.3g})", fontsize=9)
    axis.axis("off")
