"""Draws tables of rankers from their JSON: AP@10 with intervals, critical differences, Figure 5a."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from hyperstar_tune.report.figures import _save

__all__ = ["RANKER_LABELS", "draw_critical_difference", "draw_precision", "draw_warm_start"]

RANKER_LABELS = {
    "hyperstar_plus": "HyperSTAR+",
    "end_to_end": "HyperSTAR (Eq. 4, end to end)",
    "bm_both": "HyperSTAR (Eq. 4, frozen backbone)",
    "bm": "batchwise mean",
    "bm_gan": "batchwise mean, adversarial",
    "bm_similarity": "batchwise mean, similarity",
    "global_mean": "global mean",
    "meta_data": "meta-data",
    "zap_pairwise": "meta-data, pairwise loss (ZAP)",
    "deep_kernel": "deep-kernel GP (Quick-Tune's manner)",
    "random_forest": "random forest (Feurer 2015a)",
    "nearest_task": "nearest task (Feurer 2015b)",
    "plus_average": "HyperSTAR+ without images",
    "average_top1": "average Top-1 (task-agnostic)",
    "average_normalized": "average normalized score",
    "portfolio": "zero-shot portfolio",
    "tr_automl": "Tr-AutoML",
    "random": "random",
}
SHOWN = (
    *("hyperstar_plus", "bm_both", "average_top1", "average_normalized", "meta_data", "random_forest"),
    *("portfolio", "deep_kernel", "tr_automl", "random"),
)


def draw_precision(block: Mapping[str, Any], path: Path, title: str = "") -> None:
    """Table 1 as a figure: AP@10 of every ranker, with the chance level.

    Where there is a noise ceiling, it stands in a panel of its own with the rankers judged like it: on half B of one
    seed of the repeated tasks.

    Args:
        block: Of ``ranker_table``.
        path: Of the PNG.
        title: Which table and families.
    """
    rows = [(name, row) for name, row in block["rankers"].items() if name != "average"][::-1]
    ceiling = block["diagnosis"]["noise_ceiling"]
    panels = 2 if ceiling else 1
    figure, axes = plt.subplots(
        1, panels, figsize=(5 + 3 * panels, 0.34 * len(rows) + 1.4), layout="constrained", sharey=True, squeeze=False
    )
    axis = axes[0, 0]
    for place, (name, row) in enumerate(rows):
        mean, low, high = (100 * row[key] for key in ("ap_at_10", "ci_low", "ci_high"))
        axis.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt="o", ms=5, capsize=3, color=_color(name))
    axis.set_yticks(range(len(rows)), [RANKER_LABELS.get(name, name) for name, _ in rows])
    axis.axvline(100 * block["chance_ap10"], color="0.6", ls=":", label="chance")
    axis.set(xlabel="AP@10, %, mean over families left out, 95 %", title=title)
    if ceiling:
        beside = axes[0, 1]
        for place, (name, _) in enumerate(rows):
            beside.plot(
                100 * ceiling["rankers"][name]["measures"]["ap_at_10"]["mean"], place, "o", ms=5, color=_color(name)
            )
        beside.axvline(100 * ceiling["measures"]["ap_at_10"]["mean"], color="0.3", ls="--", label="noise ceiling")
        where = f"{ceiling['tasks']} repeated tasks of {ceiling['families']} families"
        beside.set(xlabel="AP@10, %, on half B of one seed", title=where)
    for panel in axes.flat:
        panel.title.set_fontsize(9)
        panel.grid(alpha=0.3, axis="x")
        panel.legend(fontsize=8)
    _save(figure, path)


def draw_critical_difference(block: Mapping[str, Any], path: Path, title: str = "") -> None:
    """Mean ranks over families; rankers under one bar do not differ (Nemenyi, 5 %).

    Args:
        block: Of ``ranker_table``, with at least three rankers and two families.
        path: Of the PNG.
        title: Which table and families.
    """
    kinds = {"ap_at_10": "AP@10", "normalized_regret_at_3": "normalized regret@3"}
    found = block["critical_difference"]
    n_methods = len(found["ap_at_10"]["mean_ranks"])
    figure, axes = plt.subplots(2, 1, figsize=(11, 0.46 * n_methods + 3), layout="constrained")
    for axis, (measure, label) in zip(axes, kinds.items(), strict=True):
        _one_diagram(axis, found[measure], label)
    figure.suptitle(title, fontsize=9)
    _save(figure, path)


def draw_warm_start(
    curves: Mapping[str, Any], path: Path, rankers: Sequence[str] = SHOWN, n_shown: int = 40, title: str = ""
) -> None:
    """Figure 5a: how far the best of the first k configurations is from the best of the table.

    Args:
        curves: Of ``warm_start``.
        path: Of the PNG.
        rankers: Those drawn, as far as there are curves of them.
        n_shown: The largest k.
        title: Which table and families.
    """
    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    ks = curves["k"][:n_shown]
    for name in (name for name in rankers if name in curves["rankers"]):
        band = curves["rankers"][name]
        label = RANKER_LABELS.get(name, name)
        axis.plot(ks, band["mean"][: len(ks)], label=label, color=_color(name), lw=1.5)
        if name in ("hyperstar_plus", "average_normalized"):
            low, high = band["low"][: len(ks)], band["high"][: len(ks)]
            axis.fill_between(ks, low, high, color=_color(name), alpha=0.12, lw=0)
    axis.set(xlabel="configurations trained, k", ylabel=f"regret (half {curves['half']}), points", title=title)
    axis.title.set_fontsize(9)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    _save(figure, path)


def _one_diagram(axis: Axes, found: Mapping[str, Any], label: str) -> None:
    ranks = found["mean_ranks"]
    n_methods = len(ranks)
    half = -(-n_methods // 2)
    axis.hlines(0, 1, n_methods, color="black", lw=1)
    for tick in range(1, n_methods + 1):
        axis.vlines(tick, -0.12, 0.12, color="black", lw=1)
        axis.text(tick, 0.25, str(tick), ha="center", va="bottom", fontsize=8)
    axis.hlines(1.5, 1, 1 + found["difference"], color="black", lw=2)
    axis.text(
        1 + found["difference"] / 2, 1.6, f"critical difference {found['difference']:.2f}", ha="center", fontsize=8
    )
    bars = len(found["groups"])
    for place, group in enumerate(found["groups"], 1):
        axis.hlines(-0.35 * place, ranks[group[0]] - 0.05, ranks[group[-1]] + 0.05, color="0.25", lw=3)
    for place, (name, rank) in enumerate(ranks.items()):
        on_left = place < half
        depth = -(0.35 * bars + 0.8 + 0.7 * (place if on_left else n_methods - 1 - place))
        end = 0.4 if on_left else n_methods + 0.6
        axis.plot([rank, rank, end], [0, depth, depth], color=_color(name), lw=1)
        text = f"{RANKER_LABELS.get(name, name)} ({rank:.1f})"
        axis.text(end, depth, text, ha="right" if on_left else "left", va="center", fontsize=8)
    axis.set_xlim(-n_methods * 0.45, n_methods * 1.5)
    axis.set_title(f"{label}: mean rank over families (Friedman p = {found['friedman_p']:.3g})", fontsize=9)
    axis.axis("off")


def _color(name: str) -> Any:
    known = {"hyperstar_plus": "#d62728", "random": "0.6"}
    order = list(RANKER_LABELS)
    place = order.index(name) if name in order else sum(map(ord, name))
    return known.get(name) or matplotlib.colormaps["tab20"](2 * place % 20 + (place >= 10))
