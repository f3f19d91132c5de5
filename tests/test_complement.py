import numpy as np
import pytest

from hyperstar_tune.complement import complement_of, shortfalls


def test_a_shortfall_is_the_distance_to_the_best_of_the_task_and_counts_up_to_ten_points():
    accuracies = np.array([[0.9, 0.85, 0.2], [np.nan, 0.5, 0.45], [np.nan] * 3])
    expected = [[0.0, -0.05, -0.1], [np.nan, 0.0, -0.05], [np.nan] * 3]
    np.testing.assert_allclose(shortfalls(accuracies), expected, atol=1e-12)


def test_the_complement_is_best_where_the_first_fails_not_second_best_everywhere():
    falls = np.array([[0.0, -0.01, -0.1], [0.0, -0.01, -0.1], [-0.1, -0.09, 0.0]])
    assert falls.mean(axis=0).argsort()[::-1].tolist() == [0, 1, 2]
    assert complement_of(0, falls) == 2
    assert complement_of(2, falls) == 0


def test_of_equal_pairs_the_one_that_is_better_alone_counts_and_then_the_first():
    falls = np.array([[0.0, -0.09, -0.05, -0.05], [0.0, 0.0, 0.0, 0.0]])
    assert complement_of(0, falls) == 2


@pytest.mark.parametrize("shape", [(0, 4), (3, 1)])
def test_nothing_known_has_no_complement(shape):
    assert complement_of(0, np.zeros(shape)) is None


def test_it_is_the_formula_of_the_documentation():
    chance = np.random.default_rng(0)
    for _ in range(50):
        falls = shortfalls(chance.uniform(0.6, 0.8, size=(7, 9)))
        first = int(chance.integers(9))
        pairs = [np.mean([max(row[h], row[first]) for row in falls]) if h != first else -1 for h in range(9)]
        assert complement_of(first, falls) == int(np.argmax(pairs))
