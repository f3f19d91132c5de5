"""The tables on any space: of docs/predictor.md on rankings, and of docs/results.md on searches at equal seconds."""

from collections.abc import Mapping
from typing import Any

from scoreboard.markdown import RESULTS, committed, markdown

__all__ = ["any_space", "other_table", "search", "search_goals"]

_TABLES = {"mobilenet-v2-64px": "main table", "shufflenet-v2-x1-v0": "first table"}
_PARTS = {"measured": "quality, measured", "left_out": "quality, left out"}
_CHOSEN = "any_space"
_SEARCH = "any_space"  # the file of searches at equal seconds
_NOT_YET = "Not run yet: the table has too few tasks.\n"


def any_space() -> str:
    """Models on the main table: measured configurations, and configurations that were left out."""
    rows = []
    for name, model in committed("any_space_models")["mobilenet-v2-64px"]["models"].items():
        row = [model["label"]]
        for part in _PARTS:
            quality = f"{model[part]['quality']['mean']:.3f}"
            row += [quality, "" if name == _CHOSEN else _difference(model[part]["quality_above_chosen"])]
        points = f"{model['left_out']['points_at_3']['mean']:.2f}"
        rows.append([*row, points, f"{model['seconds_for_a_million']:.1f}"])
    head = ["model", *(cell for part in _PARTS.values() for cell in (part, "above any space"))]
    return markdown([*head, "regret@3, left out, points", "s to score a million"], rows)


def other_table() -> str:
    """What the tasks of another network's table add, on configurations that were left out."""
    rows = []
    for name, label in _TABLES.items():
        data = committed("any_space_models")[name]
        alone = data["models"][_CHOSEN]["left_out"]["quality"]["mean"]
        shares = data["with_the_other_table"]
        told = (
            f"{found['quality']['mean']:.3f} {_difference(found['quality_above_chosen'])}" for found in shares.values()
        )
        rows.append([label, f"{alone:.3f}", *told])
    return markdown(["quality, left out", "alone", *(f"correlation {share}" for share in shares)], rows)


def _difference(figure: Mapping[str, Any]) -> str:
    return f"{figure['mean']:+.3f} [{figure['low']:+.3f}, {figure['high']:+.3f}]"


def search() -> str:
    """Every method at equal seconds, and what the figures rest on."""
    if not (RESULTS / f"{_SEARCH}.json").exists():
        return _NOT_YET
    data = committed(_SEARCH)
    ranked = sorted(data["methods"].values(), key=lambda method: -method["accuracy"]["4.5"]["mean"])
    rows = [[method["label"], *(_accuracy(of) for of in method["accuracy"].values())] for method in ranked]
    head = ["method", *(f"{budget:g} R" for budget in data["budgets"])]
    return f"{_rests_on(data)}\n\n{markdown(head, rows)}"


def search_goals() -> str:
    """What was wanted of ours at equal seconds; what is met is bold."""
    if not (RESULTS / f"{_SEARCH}.json").exists():
        return _NOT_YET
    data, rows = committed(_SEARCH), []
    for ours, goals in data["goals"].items():
        for name, goal in goals.items():
            reached = _points(goal["reached"])
            told = f"**{reached}**" if goal["met"] else reached
            against = data["methods"][goal["rival"]]["label"]
            rows.append([data["methods"][ours]["label"], name, f"{goal['at_least']:g}", told, against])
    for ours, leads in data["above"].items():
        for budget, found in leads.get(f"{ours}_no_images", {}).items():
            label = data["methods"][f"{ours}_no_images"]["label"]
            name = f"above the same without images at {budget} R"
            rows.append([data["methods"][ours]["label"], name, "", _points(found), label])
    return markdown(["", "goal", "points wanted", "reached", "against"], rows)


def _rests_on(data: Mapping[str, Any]) -> str:
    used, surrogate, table = data["used"], data["surrogate"], data["table"]
    counts = [about["configurations"] for about in surrogate["by_task"].values()]
    whole = "is complete" if data["complete"] else "**is not complete yet**"
    return (
        f"The table `{table['name'].removesuffix('.collection')}` {whole}. These figures rest on {used['tasks']} tasks "
        f"of {used['families']} families ({data['block']}) with {min(counts)} to {max(counts)} configurations each, of "
        f"which all tasks have {used['learned_from']}; {data['seeds']} runs of each method and task. Of configurations "
        f"that were left out the surrogate explains {100 * surrogate['r2']['mean']:.0f} % of the variance of the last "
        "accuracy."
    )


def _accuracy(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None:
        return f"{figure['mean']:.1f}"
    return f"{figure['mean']:.1f} [{figure['low']:.1f}, {figure['high']:.1f}]"


def _points(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None:
        return f"{figure['mean']:+.1f}"
    return f"{figure['mean']:+.1f} [{figure['low']:+.1f}, {figure['high']:+.1f}]"
