"""A rival ranking from later papers that looks at recorded scores only: a zero-shot portfolio.

For tables of rankers. For tuning a network use ``Predictor``.

Source: Wistuba, Schilling & Schmidt-Thieme, "Sequential model-free hyperparameter tuning", ICDM 2015; Feurer et al.,
"Auto-sklearn 2.0", JMLR 23 (2022).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.metrics import normalize_scores, ranking_of
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.counts import _LookUpRanker, complete_scores
from hyperstar_tune.rivals.meta_features import TaskFacts
from hyperstar_tune.space import Config, config_key
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["PortfolioRanker", "greedy_portfolio"]


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


def _name_of(task: Any) -> str:
    return (
        task.name if isinstance(task, TaskFacts) else str(task["name"] if hasattr(task, "__getitem__") else task.name)
    )
