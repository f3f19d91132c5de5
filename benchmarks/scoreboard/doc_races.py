"""Tables of the race, of ways to spend a budget and of a winner's accuracy, from the committed JSON, in Markdown."""

from collections.abc import Mapping
from typing import Any

from scoreboard.markdown import committed, markdown

__all__ = ["choosing", "race", "race_goals", "spent"]

_FIGURES = ("plain", "corrected", "bootstrap")
_SPENT = {
    "untuned_default": "no tuning: AdamW 1e-3, all layers, basic augmentation, once to R",
    "expert": "a race of two by hand, then nothing more",
    "race": "**race, then down the ranking**",
    "race_seconds": "the same, planned for seconds",
    "race_parallel_4": "the race, 4 trials at a time",
    "race_no_images": "a race without images",
    "portfolio_steady+alone": "a greedy portfolio that learns what HyperSTAR+ learns, each to R",
    "bm_both_steady+alone": "the paper's network on the same targets, each to R",
    "average_top1+alone": "an average ranking, each to R",
    "bohb": "BOHB",
    "hyperband": "Hyperband",
}


def race(of: Mapping[str, Any], kind: str = "above") -> str:
    """Differences of the race to each rival, by budget."""
    rows = [
        [f"`{rival}`", *(f"{p['mean']:+.1f} [{p['ci_low']:+.1f}, {p['ci_high']:+.1f}]" for p in points.values())]
        for rival, points in of[kind].items()
    ]
    full = of["budgets"][0]
    budgets = next(iter(of[kind].values()))
    return markdown(["the race above", *(_in_r(int(budget) / full) for budget in budgets)], rows)


def _in_r(multiple: float) -> str:
    return {0.5: "R/2", 1.0: "R"}.get(multiple, f"{multiple:g} R")


def race_goals() -> str:
    budgets = committed("budgets")
    kinds = {"all 28": budgets["race_of_all_families"], "development": budgets["race"]}
    kinds["test"] = budgets["test_families"]["race"]
    told = {True: "met", False: "not met"}
    rows = []
    for name, goal in kinds["all 28"]["goals"].items():
        wanted = goal.get("wanted") or "; ".join(f"{key.replace('_', ' ')} {goal[key]}" for key in goal if key != "met")
        rows.append([name.replace("_", " "), wanted, *(told[of["goals"][name]["met"]] for of in kinds.values())])
    for rival in ("hyperband", "bohb"):
        found = (of["epochs_to_final_accuracy"][rival] for of in kinds.values())
        shown = (f"{p['mean']:.3f} [{p['ci_low']:.3f}, {p['ci_high']:.3f}]" for p in found)
        rows.append([f"share of the epochs to the final accuracy of `{rival}`", "", *shown])
    return markdown(["", "wanted", *kinds], rows)


def choosing() -> str:
    rows = []
    for name, of in committed("choosing")["methods"].items():
        figures = (f"{of['bias'][kind]['mean']:+.2f} ({of['bias'][kind]['error']:.2f})" for kind in _FIGURES)
        rows.append([name.replace("+", " + "), *figures, f"{100 * of['covered']:.0f} %"])
    return markdown(["a run of", "plain accuracy", "corrected", "bootstrap", "interval covers the truth"], rows)


def spent(kind: str) -> str:
    """Mean accuracy over all families by budget, of the ways to spend it."""
    of = committed("budgets")["race_of_all_families"]
    full, found = of["budgets"][0], of[kind]
    shown = {name: label for name, label in _SPENT.items() if name in found}
    budgets = next(iter(found.values()))
    rows = ([label, *(f"{value:.1f}" for value in found[name].values())] for name, label in shown.items())
    return markdown(["", *(_in_r(int(budget) / full) for budget in budgets)], rows)
