"""The tables of docs/image-sizes.md, from what was measured."""

from collections.abc import Mapping
from typing import Any

from scoreboard.markdown import committed, markdown

__all__ = ["SIZES_TABLES"]

_COLUMNS = {
    "time_saved_percent": "time saved, %",
    "accuracy_change_points": "held-out accuracy, points",
    "half_b_change_points": "half B, points",
}


def _found() -> dict[str, Any]:
    return committed("image_sizes")


def _shown(of: Mapping[str, Any], form: str = ".2f", factor: float = 1) -> str:
    if of["mean"] is None:
        return "unknown"
    return f"{factor * of['mean']:{form}} [{factor * of['low']:{form}}, {factor * of['high']:{form}}]"


def _collected() -> str:
    found = _found()
    rows = [["configurations at all sizes", f"{found['configurations']} of {found['wanted_configurations']}"]]
    rows += [["trainings, with second seeds", str(found["cells"])]]
    rows += [[f"seconds of a training, {size}", _shown(of, ".1f")] for size, of in found["seconds_of_a_cell"].items()]
    return markdown(["what was collected", ""], rows)


def _ranks(of: Mapping[str, Any]) -> list[list[str]]:
    rows = [[f"{pair}, same seed", _shown(found)] for pair, found in of["rank_correlation_between_sizes"].items()]
    rows += [
        [f"{pair}, two seeds", _shown(found)] for pair, found in of["rank_correlation_between_sizes_and_seeds"].items()
    ]
    return rows + [[f"{size}, two seeds", _shown(found)] for size, found in of["noise_ceiling"].items()]


def _rank_table() -> str:
    head = ["rankings of configurations", "rank correlation [95 %]"]
    rows = _ranks(_found())
    agreement = _found()["importance_agreement"]["rank_correlation"]
    rows += [[f"importances, {pair}", _shown(found)] for pair, found in agreement.items()]
    return markdown(head, rows)


def _savings() -> str:
    rows = []
    for name, of in _found()["optimizers"].items():
        met = " and ".join(what for what, is_met in of["goal_met"].items() if is_met)
        shown = [_shown(of[key], "+.1f" if "points" in key else ".1f") for key in _COLUMNS]
        rows.append([f"`{name}`", _shown(of["accuracy_of_one_size"], ".1f"), *shown, met or "neither"])
    return markdown(["optimizer", "held-out accuracy of one size, %", *_COLUMNS.values(), "goal met"], rows)


def _variants() -> str:
    rows = []
    for name, of in _found()["optimizers"].items():
        for variant, found in {"both": of, **of["variants"]}.items():
            shown = [_shown(found[key], "+.1f" if "points" in key else ".1f") for key in _COLUMNS]
            rows.append([f"`{name}`", variant, *shown])
    return markdown(["optimizer", "between stages", *_COLUMNS.values()], rows)


def _good_values() -> str:
    columns = [f"{size} px" for size in _found()["sizes"]]
    rows = [
        [f"`{name}`", f"`{parameter}`", *(_shown(sizes[size]) for size in columns)]
        for name, of in _found()["good_values"].items()
        for parameter, sizes in of.items()
        if sizes.keys() == set(columns)
    ]
    return markdown(["optimizer", "parameter", *columns], rows)


def _surrogate() -> str:
    possible, ranks = _found()["surrogate_r2_possible"], _found()["surrogate_rank_correlation"]
    rows = [
        [task, *(f"{value:.2f}" for value in (*of.values(), possible[task], ranks[task]))]
        for task, of in _found()["surrogate_r2"].items()
    ]
    columns = ["task", "half A", "half B", "held out", "log seconds", "possible for half A", "ranks at 32 and 128 px"]
    return markdown(columns, rows)


def _live() -> str:
    check = _found()["live_check"]
    rows = []
    for kind in ("live", "surrogate"):
        runs = check[kind]
        for sizes in ("growing sizes", "one size"):
            seconds, test = (sum(run[sizes][name] for run in runs) / len(runs) for name in ("seconds", "test"))
            rows.append([kind, sizes, str(len(runs)), f"{seconds:.0f}", f"{100 * test:.1f}"])
    return markdown(["", "", "searches", "seconds", "held-out accuracy, %"], rows)


def _fine_tuning_ranks() -> str:
    found = _found()["fine_tuning"]
    counted = ["configurations at all sizes", f"{found['configurations']} of {found['wanted_configurations']}"]
    return markdown(["rankings of configurations", "rank correlation [95 %]"], [counted, *_ranks(found)])


def _fine_tuning_ways() -> str:
    rows = [
        [
            way,
            _shown(of["time_saved_percent"], ".1f"),
            _shown(of["test_accuracy"], ".1f"),
            _shown(of["accuracy_change_points"], "+.1f"),
        ]
        for way, of in _found()["fine_tuning"]["ways"].items()
    ]
    return markdown(["configurations", "time saved, %", "held-out accuracy, %", "change, points"], rows)


SIZES_TABLES = {
    "sizes-collected": _collected,
    "sizes-ranks": _rank_table,
    "sizes-savings": _savings,
    "sizes-variants": _variants,
    "sizes-good-values": _good_values,
    "sizes-surrogate": _surrogate,
    "sizes-live": _live,
    "sizes-fine-tuning-ranks": _fine_tuning_ranks,
    "sizes-fine-tuning-ways": _fine_tuning_ways,
}
