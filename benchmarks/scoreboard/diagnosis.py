"""Why a ranking is as good as it is: what there is to know, what is noise, and what r numbers per task could say.

Source: docs/protocol.md, "Noise ceiling"; Eckart & Young (1936) for the low-rank part.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.comparison.judging import MEASURES, Truth, judged
from hyperstar_tune.comparison.statistics import MIN_FAMILIES, bootstrap_mean, holm, paired_p_value
from hyperstar_tune.metrics import normalize_scores, ranking_of
from hyperstar_tune.tables.disagreement import MIN_SEEDS, last_values, noise_ceiling, variance_split
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["RANKS", "best_task_vectors", "diagnose", "repeated_measurement"]

RANKS = (0, 1, 2, 3, 4, 5, 8)

Floats = npt.NDArray[np.float64]
Orders = Sequence[npt.NDArray[np.intp]]  # rankings, each of indices of all H configurations


def diagnose(table: MetaDataset, truth: Truth, rankings: Mapping[str, Sequence[Orders]]) -> dict[str, Any]:
    """The noise ceiling, the variance split and the best possible task vectors, as plain JSON.

    Args:
        table: Table of learning curves.
        truth: True scores of some of its tasks.
        rankings: By ranker, the rankings of each of these tasks, one per seed of the ranker.
    """
    rows = [table.tasks["name"].tolist().index(task) for task in truth.tasks]
    half_a, half_b = (last_values(table, name)[rows] for name in ("val_accuracy", "val_accuracy_b"))
    ceiling = repeated_measurement(half_a, half_b, truth.families, rankings)
    same_seed = noise_ceiling(half_a, half_b, truth.families)
    enough = len(rows) > 1
    upper = ranking_of(np.asarray(normalize_scores(truth.half_a)).mean(axis=0))[: -(-truth.half_a.shape[1] // 2)]
    return {
        "noise_ceiling": ceiling,
        "no_noise_ceiling_because": None if ceiling else _why_none(table, truth),
        "half_a_judged_on_half_b_of_the_same_seed_ap10": (
            None if same_seed is None or ceiling else round(same_seed.average_precision, 5)
        ),
        "variance": _split(half_a, half_b) if enough else None,
        "variance_upper_half": _split(half_a[:, upper], half_b[:, upper]) if enough else None,
        "best_task_vector_by_rank": best_task_vectors(truth) if len(set(truth.families)) > 1 else None,
    }


def repeated_measurement(
    half_a: Floats, half_b: Floats, families: Sequence[str], rankings: Mapping[str, Sequence[Orders]]
) -> dict[str, Any] | None:
    """All measures of a ranking by the other seeds of the task itself: a ceiling as high as these seeds can tell.

    A ranking by more seeds would come nearer to the truth still, so a share of the way to this ceiling can exceed 1.
    The half B of every seed judges the ranking by the mean half A of the others. For a fair comparison it also judges
    the rankings of every ranker for the same task. Here ``ap_at_10`` is on half B, on one seed of the repeated
    tasks alone, so it cannot be compared with any figure elsewhere.

    Args:
        half_a: Accuracy, shape [T, H, S], NaN where not measured.
        half_b: The same on half B.
        families: Family of each task.
        rankings: By ranker, the rankings of each task, one per seed of the ranker.

    Returns:
        How many tasks and families were repeated and, of the ceiling at the top, of ``one_seed`` (a ranking by one
        other seed: no ceiling) and of ``rankers``: ``measures``, means over families with an interval where there are
        ``MIN_FAMILIES`` of them, ``by_family`` and, of rankers, ``p_value_ceiling`` (AP@10 against the ceiling, Holm).
        None if no task has ``MIN_SEEDS`` seeds on both halves.
    """
    found: dict[str, dict[str, list[dict[str, float]]]] = {}  # by kind of ranking and family, one dict per task
    tasks = 0
    for place, (a, b, family) in enumerate(zip(half_a, half_b, families, strict=True)):
        seeds = np.flatnonzero(np.isfinite(a + b).all(axis=0))
        if len(seeds) < MIN_SEEDS:
            continue
        tasks += 1
        each: dict[str, list[dict[str, float]]] = {}
        for seed in seeds:
            others = [other for other in seeds if other != seed]
            judges: dict[str, Orders] = {
                "the mean of the other seeds": [ranking_of(a[:, others].mean(axis=1))],
                "one other seed": [ranking_of(a[:, other]) for other in others],
                **{f"ranker {name}": of_tasks[place] for name, of_tasks in rankings.items()},
            }
            for kind, orders in judges.items():
                each.setdefault(kind, []).extend(judged(b[:, seed], b[:, seed], order, has_b=True) for order in orders)
        for kind, values in each.items():
            mean = {name: float(np.mean([value[name] for value in values])) for name in MEASURES}
            found.setdefault(kind, {}).setdefault(family, []).append(mean)
    if not found:
        return None
    summed = {kind: _by_measure(by_family) for kind, by_family in found.items()}
    names = list(found["the mean of the other seeds"])
    top = summed["the mean of the other seeds"]
    if len(names) >= MIN_FAMILIES:
        precisions = {name: summed[f"ranker {name}"]["by_family"]["ap_at_10"] for name in rankings}
        below = holm({name: paired_p_value(of, top["by_family"]["ap_at_10"]) for name, of in precisions.items()})
        for name, p_value in below.items():
            summed[f"ranker {name}"]["p_value_ceiling"] = round(p_value, 5)
    return {
        "tasks": tasks,
        "families": len(names),
        "family_names": names,
        **top,
        "one_seed": summed["one other seed"],
        "rankers": {name: summed[f"ranker {name}"] for name in rankings},
    }


def _by_measure(by_family: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    means = {name: [float(np.mean([task[name] for task in of])) for of in by_family.values()] for name in MEASURES}
    shown = ("mean", "low", "high") if len(by_family) >= MIN_FAMILIES else ("mean",)
    intervals = {name: bootstrap_mean(values).to_json() for name, values in means.items()}
    return {
        "measures": {name: {key: interval[key] for key in shown} for name, interval in intervals.items()},
        "by_family": {name: [round(value, 5) for value in values] for name, values in means.items()},
    }


def best_task_vectors(truth: Truth) -> dict[str, dict[str, Any]]:
    """Rankings by the mean of the other families plus the best r numbers per task, which are fitted to the answer.

    The r directions are the leading ones of the other families' deviations from their mean; the r coordinates are
    those that come nearest to the task's own true normalized scores. A predictor with r task coordinates and these
    directions can reach no smaller squared error. Rank 0 is the average ranking.

    Returns:
        By rank: measures with their intervals over families.
    """
    z = np.asarray(normalize_scores(truth.half_a))
    families = np.asarray(truth.families, dtype=object)
    names = list(dict.fromkeys(truth.families))
    result = {}
    for rank in RANKS:
        means: dict[str, list[float]] = {name: [] for name in MEASURES}
        for family in names:
            own = np.flatnonzero(families == family)
            others = z[families != family]
            if rank > len(others) - 1:
                break
            average = others.mean(axis=0)
            directions = np.linalg.svd(others - average, full_matrices=False)[2][:rank]  # [r, H]
            of_tasks = []
            for row in own:
                fitted = average + (z[row] - average) @ directions.T @ directions
                of_tasks.append(judged(truth.half_a[row], truth.half_b[row], ranking_of(fitted), truth.has_b))
            for name in MEASURES:
                means[name].append(float(np.mean([task[name] for task in of_tasks])))
        if len(means["ap_at_10"]) == len(names):
            shown = ("ap_at_10", "ndcg_at_10", "spearman", "regret_at_3", "normalized_regret_at_3", "configs_to_best")
            result[str(rank)] = {name: bootstrap_mean(means[name]).to_json() for name in shown}
    return result


def _why_none(table: MetaDataset, truth: Truth) -> str:
    if not truth.has_b:
        return "the table has no half B, so that nothing was measured apart from what configurations are ranked by"
    n_seeds = table.evaluations.shape[2]
    if n_seeds < MIN_SEEDS:
        have = "one seed" if n_seeds == 1 else f"{n_seeds} seeds"
        return f"the table has {have}, a ceiling needs {MIN_SEEDS}: how far a repetition would agree was not measured"
    return f"no complete task of these families has {MIN_SEEDS} seeds of every configuration"


def _split(half_a: Floats, half_b: Floats) -> dict[str, Any]:
    split = variance_split(half_a, half_b)
    return {
        "configuration": round(split.configuration, 5),
        "interaction": round(split.interaction, 5),
        "noise": None if split.noise is None else round(split.noise, 5),
        "noise_from": split.noise_from,
    }
