"""How well each ranking found a task's good configurations: one row per ranker, task and seed.

AP@10, NDCG@10 and Spearman's correlation are judged on half A of the validation images, by which configurations are
ranked. Regret and the number of configurations to the best are judged on half B, by which nothing was chosen. If a
table has no half B, everything is judged on half A, and ``Truth.has_b`` says so.

Source: docs/protocol.md, "Scores".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr

from hyperstar_tune.comparison.leave_out import LooScores
from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.metrics import average_precision, configs_to_best, ndcg, normalized_regret, ranking_of, regret
from hyperstar_tune.tables.disagreement import last_values
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["LOWER_IS_BETTER", "MEASURES", "Truth", "by_family", "judge", "judged", "true_scores"]

_TRIED = (1, 3, 5, 10)  # the k of regret@k: configurations that were tried
LOWER_IS_BETTER = ("regret", "normalized_regret", "configs_to_best")
MEASURES = (
    *("ap_at_10", "ndcg_at_10", "spearman", "configs_to_best", "ap_at_10_half_b"),
    *(f"{kind}_at_{k}" for kind in ("regret", "normalized_regret") for k in _TRIED),
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """True scores of the complete tasks of some families."""

    tasks: list[str]  # names of the T tasks
    families: list[str]  # family of each task
    half_a: Floats  # [T, H], mean over the seeds that were trained
    half_b: Floats  # [T, H]; half A where the table has no half B
    has_b: bool

    @property
    def reported(self) -> str:
        """The half on which regret is judged."""
        return "B" if self.has_b else "A"


def true_scores(table: MetaDataset, families: Iterable[str]) -> Truth:
    """Scores of the tasks of some families on which every configuration was trained.

    Raises:
        MetaDatasetError: If there is none.
    """
    half_a = table.scores()
    wanted = table.tasks["family"].isin(set(families)).to_numpy(dtype=bool)
    rows = np.flatnonzero(wanted & table.complete)
    if not len(rows):
        raise MetaDatasetError(
            "judging rankers needs a task on which every configuration was trained, but the table has none"
        )
    last = last_values(table, "val_accuracy_b")[rows]  # [T, H, S]
    counts = np.isfinite(last).sum(axis=2)
    half_b, has_b = half_a[rows], bool(counts.all())
    if has_b:
        half_b = np.nanmean(last, axis=2)
        half_b = np.where(counts > 1, np.round(half_b, 7), half_b)  # as half A
    names, of_tasks = (table.tasks[column].iloc[rows].astype(str).tolist() for column in ("name", "family"))
    return Truth(names, of_tasks, half_a[rows], half_b, has_b)


def judged(half_a: Floats, half_b: Floats, order: npt.NDArray[np.intp], has_b: bool) -> dict[str, float]:
    """All ``MEASURES`` of one ranking (indices of all H configurations, best first) of one task of a ``Truth``.

    Regret is in points of accuracy (0 to 100); AP@10 on half B is NaN without half B.
    """
    k = min(10, len(half_a))
    return {
        "ap_at_10": average_precision(half_a, order, k),
        "ndcg_at_10": ndcg(half_a, order, k),
        "spearman": float(spearmanr(half_a, -np.argsort(order)).statistic) if np.ptp(half_a) > 0 else 0.0,
        "configs_to_best": float(configs_to_best(half_b, order)),
        "ap_at_10_half_b": average_precision(half_b, order, k) if has_b else np.nan,
        **{f"regret_at_{tried}": 100 * regret(half_b, order, min(tried, len(order))) for tried in _TRIED},
        **{
            f"normalized_regret_at_{tried}": normalized_regret(half_b, order, min(tried, len(order)))
            for tried in _TRIED
        },
    }


def judge(loo: LooScores, truth: Truth, rankers: Sequence[str]) -> pd.DataFrame:
    """Judges the rankings of the tasks of ``truth`` by rankers that ranked every one of them.

    Returns:
        Columns ``ranker, family, task, seed`` and those of ``MEASURES``.
    """
    rows = []
    for name in rankers:
        for task, family, half_a, half_b in zip(truth.tasks, truth.families, truth.half_a, truth.half_b, strict=True):
            for seed in range(loo.n_seeds(name, task)):
                values = judged(half_a, half_b, ranking_of(loo.scores(name, task, seed)), truth.has_b)
                rows.append({"ranker": name, "family": family, "task": task, "seed": seed, **values})
    return pd.DataFrame(rows)


def by_family(frame: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Means over a family's tasks and seeds, [family, ranker]; all tasks weigh the same, whatever their seeds."""
    by_task = frame.groupby(["ranker", "family", "task"], sort=False, observed=True)[measure].mean()
    means = by_task.groupby(["ranker", "family"], sort=False, observed=True).mean().unstack("ranker")
    return means[list(dict.fromkeys(frame["ranker"]))]
