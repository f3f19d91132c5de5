"""The tables of docs/predictor.md on ranking configurations that no table has."""

from collections.abc import Mapping
from typing import Any

from scoreboard.markdown import committed, markdown

__all__ = ["any_space", "other_table"]

_TABLES = {"mobilenet-v2-64px": "main table", "shufflenet-v2-x1-v0": "first table"}
_PARTS = {"measured": "quality, measured", "left_out": "quality, left out"}
_CHOSEN = "any_space"


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
