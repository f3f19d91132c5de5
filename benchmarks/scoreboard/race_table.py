"""What the race gains over every other way to spend a budget, read off summaries of sweeps.

Families of several summaries can be pooled: development and test families of one table. Every difference is paired by
family, in points of half-B accuracy. The room is what an oracle is above the average ranking at the same budget; the
share of it that a method reaches stands beside its accuracy.

Source: docs/protocol.md, "Statistics" and "What a person does without us".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.comparison.statistics import bootstrap_mean, epochs_over_rivals
from hyperstar_tune.errors import MetaDatasetError
from scoreboard.budget_table import by_family, with_ends

__all__ = ["RACE", "RIVALS", "STEADY_RIVALS", "race_table"]

Floats = npt.NDArray[np.float64]

RACE, AVERAGE, ORACLE = "race", "average_top1+alone", "oracle"
IN_SECONDS = "race_seconds"  # the race as it is for a budget in seconds
DEFAULT = "untuned_default"
_BY_GOAL = (AVERAGE, "portfolio+alone", "hyperstar_plus+alone", "hyperband")  # the race is to be above each of them
RIVALS = (*_BY_GOAL, DEFAULT, "expert", "bohb", "race_no_images", "race_seconds", "tutorial_sgd", "head_alone")
RIVALS += tuple(f"race_parallel_{k}" for k in (2, 4, 8, 16))
STEADY_RIVALS = tuple(  # they learn the accuracies that HyperSTAR+ learns
    f"{ranker}_steady+alone"
    for ranker in ("average_top1", "random_forest", "portfolio", "deep_kernel", "meta_data", "bm_both")
)
RIVALS += STEADY_RIVALS
_CLEARLY = (2, 2.5)  # budgets, in R, at which the lower end is to be above 0
_ABOVE_DEFAULT = {1: 1.0, 4.5: 2.0}  # points, by budget in R
_EPOCHS = 0.10  # wanted, as a share of the epochs of Hyperband and BOHB


def race_table(summaries: Sequence[Mapping[str, Any]], method: str = RACE) -> dict[str, Any]:
    """Compares one method with ``RIVALS`` at the budgets of eta = 2, over the families of all summaries together.

    Args:
        summaries: Results of ``summarize`` of the same methods on different tasks.
        method: The method that is judged.

    Returns:
        ``method``, ``families``, ``budgets`` in epochs; mean ``accuracy`` in percent by method and budget, and the same
        ``accuracy_at_equal_seconds``, where the clock stands at the budget, from R/2 on; ``above``: by rival and budget
        the mean difference in points with its interval, and the same ``above_at_equal_seconds``, for the race of
        ``IN_SECONDS``, named by ``method_at_equal_seconds``;
        ``epochs_to_final_accuracy`` of Hyperband and BOHB; ``share_of_room`` by method and budget; ``goals``.

    Raises:
        MetaDatasetError: If a summary lacks the method.
    """
    parts = [summary["by_eta"]["2"] for summary in summaries]
    if any(method not in part["methods"] for part in parts):
        raise MetaDatasetError(f"the sweep must hold the method {method!r}; run benchmarks/sweep.py")
    names = [list(dict.fromkeys(summary["families"].values())) for summary in summaries]
    grid, budgets = parts[0]["grid"], parts[0]["budgets"]
    swept = [name for name in parts[0]["methods"] if all(name in part["methods"] for part in parts)]
    curves = {
        name: np.concatenate([by_family(*group, name, n) for *group, n in zip(summaries, parts, names, strict=True)])
        for name in swept
    }
    at = {name: curve[:, [grid.index(budget) for budget in budgets]] for name, curve in curves.items()}
    rivals = [name for name in RIVALS if name in swept and name != method]
    above = {name: _by_budget(budgets, at[method] - at[name]) for name in rivals}
    in_time, late = _at_equal_seconds(summaries, parts, names)
    ratios = {}
    for rival in (name for name in ("hyperband", "bohb") if name in swept):
        ratio, reached = epochs_over_rivals(curves[method], curves[rival], grid)
        ratios[rival] = with_ends(ratio, 5) | {"families_that_reach_it": round(reached, 4)}
    timed = IN_SECONDS if method == RACE and IN_SECONDS in late else method
    held_against = [name for name in (method, *rivals) if {name, timed} <= {*late} and name != timed]
    above_late = {name: _by_budget(in_time, late[timed] - late[name]) for name in held_against}
    return {
        "method": method,
        "method_at_equal_seconds": timed,
        "families": sum(map(len, names)),
        "budgets": budgets,
        "accuracy": {name: _means(budgets, at[name]) for name in (method, *rivals)},
        "accuracy_at_equal_seconds": {name: _means(in_time, late[name]) for name in (method, *rivals) if name in late},
        "above": above,
        "above_at_equal_seconds": above_late,
        "epochs_to_final_accuracy": ratios,
        "share_of_room": _share_of_room(at, _oracle(summaries, names), budgets),
        "goals": _goals(above, above_late, ratios, budgets),
    }


def _by_budget(budgets: Sequence[int], differences: Floats) -> dict[str, dict[str, float]]:
    """Means over families with intervals, from differences [F, budgets]."""
    return {
        str(budget): with_ends(bootstrap_mean(100 * column), 3)
        for budget, column in zip(budgets, differences.T, strict=True)
    }


def _means(budgets: Sequence[int], values: Floats) -> dict[str, float]:
    return {str(budget): round(100 * float(v), 3) for budget, v in zip(budgets, values.mean(axis=0), strict=True)}


def _at_equal_seconds(
    summaries: Sequence[Mapping[str, Any]], parts: Sequence[Mapping[str, Any]], names: Sequence[Sequence[str]]
) -> tuple[list[int], dict[str, Floats]]:
    """Accuracies [F, budgets] by method where they were kept: sweeps of earlier versions did not keep them."""
    if any("at_equal_seconds" not in part for part in parts):
        return [], {}
    blocks = [{"tasks": part["at_equal_seconds"]["tasks"]} for part in parts]
    kept = set.intersection(*(set.intersection(*(set(of) for of in block["tasks"].values())) for block in blocks))
    late = {
        name: np.concatenate([by_family(*group, name, n) for *group, n in zip(summaries, blocks, names, strict=True)])
        for name in sorted(kept)
    }
    return parts[0]["at_equal_seconds"]["budgets"], late


def _oracle(summaries: Sequence[Mapping[str, Any]], names: Sequence[Sequence[str]]) -> Floats:
    """Accuracy by family of each task's best configuration."""
    return np.array(
        [
            np.mean([summary["oracle"][task] for task, of in summary["families"].items() if of == family])
            for summary, families in zip(summaries, names, strict=True)
            for family in families
        ]
    )


def _share_of_room(at: Mapping[str, Floats], oracle: Floats, budgets: Sequence[int]) -> dict[str, Any]:
    """Which share of the way from the average ranking to the oracle a method goes, by budget; the oracle in percent."""
    if AVERAGE not in at:
        return {}
    start, end = at[AVERAGE].mean(axis=0), float(oracle.mean())
    shares: dict[str, Any] = {
        name: {
            str(budget): round(float(share), 4)
            for budget, share in zip(budgets, (values.mean(axis=0) - start) / (end - start), strict=True)
        }
        for name, values in at.items()
    }
    return {ORACLE: round(100 * end, 3), "shares": shares}


def _goals(
    above: Mapping[str, Any], late: Mapping[str, Any], ratios: Mapping[str, Any], budgets: Sequence[int]
) -> dict[str, Any]:
    """What was wanted of the race, and whether it is met; None where a rival was not swept."""
    found = {rival: list(above[rival].values()) for rival in (*_BY_GOAL, DEFAULT) if rival in above}
    in_r = {budget / budgets[0]: place for place, budget in enumerate(budgets)}
    goals: dict[str, Any] = {
        f"above_{rival}": {"wanted": "above at every budget", "met": all(point["mean"] > 0 for point in points)}
        for rival, points in found.items()
    }
    goals["clearly_above_all_rankings"] = {
        "wanted": "lower end above 0 at 2 R and 2.5 R",
        "met": all(
            found[rival][in_r[multiple]]["ci_low"] > 0 for rival in _BY_GOAL if rival in found for multiple in _CLEARLY
        ),
    }
    for multiple, wanted in _ABOVE_DEFAULT.items():
        if DEFAULT in found:
            points = found[DEFAULT][in_r[multiple]]["mean"]
            goals[f"above_default_at_{multiple:g}_R"] = {"at_least": wanted, "met": points >= wanted}
    for rival, ratio in ratios.items():
        goals[f"epochs_to_{rival}"] = {"at_most": _EPOCHS, "met": ratio["mean"] <= _EPOCHS}
    if late:
        behind = [
            name for name in (*_BY_GOAL, DEFAULT, "bohb") if any(p["mean"] < 0 for p in late.get(name, {}).values())
        ]
        goals["not_behind_at_equal_seconds"] = {"wanted": "from R/2 on", "met": not behind, "behind": behind}
    return goals
