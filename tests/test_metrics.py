import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperstar_tune import metrics
from hyperstar_tune.errors import SpaceError


def literal_average_precision(top, ranking, k):
    relevant = [config in top for config in ranking[:k]]
    return sum(sum(relevant[:i]) / i * relevant[i - 1] for i in range(1, k + 1)) / k


def test_average_precision_of_a_hand_computed_ranking():
    scores = [0.9, 0.8, 0.7, 0.1, 0.0]
    assert metrics.average_precision(scores, [0, 1, 2, 3, 4], k=3) == 1
    assert metrics.average_precision(scores, [0, 3, 1, 2, 4], k=3) == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert metrics.average_precision(scores, [3, 4, 0, 1, 2], k=2) == 0


@given(st.lists(st.integers(0, 3), min_size=4, max_size=7), st.data())
def test_ties_count_as_the_expectation_over_tie_breaks(scores, data):
    k = data.draw(st.integers(1, len(scores)))
    ranking = data.draw(st.permutations(range(len(scores))))
    threshold = sorted(scores)[-k]
    above = [i for i, s in enumerate(scores) if s > threshold]
    tied = [i for i, s in enumerate(scores) if s == threshold]
    tops = [set(above) | set(some) for some in itertools.combinations(tied, k - len(above))]
    expected = np.mean([literal_average_precision(top, ranking, k) for top in tops])
    assert metrics.average_precision(scores, ranking, k) == pytest.approx(expected)


def test_chance_level_is_the_mean_over_all_rankings():
    scores = [5, 4, 3, 2, 1]
    values = [metrics.average_precision(scores, order, 3) for order in itertools.permutations(range(5))]
    assert metrics.chance_average_precision(5, 3) == pytest.approx(np.mean(values))


def test_similarity_is_symmetric_and_one_for_itself():
    scores = np.random.default_rng(0).random((4, 30))
    similarity = metrics.similarity_matrix(scores)
    assert np.allclose(similarity, similarity.T)
    assert np.allclose(np.diag(similarity), 1)


def test_regrets_count_from_the_best_to_the_median():
    scores = [0.5, 0.9, 0.7, 0.6, 0.1]
    assert metrics.regret(scores, [2, 1, 0, 3, 4], 1) == pytest.approx(0.2)
    assert metrics.normalized_regret(scores, [3, 0, 1, 2, 4], 1) == pytest.approx(1)
    assert metrics.normalized_regret(scores, [3, 0, 1, 2, 4], 3) == 0
    assert metrics.configs_to_best(scores, [3, 0, 1, 2, 4]) == 3
    assert metrics.best_so_far(scores, [3, 0, 1, 2, 4]).tolist() == [0.6, 0.6, 0.9, 0.9, 0.9]


def test_a_diverged_configuration_is_the_worst():
    scores = [0.5, np.nan, 0.7]
    assert metrics.ranking_of(scores).tolist() == [2, 0, 1]
    assert metrics.regret(scores, [1, 0, 2], 1) == pytest.approx(0.2)
    assert metrics.average_precision(scores, [1, 2, 0], 1) == 0


def test_ndcg_is_one_for_the_true_order_and_less_for_its_reverse():
    scores = np.linspace(0, 1, 12)
    best_first = metrics.ranking_of(scores)
    assert metrics.ndcg(scores, best_first) == pytest.approx(1)
    assert metrics.ndcg(scores, best_first[::-1]) < 0.5
    assert metrics.ndcg([0.3] * 12, range(12)) == 1


def test_normalized_scores_have_mean_zero_and_deviation_one():
    table = np.array([[0.1, 0.5, np.nan, 0.9], [0.2, 0.2, 0.2, 0.2]])
    normalized = metrics.normalize_scores(table)
    assert np.nanmean(normalized[0]) == pytest.approx(0)
    assert np.nanstd(normalized[0]) == pytest.approx(1)
    assert np.isnan(normalized[0, 2])
    assert normalized[1].tolist() == [0, 0, 0, 0]


def test_k_beyond_the_configurations_is_refused():
    with pytest.raises(SpaceError, match="but got 11"):
        metrics.average_precision([1.0] * 10, range(10), k=11)
