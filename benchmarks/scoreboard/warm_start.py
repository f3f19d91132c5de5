"""What the first configurations of a ranking are worth (Figure 5a of the paper)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.comparison.judging import Truth, by_family, judge, true_scores
from hyperstar_tune.comparison.leave_out import LooScores
from hyperstar_tune.comparison.statistics import bootstrap_mean
from hyperstar_tune.metrics import best_so_far, ranking_of
from hyperstar_tune.tables.metadataset import MetaDataset
from scoreboard.families import scored_part

__all__ = ["warm_start"]

Floats = npt.NDArray[np.float64]


def warm_start(table: MetaDataset, loo: LooScores, families: Sequence[str]) -> dict[str, Any]:
    """Figure 5a: regret, in points of accuracy, after the first k configurations of every ranking.

    Returns:
        ``k`` (1 to H), ``half``, ``families`` and, by ranker, ``mean``, ``low`` and ``high`` at every k, and
        ``configs_to_best``.
    """
    truth, names = scored_part(loo, true_scores(table, families))
    frame = judge(loo, truth, names)
    to_best = by_family(frame, "configs_to_best")
    curves = {}
    for name in names:
        bands = [bootstrap_mean(column, n_samples=2000) for column in _curves(loo, truth, name).T]
        curves[name] = {
            end: [round(float(getattr(band, end)), 4) for band in bands] for end in ("mean", "low", "high")
        } | {"configs_to_best": bootstrap_mean(to_best[name]).to_json()}
    return {
        "k": list(range(1, len(table.configs) + 1)),
        "unit": f"points of accuracy below the best of the table, half {truth.reported}",
        "half": truth.reported,
        "families": len(to_best),
        "rankers": curves,
    }


def _curves(loo: LooScores, truth: Truth, ranker: str) -> Floats:
    """Regret after the first 1, 2, ... H configurations of a ranking, in points of accuracy (Figure 5a).

    Returns:
        Shape [F, H]: means over seeds and tasks of a family, families in order of appearance.
    """
    curves: dict[str, list[Floats]] = {}
    for place, (task, family) in enumerate(zip(truth.tasks, truth.families, strict=True)):
        scores = truth.half_b[place]
        seeds = range(loo.n_seeds(ranker, task))
        found = [best_so_far(scores, ranking_of(loo.scores(ranker, task, seed))) for seed in seeds]
        curves.setdefault(family, []).append(100 * (scores.max() - np.mean(found, axis=0)))
    return np.stack([np.mean(of_family, axis=0) for of_family in curves.values()])
