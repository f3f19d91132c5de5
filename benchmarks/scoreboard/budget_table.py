"""How many epochs and points a ranking in front of Hyperband saves, read off the summary of a sweep.

It works on the JSON of ``summarize`` alone, for some of its families, so that development and test families never mix.

Source: HyperSTAR (CVPR 2020), Sec. 4.3; the ratio of epochs as in docs/protocol.md, "Statistics".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.comparison.statistics import Interval, bootstrap_mean, epochs_over_rivals
from hyperstar_tune.errors import MetaDatasetError

__all__ = ["budget_table", "by_family", "points", "with_ends"]

Floats = npt.NDArray[np.float64]

_EPOCHS = {"vs_hyperband": 0.25, "vs_bohb": 0.25, "vs_average_ranking": 0.9}  # wanted, as a share of the rival's
_POINTS = {"vs_hyperband": 1.5, "vs_bohb": 1.5}  # wanted at the smallest budget
_WORST = -1.0  # points that no family may lose to Hyperband


def budget_table(summary: Mapping[str, Any], families: Sequence[str], rankers: Sequence[str]) -> dict[str, Any]:
    """Sums up a sweep for some families.

    Args:
        summary: The result of ``summarize``.
        families: Those that count; others are ignored.
        rankers: The ranking that is judged: the first of these that was swept with ``+hyperband``.

    Returns:
        ``method``; ``epochs_to_target_ratio`` and ``smallest_budget_gain_points`` of it (eta = 2) against
        ``vs_hyperband``, ``vs_bohb`` and, the stronger of the two, ``vs_average_ranking``; ``worst_family_points`` (the
        least gain over Hyperband at any budget of any eta, None without Hyperband); ``goals``, what was wanted of these
        and whether it is ``met``; the same of the ranking ``alone`` and of Hyperband with its
        ``longest_first``, None if not swept; by eta, method and budget the mean accuracy in points.
        Intervals: ``mean``, ``ci_low``, ``ci_high``.

    Raises:
        MetaDatasetError: If the sweep has no task of these families or none of the rankings.
    """
    part = summary["by_eta"]["2"]
    swept = part["methods"]
    ranker = next((name for name in rankers if f"{name}+hyperband" in swept), None)
    names = [family for family in dict.fromkeys(summary["families"].values()) if family in set(families)]
    if ranker is None or not names:
        raise MetaDatasetError(f"the sweep must hold RANKER+hyperband of {', '.join(rankers)} and a wanted family")
    method, grid = f"{ranker}+hyperband", part["grid"]
    curves = {name: by_family(summary, part, name, names) for name in swept}
    rivals = {"vs_hyperband": "hyperband", "vs_bohb": "bohb", "vs_average_ranking": _stronger_average(curves)}
    known = {key: name for key, name in rivals.items() if name in curves}
    smallest = grid.index(part["budgets"][0])

    def against_rivals(name: str) -> dict[str, Any] | None:
        if name not in curves:
            return None
        ratios = _ratios(curves, name, known, grid)
        gains = {key: points((curves[name] - curves[rival])[:, smallest]) for key, rival in known.items()}
        worst = _worst_family(summary, name, names)
        return {
            "method": name,
            "epochs_to_target_ratio": ratios,
            "smallest_budget_gain_points": gains,
            "worst_family_points": worst,
            "goals": _goals(ratios, gains, worst),
        }

    return {
        **(against_rivals(method) or {}),
        "rivals": rivals,
        "families": len(names),
        "half": summary["half"],
        "alone": against_rivals(f"{ranker}+alone"),
        "longest_first": against_rivals(f"{ranker}+hyperband_longest_first"),
        "methods": {eta: _at_budgets(summary, of_eta, names) for eta, of_eta in summary["by_eta"].items()},
    }


def _goals(
    ratios: Mapping[str, Mapping[str, float]], gains: Mapping[str, Mapping[str, float]], worst: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What was wanted of the method, at most or at least, and whether it is met."""
    goals = {
        f"epochs_{key}": {"at_most": wanted, "met": ratios[key]["mean"] <= wanted}
        for key, wanted in _EPOCHS.items()
        if key in ratios
    }
    goals |= {
        f"points_{key}": {"at_least": wanted, "met": gains[key]["mean"] >= wanted}
        for key, wanted in _POINTS.items()
        if key in gains
    }
    if worst is not None:
        goals["worst_family_points"] = {"at_least": _WORST, "met": worst["points"] >= _WORST}
    return goals


def _worst_family(summary: Mapping[str, Any], method: str, names: Sequence[str]) -> dict[str, Any] | None:
    """The family, eta and budget at which the method is furthest below Hyperband, or least above it."""
    gains = []
    for eta, part in summary["by_eta"].items():
        if not {method, "hyperband"} <= set(part["methods"]):
            continue
        own, rivals = (by_family(summary, part, name, names) for name in (method, "hyperband"))
        for budget in part["budgets"]:
            gained = (own - rivals)[:, part["grid"].index(budget)]
            row = int(np.argmin(gained))
            gains.append((float(gained[row]), names[row], int(eta), budget))
    if not gains:
        return None
    points, family, eta, budget = min(gains, key=lambda gain: gain[0])
    return {"family": family, "eta": eta, "budget": budget, "points": round(100 * points, 3)}


def by_family(summary: Mapping[str, Any], part: Mapping[str, Any], method: str, names: Sequence[str]) -> Floats:
    """Mean accuracy over a family's tasks, shape [F, budgets]."""
    rows = []
    for family in names:
        tasks = [task for task, of in summary["families"].items() if of == family]
        rows.append(np.mean([part["tasks"][task][method] for task in tasks], axis=0))
    return np.stack(rows)


def _stronger_average(curves: Mapping[str, Floats]) -> str:
    """The average ranking in front of Hyperband that finds more, averaged over the curve."""
    names = [name for name in ("average_top1+hyperband", "average_normalized+hyperband") if name in curves]
    return max(names, key=lambda name: float(curves[name].mean()), default="average_top1+hyperband")


def _ratios(
    curves: Mapping[str, Floats], method: str, rivals: Mapping[str, str], grid: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Epochs of the method over the rival's own until half a point below the rival's final accuracy."""
    result = {}
    for key, rival in rivals.items():
        ratio, reached = epochs_over_rivals(curves[method], curves[rival], grid)
        result[key] = with_ends(ratio, 5) | {"families_that_reach_it": round(reached, 4)}
    return result


def _at_budgets(summary: Mapping[str, Any], part: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    places = {budget: part["grid"].index(budget) for budget in part["budgets"]}
    table = {}
    for method, about in part["methods"].items():
        values = by_family(summary, part, method, names)
        table[method] = {"seeds": about["seeds"]} | {
            str(budget): points(values[:, place]) for budget, place in places.items()
        }
    return table


def points(values: Floats) -> dict[str, float]:
    return with_ends(bootstrap_mean(100 * values), 3)


def with_ends(interval: Interval, digits: int) -> dict[str, float]:
    ends = {"mean": interval.mean, "ci_low": interval.low, "ci_high": interval.high}
    return {name: round(float(value), digits) for name, value in ends.items()}
