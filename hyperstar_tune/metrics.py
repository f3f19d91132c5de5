"""How good a ranking of configurations is, as numbers: AP@K, NDCG@K, regret, similarity of tasks.

Higher scores are better. A ranking lists the indices of all H configurations, best predicted first. These numbers are
not for choosing a configuration: the true scores are known only once everything has been trained.

Source: HyperSTAR (CVPR 2020), Sec. 3.1 and 4; ties and ceilings as in docs/protocol.md.
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement
from math import comb

import numpy as np
import numpy.typing as npt

from hyperstar_tune.errors import SpaceError

__all__ = [
    "average_precision",
    "best_so_far",
    "chance_average_precision",
    "configs_to_best",
    "ndcg",
    "normalize_scores",
    "normalized_regret",
    "ranking_of",
    "regret",
    "similarity_matrix",
    "worst_for_diverged",
]

FloatArray = npt.NDArray[np.float64]
RankingLike = Sequence[int] | npt.NDArray[np.integer]


def ranking_of(scores: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Indices of the configurations, best score first; equal scores keep their order, NaN comes last, shape [H]."""
    return np.argsort(-_scores(scores), kind="stable")


def normalize_scores(scores: npt.ArrayLike) -> FloatArray:
    """Scores [..., H] of each task with mean 0 and standard deviation 1 over its configurations; 0 if all are equal.

    NaN stays NaN and does not count. Source: HyperSTAR (CVPR 2020), Sec. 3.1.
    """
    values = np.asarray(scores, dtype=np.float64)
    centred = values - np.nanmean(values, axis=-1, keepdims=True)
    spread = np.nanstd(values, axis=-1, keepdims=True)
    return np.divide(centred, spread, out=np.where(np.isnan(values), np.nan, 0.0), where=spread > 1e-12)


def worst_for_diverged(values: npt.ArrayLike, axis: int | tuple[int, ...] = -1) -> FloatArray:
    """Values in which those that are not finite, of diverged runs, are as bad as the worst finite one along some axes.

    Where none is finite they are 0. So that differences of scores stay finite.
    """
    found = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(found)
    worst = np.where(finite, found, np.inf).min(axis=axis, keepdims=True)
    return np.where(finite, found, np.where(np.isinf(worst), 0.0, worst))


def relevance(true_scores: npt.ArrayLike, k: int = 10) -> FloatArray:
    """Probability [H] of each configuration to be in the true top ``k``, ties at the k-th place broken at random."""
    scores = _scores(true_scores)
    _check_k(k, len(scores))
    threshold = np.sort(scores)[-k]
    above, tied = scores > threshold, scores == threshold
    return above + tied * ((k - above.sum()) / tied.sum())


def average_precision(true_scores: npt.ArrayLike, ranking: RankingLike, k: int = 10) -> float:
    """Average precision of the first ``k`` places of a ranking, ``(1/k) sum_i P(i) rel(i)``.

    It lies in [0, 1]: the expectation over random ways to break ties at the true k-th place; 1 if the first ``k``
    places hold exactly the true top ``k``. A score that is NaN counts as the worst.

    Raises:
        SpaceError: If ``k`` exceeds H or the ranking is shorter than ``k``.

    Source: HyperSTAR (CVPR 2020), Sec. 4, with Zhu (2004).
    """
    scores = _scores(true_scores)
    _check_k(k, min(len(scores), len(ranking)))
    first = np.asarray(ranking[:k])
    share = relevance(scores, k)
    rel = share[first]
    # E[rel_i rel_j] is the product unless both are tied: the tied group is drawn without replacement.
    tied = scores == np.sort(scores)[-k]
    n_tied = int(tied.sum())
    drawn = share[tied][0] * n_tied  # places left for the tied group
    pair = drawn * (drawn - 1) / (n_tied * (n_tied - 1)) if n_tied > 1 else 0.0
    joint = np.where(np.outer(tied[first], tied[first]), pair, np.outer(rel, rel))
    np.fill_diagonal(joint, rel)
    precision_times_relevance = np.tril(joint).sum(axis=1) / np.arange(1, k + 1)
    return float(precision_times_relevance.sum() / k)


def chance_average_precision(n_configs: int, k: int = 10) -> float:
    """Expected AP@k of a random ranking of ``n_configs`` configurations."""
    _check_k(k, n_configs)
    one = k / n_configs
    two = comb(k, 2) / comb(n_configs, 2) if k > 1 else 0.0
    return float(np.mean([(one + (i - 1) * two) / i for i in range(1, k + 1)]))


def similarity_matrix(scores: npt.ArrayLike, k: int = 10) -> FloatArray:
    """Similarity r_ij of tasks: AP@k of one task's true ranking judged by the other's, mean of both directions.

    From scores [T, H], NaN where not measured; of shape [T, T] and in [0, 1], over the configurations measured on both
    tasks, NaN where those are fewer than ``k``. Source: HyperSTAR (CVPR 2020), Eq. 2.
    """
    table = np.asarray(scores, dtype=np.float64)
    similarity = np.full((len(table), len(table)), np.nan)
    for i, j in combinations_with_replacement(range(len(table)), 2):
        both = np.isfinite(table[i]) & np.isfinite(table[j])
        if both.sum() >= k:
            one, other = table[i, both], table[j, both]
            directed = average_precision(one, ranking_of(other), k) + average_precision(other, ranking_of(one), k)
            similarity[i, j] = similarity[j, i] = directed / 2
    return similarity


def ndcg(true_scores: npt.ArrayLike, ranking: RankingLike, k: int = 10) -> float:
    """Normalized discounted cumulative gain of the first ``k`` places, in [0, 1].

    The gain of a configuration is its true score, scaled per task to [0, 1] (worst to best); 1 if all scores are equal.
    """
    scores = worst_for_diverged(true_scores)
    _check_k(k, min(len(scores), len(ranking)))
    span = scores.max() - scores.min()
    if span <= 0:
        return 1.0
    gains = (scores - scores.min()) / span
    discounts = 1 / np.log2(np.arange(2, k + 2))
    return float(gains[np.asarray(ranking[:k])] @ discounts / (np.sort(gains)[::-1][:k] @ discounts))


def best_so_far(true_scores: npt.ArrayLike, ranking: RankingLike) -> FloatArray:
    """Best true score among the first 1, 2, ... H configurations of a ranking, shape [H] (Figure 5a)."""
    return np.maximum.accumulate(worst_for_diverged(true_scores)[np.asarray(ranking)])


def regret(true_scores: npt.ArrayLike, ranking: RankingLike, k: int) -> float:
    """How far the best of the first ``k`` configurations is below the best of all, in the unit of the scores."""
    scores = worst_for_diverged(true_scores)
    _check_k(k, len(scores))
    return float(scores.max() - scores[np.asarray(ranking[:k])].max())


def normalized_regret(true_scores: npt.ArrayLike, ranking: RankingLike, k: int) -> float:
    """Regret on the scale where 0 is the best configuration and 1 the median one."""
    scores = worst_for_diverged(true_scores)
    span = scores.max() - np.median(scores)
    return regret(scores, ranking, k) / span if span > 0 else 0.0


def configs_to_best(true_scores: npt.ArrayLike, ranking: RankingLike, tolerance: float = 0.05) -> int:
    """How many configurations of a ranking must be trained until the normalized regret is at most ``tolerance``."""
    scores = worst_for_diverged(true_scores)
    target = scores.max() - tolerance * (scores.max() - np.median(scores))
    return int(np.argmax(best_so_far(scores, ranking) >= target)) + 1


def _scores(scores: npt.ArrayLike) -> FloatArray:
    values = np.asarray(scores, dtype=np.float64)
    return np.where(np.isnan(values), -np.inf, values)


def _check_k(k: int, n_configs: int) -> None:
    if not 1 <= k <= n_configs:
        raise SpaceError(f"k must lie between 1 and the number of configurations ({n_configs}), but got {k}")
