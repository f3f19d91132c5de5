"""Rankers that know nothing of the task at hand: chance, averages over known tasks, and a portfolio.

Source: HyperSTAR (CVPR 2020), Sec. 4.1; Wistuba, Schilling & Schmidt-Thieme, "Sequential model-free hyperparameter
tuning", ICDM 2015, and Feurer et al., "Auto-sklearn 2.0", JMLR 23 (2022), for the portfolio.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.metrics import normalize_scores, ranking_of
from hyperstar_tune.rivals.base import Floats, LookUpRanker, Ranker, complete_scores, task_name
from hyperstar_tune.space import Config
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["AverageNormalizedRanker", "AverageTop1Ranker", "PortfolioRanker", "RandomRanker", "greedy_portfolio"]


class RandomRanker(Ranker):
    """A uniformly random order, which differs for every task and seed."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _fit(self, metadataset: MetaDataset) -> None:
        """Does nothing: there is nothing to learn."""

    def _scores(self, task: Any, configs: Sequence[Config]) -> Floats:
        return np.random.default_rng([self.seed, *task_name(task).encode()]).random(len(configs))


class AverageTop1Ranker(LookUpRanker):
    """Ranks by mean accuracy over the complete training tasks: the paper's task-agnostic baseline."""

    name = "average_top1"

    def _fit(self, metadataset: MetaDataset) -> None:
        self._values = complete_scores(metadataset)[1].mean(axis=0)


class AverageNormalizedRanker(LookUpRanker):
    """Ranks by mean normalized score over the complete training tasks, so that every task weighs the same."""

    name = "average_normalized"

    def _fit(self, metadataset: MetaDataset) -> None:
        self._values = normalize_scores(complete_scores(metadataset)[1]).mean(axis=0)


class PortfolioRanker(LookUpRanker):
    """A zero-shot portfolio: the next configuration is always the one that adds most for the training tasks.

    The score of a configuration is minus its place, which does not say how much better one place is than the next.
    """

    name = "portfolio"

    def _fit(self, metadataset: MetaDataset) -> None:
        self._values = -np.argsort(greedy_portfolio(complete_scores(metadataset)[1])).astype(np.float64)


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
    left = ranking_of(normalize_scores(values).mean(axis=0)).tolist()
    order: list[int] = []
    so_far = np.ones(len(values))
    while left:
        means = np.minimum(so_far[:, None], regret[:, left]).mean(axis=0)
        chosen = left.pop(int(np.argmin(np.round(means, 12))))
        order.append(chosen)
        so_far = np.minimum(so_far, regret[:, chosen])
    return np.asarray(order, dtype=np.intp)
