"""Traits of labelled images."""

import numpy as np
import pytest
from two_classes import made

from hyperstar_tune.predictor.traits import (
    SHIPPED_TRAITS,
    gram,
    left_out,
    neighbours,
    probe,
    traits_of,
    weights_of,
)


def test_a_trait_asked_for_alone_is_the_same_as_among_all():
    alone = [traits_of(made(1), 32, [name])[0] for name in SHIPPED_TRAITS]
    np.testing.assert_array_equal(alone, traits_of(made(1), 32))
    assert np.isfinite(alone).all()


def test_a_probe_sees_whether_classes_can_be_told_apart():
    assert traits_of(made(1), 32, ["probe_deep"])[0] > 0.9
    assert traits_of(made(0), 32, ["probe_deep"])[0] < 0.6


def features(labels, apart, rng, width=256):
    """Noise, with one direction in which the classes lie so many deviations apart."""
    found = rng.normal(size=(len(labels), width))
    found[:, 0] += apart * labels
    return found


def test_a_probe_is_fitted_without_the_image_it_decides_on():
    rng = np.random.default_rng(0)
    labels, values = np.array([0] * 15 + [1] * 10 + [2] * 5), rng.normal(size=(30, 50))
    one_hot, kernel, weights = np.eye(3)[labels], gram(values), weights_of(labels)
    without_it = left_out(kernel, labels)
    ridge = 0.1 * np.trace(kernel) / 30 + 1e-9
    for place in (0, 17, 29):
        rest = np.delete(np.arange(30), place)
        bordered = np.ones((30, 30))  # weighted kernel ridge regression with an intercept
        bordered[:29, :29], bordered[29, 29] = kernel[np.ix_(rest, rest)] + ridge * np.diag(1 / weights[rest]), 0
        solution = np.linalg.solve(bordered, np.concatenate([one_hot[rest], np.zeros((1, 3))]))
        expected = kernel[place, rest] @ solution[:29] + solution[29]
        np.testing.assert_allclose(without_it[place], expected, atol=1e-9)


@pytest.mark.parametrize(("n", "n_classes"), [(40, 2), (80, 2), (100, 10), (300, 3)])
def test_of_noise_a_probe_knows_nothing_however_few_images_there_are(n, n_classes):
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels, values = np.arange(n) % n_classes, rng.normal(size=(n, 400))
        found.append(probe(gram(values), labels))
    assert abs(np.mean(found)) < 0.08


@pytest.mark.parametrize("majority", [0.5, 0.8, 0.95])
def test_how_many_images_a_class_has_is_not_how_hard_it_is(majority):
    rng = np.random.default_rng(0)
    labels = (np.arange(400) >= 400 * majority).astype(np.intp)
    kernel = gram(features(labels, 4.0, rng, width=8))
    assert probe(kernel, labels) > 0.85
    assert neighbours(kernel, labels) > 0.5
    nothing = gram(features(labels, 0.0, rng, width=8))
    assert abs(probe(nothing, labels)) < 0.25
    assert abs(neighbours(nothing, labels)) < 0.25
