"""Adds newly replayed methods to the summary of an earlier sweep, which keeps every figure that it has."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from hyperstar_tune.comparison.statistics import epochs_over_rivals
from hyperstar_tune.errors import MetaDatasetError
from scoreboard.budget_table import by_family

__all__ = ["joined", "without"]

_ROUNDED = 6e-5  # runs are kept with four digits


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The methods of two summaries of the same tasks; what both have is taken from the old one.

    Comparisons of a new method with a rival that was not replayed again are made from the mean curves. P-values of a
    method are adjusted for the methods that it was replayed with.

    Raises:
        MetaDatasetError: If the tasks differ, or a method that both have ran differently.
    """
    if old["families"] != new["families"]:
        raise MetaDatasetError("summaries to be joined must be of the same tasks; replay all methods")
    for eta, part in new["by_eta"].items():
        _check_runs(old["by_eta"][eta]["runs"], part["runs"])
    result: dict[str, Any] = _added(old, new)
    families = list(dict.fromkeys(result["families"].values()))
    for part in result["by_eta"].values():
        curves = {name: by_family(result, part, name, families) for name in part["methods"]}
        for rival, ratios in part["epochs_to_rival"].items():
            for name in curves.keys() - ratios.keys():
                ratio, reached = epochs_over_rivals(curves[name], curves[rival], part["grid"])
                ratios[name] = ratio.to_json() | {"families_that_reach_it": round(reached, 4)}
    entry = {key: new[key] for key in ("command", "versions")} | {
        "methods": sorted({name for eta in new["by_eta"] for name in new["by_eta"][eta]["methods"]})
    }
    return result | {"added": [*old.get("added", ()), entry]}


def without(summary: Any, methods: Collection[str]) -> Any:
    """A summary that says nothing of some methods."""
    if not isinstance(summary, dict):
        return summary
    return {name: without(value, methods) for name, value in summary.items() if name not in methods}


def _check_runs(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for method in old.keys() & new.keys():
        for task in old[method].keys() & new[method].keys():
            pairs = list(zip(old[method][task], new[method][task], strict=False))
            first, second = np.array(pairs, dtype=np.float64).swapaxes(0, 1)
            if not np.allclose(first, second, atol=_ROUNDED, equal_nan=True):
                raise MetaDatasetError(f"{method} ran differently on {task} than before; replay all methods")


def _added(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return old
    both = {name: _added(value, new[name]) if name in new else value for name, value in old.items()}
    return both | {name: value for name, value in new.items() if name not in old}
