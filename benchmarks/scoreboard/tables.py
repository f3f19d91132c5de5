"""Tables of rankers as the paper measures them, from leave-family-out scores and a table of learning curves.

Development families and the test families of docs/protocol.md are separate blocks. The result is plain JSON, and
``figures.py`` draws from it alone. For methods under a budget use ``budget_table.py``.

Source: HyperSTAR (CVPR 2020), Tables 1 and 2 and Figure 5a; statistics as in docs/protocol.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune.comparison.judging import LOWER_IS_BETTER, MEASURES, Truth, by_family, judge, true_scores
from hyperstar_tune.comparison.leave_out import LooScores
from hyperstar_tune.comparison.statistics import MIN_FAMILIES, Interval, bootstrap_mean, holm, paired_p_value
from hyperstar_tune.metrics import chance_average_precision, ranking_of
from hyperstar_tune.rivals.registry import ranker_kind, ranker_names
from hyperstar_tune.tables.metadataset import MetaDataset
from scoreboard.critical_difference import critical_difference
from scoreboard.diagnosis import diagnose
from scoreboard.families import scored_part

__all__ = ["AVERAGES", "OURS", "ranker_table", "stronger_average"]

OURS, BLIND = "hyperstar_plus", "plus_average"  # BLIND: the same without images
AVERAGES = ("average_top1", "average_normalized")  # of which the stronger is the rival "average"
_GAINS = {  # wanted AP@10 above a rival, in points: ours / the paper's
    "average": (10, 40),
    "random_forest": (12, 42),
    "nearest_task": (15, 39),
    "meta_data": (5, 20),
    "global_mean": (5, 17),
}

Floats = npt.NDArray[np.float64]


def ranker_table(table: MetaDataset, loo: LooScores, families: Sequence[str]) -> dict[str, Any]:
    """The rankers of a table, judged on the complete tasks of some families that all of them ranked.

    Args:
        table: Table of learning curves.
        loo: Leave-family-out scores.
        families: Families of the block; those without a complete task do not count.

    Returns:
        ``rankers``: by name, best AP@10 first, the means over families and their intervals, ``p_value`` (AP@10
        against the stronger average ranking, Holm), ``p_value_regret_at_3``, ``p_value_chance`` (AP@10 against the
        chance level, Holm) and ``per_task``; the row ``average`` is the stronger of the two average rankings, chosen
        measure by measure. ``noise_ceiling_ap10``, ``chance_ap10``,
        ``families``, ``seeds`` (fewest of a ranker that draws), ``critical_difference``, ``diagnosis``, ``goals`` and
        ``gain_by_images`` (our ranker against the average of its targets; positive is better).
        ``left_out`` names the complete tasks that lack a ranker's scores, and counts the tasks of rankers left out.
        ``on_steady_accuracies`` judges the same rankings on ``MetaDataset.steady_scores``, which are not the protocol's
        scores but less noisy ones; None where a schedule lets a run settle.

    Raises:
        MetaDatasetError: If no complete task has scores of all rankers.
    """
    complete = true_scores(table, families)
    truth, names = scored_part(loo, complete)
    frame = judge(loo, truth, names)
    measures = [name for name in MEASURES if truth.has_b or name != "ap_at_10_half_b"]
    values = {name: by_family(frame, name) for name in measures}  # [family, ranker]
    rivals = {name: stronger_average(values[name], name) for name in measures}
    rankers = {str(name): _row(frame, values, str(name)) for name in values["ap_at_10"].columns}
    _add_p_values(rankers, values, rivals)
    chance = chance_average_precision(len(table.configs))
    precisions = values["ap_at_10"]
    above = holm({str(name): paired_p_value(precisions[name], chance) for name in precisions})
    for name, row in rankers.items():
        row["p_value_chance"] = round(above[name], 5)
    ordered = dict(sorted(rankers.items(), key=lambda item: -item[1]["ap_at_10"]))
    rankings = {name: [_rankings(loo, name, task) for task in truth.tasks] for name in names}
    diagnosis = diagnose(table, truth, rankings)
    ceiling = diagnosis["noise_ceiling"]
    drawn = [name for name in ranker_names() if ranker_kind(name).is_random and name in rankers]
    seeds = [rankers[name]["seeds"] for name in drawn]
    return {
        "rankers": ordered | ({"average": _average_row(rankers, rivals)} if rivals["ap_at_10"] else {}),
        "average_is": rivals,
        "noise_ceiling_ap10": ceiling["measures"]["ap_at_10"]["mean"] if ceiling else None,
        "no_noise_ceiling_because": diagnosis["no_noise_ceiling_because"],
        "chance_ap10": round(chance, 5),
        "families": len(values["ap_at_10"]),
        "family_names": [str(name) for name in values["ap_at_10"].index],
        "tasks": len(truth.tasks),
        "left_out": _left_out(loo, complete.tasks, truth.tasks, names),
        "seeds": min(seeds, default=1),
        "judged_on": {
            "ap_at_10, ndcg_at_10, spearman": "half A",
            "regret, configs_to_best": f"half {truth.reported}",
            **({"noise_ceiling_ap10": f"half B of one seed, {ceiling['tasks']} repeated tasks"} if ceiling else {}),
        },
        "critical_difference": _differences(values),
        "goals": _goals(values, rivals, ceiling) if OURS in rankers else None,
        "gain_by_images": _gain_by_images(values),
        "diagnosis": diagnosis,
        "on_steady_accuracies": _on_steady_accuracies(table, loo, truth, names),
    }


def stronger_average(values: pd.DataFrame, measure: str) -> str | None:
    """The stronger average ranking by a measure; None if neither was run."""
    means = {name: float(np.mean(values[name])) for name in AVERAGES if name in values}
    sign = 1 if measure.startswith(LOWER_IS_BETTER) else -1
    return min(means, key=lambda name: sign * means[name], default=None)


def _on_steady_accuracies(
    table: MetaDataset, loo: LooScores, truth: Truth, names: Sequence[str]
) -> dict[str, Any] | None:
    if not table.fingerprint.constant_rate:
        return None
    rows = [table.tasks["name"].tolist().index(task) for task in truth.tasks]
    steady = table.steady_scores()[rows]
    frame = judge(loo, replace(truth, half_a=steady, half_b=steady), names)
    shown = [name for name in MEASURES if name != "ap_at_10_half_b"]
    values = {name: by_family(frame, name) for name in shown}
    rivals = {name: stronger_average(values[name], name) for name in shown}
    rankers: dict[str, dict[str, Any]] = {
        str(ranker): {name: bootstrap_mean(values[name][ranker]).to_json() for name in shown}
        for ranker in values["ap_at_10"]
    }
    _add_p_values(rankers, values, rivals)
    return {
        "rankers": dict(sorted(rankers.items(), key=lambda r: -r[1]["ap_at_10"]["mean"])),
        "average_is": rivals,
        "goals": _goals(values, rivals, None) if OURS in rankers else None,
        "gain_by_images": _gain_by_images(values),
    }


def _gain_by_images(values: Mapping[str, pd.DataFrame]) -> dict[str, Any] | None:
    """How much better our ranker is than the average of what it learns from, which looks at no image."""
    if not {OURS, BLIND} <= set(values["ap_at_10"]):
        return None
    gains = {}
    for name, of_family in values.items():
        sign = -1 if name.startswith(LOWER_IS_BETTER) else 1
        p_value = round(paired_p_value(of_family[OURS], of_family[BLIND]), 5)
        gains[name] = bootstrap_mean(sign * (of_family[OURS] - of_family[BLIND])).to_json() | {"p_value": p_value}
    return gains


def _rankings(loo: LooScores, ranker: str, task: str) -> list[npt.NDArray[np.intp]]:
    return [ranking_of(loo.scores(ranker, task, seed)) for seed in range(loo.n_seeds(ranker, task))]


def _left_out(loo: LooScores, complete: Sequence[str], tasks: Sequence[str], rankers: Sequence[str]) -> dict[str, Any]:
    without = [task for task in complete if task not in set(tasks)]
    return {
        "complete_tasks": len(without),
        "task_names": without,
        "rankers": {
            name: f"scores of {sum(loo.n_seeds(name, task) > 0 for task in complete)} of {len(complete)} tasks"
            for name in loo.rankers
            if name not in rankers
        },
    }


def _row(frame: pd.DataFrame, values: Mapping[str, pd.DataFrame], ranker: str) -> dict[str, Any]:
    own = frame[frame["ranker"] == ranker]
    intervals = {name: bootstrap_mean(of_family[ranker]) for name, of_family in values.items()}
    per_task = own.groupby("task", sort=False, observed=True)[list(values)].mean().round(4)
    return {
        **{name: round(interval.mean, 5) for name, interval in intervals.items()},
        "ci_low": round(intervals["ap_at_10"].low, 5),
        "ci_high": round(intervals["ap_at_10"].high, 5),
        "intervals": {name: [round(i.low, 5), round(i.high, 5)] for name, i in intervals.items()},
        "seeds": int(own.groupby("task", observed=True)["seed"].nunique().min()),
        "per_task": {str(task): row.to_dict() for task, row in per_task.iterrows()},
        "per_task_and_seed_ap10": {
            str(task): [round(float(value), 4) for value in part["ap_at_10"]]
            for task, part in own.groupby("task", sort=False, observed=True)
        },
    }


def _average_row(rankers: Mapping[str, Mapping[str, Any]], rivals: Mapping[str, str | None]) -> dict[str, Any]:
    """Measure by measure the row of the stronger one; its tasks are those of the stronger one by AP@10."""
    row: dict[str, Any] = {}
    for name, rival in rivals.items():
        row[name] = rankers[str(rival)][name]
    by_precision = rankers[str(rivals["ap_at_10"])]
    return row | {
        **{key: by_precision[key] for key in ("ci_low", "ci_high", "seeds", "per_task", "per_task_and_seed_ap10")},
        "intervals": {name: rankers[str(rival)]["intervals"][name] for name, rival in rivals.items()},
        "p_value": None,
        "p_value_regret_at_3": None,
        "p_value_chance": by_precision["p_value_chance"],
    }


def _add_p_values(
    rankers: Mapping[str, dict[str, Any]], values: Mapping[str, pd.DataFrame], rivals: Mapping[str, str | None]
) -> None:
    for measure, key in (("ap_at_10", "p_value"), ("normalized_regret_at_3", "p_value_regret_at_3")):
        adjusted = _against(values[measure], rivals[measure])
        for name, row in rankers.items():
            row[key] = adjusted.get(name)


def _against(values: pd.DataFrame, rival: str | None) -> dict[str, float]:
    if rival is None:
        return {}
    p_values = {str(name): paired_p_value(values[name], values[rival]) for name in values if name != rival}
    return {name: round(p, 5) for name, p in holm(p_values).items()}


def _differences(values: Mapping[str, pd.DataFrame]) -> dict[str, Any] | None:
    of_precision = values["ap_at_10"]
    if len(of_precision) < 2 or len(of_precision.columns) < 3:
        return None
    return {
        name: critical_difference(
            {str(ranker): values[name][ranker] for ranker in values[name]}, not name.startswith(LOWER_IS_BETTER)
        ).to_json()
        for name in ("ap_at_10", "normalized_regret_at_3")
    }


def _goals(
    values: Mapping[str, pd.DataFrame], rivals: Mapping[str, str | None], ceiling: Mapping[str, Any] | None
) -> dict[str, Any]:
    """How far our ranker is ahead, beside what was wanted; ``met`` is None where it cannot be told."""
    precision, to_best = values["ap_at_10"], values["configs_to_best"]
    gains = {}
    for name, (wanted, paper) in _GAINS.items():
        rival = rivals["ap_at_10"] if name == "average" else name
        if rival in precision:
            gain = bootstrap_mean(100 * (precision[OURS] - precision[rival]))
            gains[name] = {
                "points": gain.to_json(),
                "wanted": wanted,
                "paper": paper,
                "met": gain.mean >= wanted and gain.low > 0,
            }
    means = {str(name): float(np.mean(to_best[name])) for name in to_best}
    best = min((name for name in means if name != OURS), key=lambda name: means[name])
    ratio = means[OURS] / means[best]
    return {
        "ap10_above": gains,
        **{
            f"{measure}_gap_closed": _gap_closed(measure, values[measure], rivals[measure], ceiling)
            for measure in ("regret_at_3", "normalized_regret_at_3")
        },
        "configs_to_best": {
            "ours": round(means[OURS], 3),
            "best_rival": best,
            "rivals": round(means[best], 3),
            "ratio": round(ratio, 4),
            "fewer": bootstrap_mean(to_best[best] - to_best[OURS]).to_json(),
            "wanted": 0.5,
            "met": ratio <= 0.5,
        },
    }


def _gap_closed(measure: str, values: pd.DataFrame, rival: str | None, ceiling: Mapping[str, Any] | None) -> Any:
    """Share of the way from the stronger average ranking to the noise ceiling, by a regret.

    All three are judged on half B of one seed at a time of the tasks that were measured repeatedly, and on these alone.
    A share of a gap that could be nothing says nothing, and is not given.
    """
    nothing: dict[str, Any] = {"share": None, "wanted": 0.3, "met": None}
    if ceiling is None or rival is None:
        return nothing | {"below_average": bootstrap_mean(values[rival] - values[OURS]).to_json() if rival else None}

    def by_family(row: Mapping[str, Any]) -> Floats:
        return np.asarray(row["by_family"][measure], dtype=np.float64)

    averages = {name: by_family(ceiling["rankers"][name]) for name in AVERAGES if name in ceiling["rankers"]}
    rival = min(averages, key=lambda name: float(averages[name].mean()))
    gained = averages[rival] - by_family(ceiling["rankers"][OURS])
    gap = averages[rival] - by_family(ceiling)
    entering = nothing | {"families": len(gap), "tasks": ceiling["tasks"], "rival": rival}
    if len(gap) < MIN_FAMILIES:
        why = f"{len(gap)} families were measured repeatedly, fewer than the {MIN_FAMILIES} that an interval needs"
        means = {"gained": {"mean": round(float(gained.mean()), 5)}, "gap": {"mean": round(float(gap.mean()), 5)}}
        return entering | means | {"why": why}
    of_gained, of_gap = bootstrap_mean(gained), bootstrap_mean(gap)
    entering |= {"gained": of_gained.to_json(), "gap": of_gap.to_json()}
    if of_gap.low <= 0:
        return entering | {"why": "the interval of the gap from the average ranking to the noise ceiling contains 0"}
    draws = np.random.default_rng(0).integers(0, len(gap), size=(10_000, len(gap)))
    gains, gaps = gained[draws].mean(axis=1), gap[draws].mean(axis=1)
    low, high = np.percentile(gains[gaps > 0] / gaps[gaps > 0], [2.5, 97.5])  # at most 2.5 % of the draws have no gap
    share = Interval(of_gained.mean / of_gap.mean, float(low), float(high))
    return entering | {"share": share.to_json(), "met": bool(share.mean >= 0.3 and of_gained.low > 0)}
