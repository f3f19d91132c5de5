"""The tables of docs/peers.md: other tuners beside ours, from what was measured."""

from collections.abc import Mapping
from typing import Any

from scoreboard.markdown import committed, markdown

__all__ = ["peers_accuracy", "peers_suggest", "peers_syne_tune"]

_METHODS = {
    "untuned_default": "no tuning: AdamW 1e-3, all layers, basic augmentation, once to R",
    "race": "**race along HyperSTAR+'s ranking** (what `hyperstar tune` does)",
    "race_no_images": "the same without images",
    "hyperband": "Hyperband on our scheduler, random configurations",
    "tpe_hyperband": "Optuna's TPE on our scheduler",
    "bohb": "BOHB (hpbandster) on our scheduler",
    "asha": "Ray's ASHA, random configurations",
    "ray_hyperband": "Ray's HyperBandScheduler, random configurations",
    "rush": "RUSH: each known task's best configuration first",
    "tr_automl": "TR-AutoML",
    "random_search": "random search, each to R",
}
_SYNE_TUNE = {
    "syne_random_search": "Syne Tune, random search",
    "syne_asha": "Syne Tune, ASHA",
    "syne_bohb": "Syne Tune, BOHB",
}
_BESIDE_SYNE_TUNE = ("random_search", "asha", "bohb", "hyperband", "race")
_SUGGEST = {
    "hyperstar_ms": "`HyperStarSearcher`, the next of a ranking",
    "hyperstar_gated_ms": "the same with `PlanScheduler`",
    "optuna_ms": "Optuna's TPE",
    "bohb_ms": "BOHB (hpbandster)",
}


def _points(at_budgets: Mapping[str, Any], budgets: list[int]) -> list[str]:
    return [f"{100 * at_budgets[str(budget)]['accuracy']['mean']:.1f}" for budget in budgets]


def peers_accuracy() -> str:
    """Accuracy at equal epochs on the main table."""
    parts = committed("sweep_mobilenet-v2-64px")["by_eta"].values()
    rows = []
    for method, label in _METHODS.items():
        points = [_points(part["methods"][method]["at_budgets"], part["budgets"]) for part in parts]
        rows.append([label, *(point for of_eta in points for point in of_eta)])
    return markdown(["method", "R", "2 R", "2.5 R", "4.5 R", "16 R"], rows)


def peers_syne_tune() -> str:
    """Syne Tune's methods in its simulator and ours in our replay, on the same tasks of the first table."""
    theirs, ours = committed("syne_tune"), committed("sweep")["by_eta"]["2"]
    if set(theirs["runs"]["syne_asha"]) != set(ours["tasks"]):
        raise ValueError("both are to be shown for the same tasks, but syne_tune.json and sweep.json have others")
    rows = [
        [label, *(f"{100 * at['mean']:.1f}" for at in theirs["accuracy_at_budgets"][name].values())]
        for name, label in _SYNE_TUNE.items()
    ]
    rows += [
        [f"ours: {_METHODS[name]}", *_points(ours["methods"][name]["at_budgets"], ours["budgets"])]
        for name in _BESIDE_SYNE_TUNE
    ]
    return markdown(["method", "R", "2 R", "2.5 R", "4.5 R"], rows)


def peers_suggest() -> str:
    """Milliseconds that a searcher takes for a suggestion."""
    found = committed("suggest")
    rows = []
    for name, label in _SUGGEST.items():
        low, high = found["spread_5_to_95_percent"][name]
        rows.append([label, f"{found[name]:.3g}", f"{low:.3g} to {high:.3g}"])
    return markdown([f"searcher ({found['suggestions']} suggestions)", "milliseconds", "5 to 95 %"], rows)
