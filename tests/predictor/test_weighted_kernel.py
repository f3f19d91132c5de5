"""The weight of each parameter, learned from the scores of configurations."""

import numpy as np
import pytest

from hyperstar_tune.predictor.weighted_kernel import Kernel, learned_kernel

WIDTHS = (1, 2, 1)


def learned(values, encoded, noise=1e-3):
    n = len(values)
    return learned_kernel(encoded, WIDTHS, values - values.mean(), np.ones((n, n)), np.full(n, noise))


@pytest.fixture
def encoded():
    return np.random.default_rng(0).uniform(-1, 1, (60, sum(WIDTHS)))


def test_a_parameter_that_changes_nothing_gets_a_small_weight_and_all_its_numbers_the_same(encoded):
    weights = learned(np.sin(4 * encoded[:, 0]) + np.cos(3 * encoded[:, 3]), encoded).weights
    assert len(weights) == encoded.shape[1]
    assert weights[1] == weights[2] < 0.3 * min(weights[0], weights[3])


def test_weights_predict_what_was_left_out_better_than_equal_ones(encoded):
    values = np.sin(4 * encoded[:, 0])
    known, new = encoded[:40], encoded[40:]
    errors = []
    for kernel in (learned(values[:40], known), Kernel.of(known)):
        solved = np.linalg.solve(kernel.between(known, known) + 1e-3 * np.eye(40), values[:40])
        errors.append(np.square(kernel.between(new, known) @ solved - values[40:]).mean())
    assert errors[0] < errors[1] / 4


@pytest.mark.parametrize("values", [np.zeros(60), np.full(60, 0.3)])
def test_scores_that_are_all_alike_leave_the_weights_equal(encoded, values):
    assert learned(values, encoded) == Kernel.of(encoded)


def test_the_weights_do_not_hang_on_the_unit_of_the_scores(encoded):
    values = encoded[:, 0] * encoded[:, 3]
    np.testing.assert_allclose(learned(values, encoded).weights, learned(100 * values, encoded).weights, rtol=0.02)


def test_configurations_that_are_all_alike_are_no_error():
    kernel = learned(np.arange(5.0), np.zeros((5, 4)))
    assert np.isfinite([kernel.pairs, kernel.near, *kernel.weights]).all()
