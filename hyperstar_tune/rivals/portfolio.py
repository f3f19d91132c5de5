"""Rival rankings from later papers that look at counts and recorded scores only: a portfolio and Tr-AutoML.

For tables of rankers. For tuning a network use ``Predictor``.

Source: Wistuba, Schilling & Schmidt-Thieme, "Sequential model-free hyperparameter tuning", ICDM 2015; Feurer et al.,
"Auto-sklearn 2.0", JMLR 23 (2022); Xue et al., "Transferable AutoML by model sharing over grouped datasets", CVPR 2019.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.metrics import normalize_scores, ranking_of
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.counts import _LookUpRanker, complete_scores
from hyperstar_tune.rivals.meta_features import TaskFacts
from hyperstar_tune.space import Config, config_key
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["PortfolioRanker", "TrAutoMLRanker", "greedy_portfolio"]

Floats = npt.NDArray[np.floating]


class PortfolioRanker(_LookUpRanker):
    """A zero-shot portfolio: each next configuration is the one that helps the training tasks most beside those before.

    Its score is minus its place: it says nothing of how much better one place is than the next.
    """

    name = "portfolio"

    def fit(self, metadataset: MetaDataset) -> "PortfolioRanker":
        """Builds the portfolio on the complete tasks."""
        places = np.argsort(greedy_portfolio(complete_scores(metadataset)[1]))
        keys = (config_key(config) for config in metadataset.configs)
        self._scores = dict(zip(keys, (-float(place) for place in places), strict=True))
        return self

    def rank(self, task: Any, configs: Sequence[Config]) -> Ranking:
        """The same order for every task."""
        return self._rank(_name_of(task), self._scores, configs)


def greedy_portfolio(scores: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Configurations in the order that lowers the mean best regret over tasks fastest.

    Args:
        scores: Accuracies, shape [T, H].

    Returns:
        Indices of all configurations, shape [H]. Regret is on the scale where 0 is a task's best and 1 its median
        configuration, at most 1, so that no task outweighs the others; where two help alike, and once every task has
        its best, the better mean normalized score comes first.
    """
    values = np.asarray(scores, dtype=np.float64)
    best = values.max(axis=1, keepdims=True)
    span = best - np.median(values, axis=1, keepdims=True)
    regret = np.minimum(np.divide(best - values, span, out=np.zeros_like(values), where=span > 0), 1.0)  # [T, H]
    left = ranking_of(np.asarray(normalize_scores(values)).mean(axis=0)).tolist()
    order: list[int] = []
    so_far = np.ones(len(values))
    while left:
        means = np.minimum(so_far[:, None], regret[:, left]).mean(axis=0)
        chosen = left.pop(int(np.argmin(np.round(means, 12))))
        order.append(chosen)
        so_far = np.minimum(so_far, regret[:, chosen])
    return np.asarray(order, dtype=np.intp)


class TrAutoMLRanker:
    """Tr-AutoML as an order: its random benchmarks, then the ranking of the task on which they did most alike.

    Unlike the other rankers it pays first: the accuracies of the ``n_benchmarks`` configurations at the head of its
    order are those of the task to be ranked. ``hyperstar_tune.rivals.transfer`` runs the same under a budget.

    Args:
        trained: A table with the tasks to be ranked, of which the benchmarks' accuracies are read and no others.
        seed: Of the draw of benchmarks.
        n_benchmarks: As in HyperSTAR's Sec. 4.3.
    """

    name = "tr_automl"

    def __init__(self, trained: MetaDataset, seed: int = 0, n_benchmarks: int = 10) -> None:
        if not 2 <= n_benchmarks < len(trained.configs):
            raise PredictorError(
                f"n_benchmarks must be between 2 and {len(trained.configs) - 1}, but got {n_benchmarks}"
            )
        rows = random.Random(seed).sample(range(len(trained.configs)), n_benchmarks)  # noqa: S311
        self._benchmarks = [config_key(trained.configs[row]) for row in rows]
        names = trained.tasks["name"].tolist()
        self._accuracies = dict(zip(names, trained.scores()[:, rows], strict=True))
        self._known: Floats | None = None

    def fit(self, metadataset: MetaDataset) -> "TrAutoMLRanker":
        """Keeps the normalized scores of the complete tasks."""
        self._known = np.asarray(normalize_scores(complete_scores(metadataset)[1]))
        self._rows = {config_key(config): row for row, config in enumerate(metadataset.configs)}
        return self

    def rank(self, task: Any, configs: Sequence[Config]) -> Ranking:
        """The benchmarks in the order they are trained, then all others as on the most similar task.

        Raises:
            PredictorError: If the ranker was not fitted, or a benchmark was not trained on the task.
        """
        name = _name_of(task)
        if self._known is None:
            raise PredictorError(f"ranker {self.name!r} must be fitted to a table first")
        mine = self._accuracies.get(name)
        if mine is None or not np.isfinite(mine).all():
            raise PredictorError(f"ranker {self.name!r} needs the accuracies of its benchmarks on task {name!r}")
        of_tasks = self._known[:, [self._rows[key] for key in self._benchmarks]]
        nearest = self._known[int(np.argmax(_correlations(of_tasks, mine)))]
        scores = {key: float(nearest[row]) for key, row in self._rows.items()}
        first = 1.0 + max(scores.values())
        scores |= {key: first + len(self._benchmarks) - place for place, key in enumerate(self._benchmarks)}
        values = [scores[config_key(config)] for config in configs]
        return Ranking.of(configs, values, task=name, source=self.name)


def _correlations(of_tasks: Floats, mine: Floats) -> Floats:
    """Pearson's correlation of each row of [T, n] with [n]; 0 where either is constant."""
    rows = np.vstack([mine, of_tasks])
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows[1:] @ rows[0])


def _name_of(task: Any) -> str:
    return (
        task.name if isinstance(task, TaskFacts) else str(task["name"] if hasattr(task, "__getitem__") else task.name)
    )
