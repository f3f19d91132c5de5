"""Statistics over families, against known results."""

import numpy as np
import pytest

from hyperstar_tune.comparison.statistics import (
    bootstrap_mean,
    epochs_to_target,
    geometric_ratio,
    holm,
    paired_p_value,
)
from hyperstar_tune.errors import HyperStarError


def test_the_interval_of_a_mean_is_about_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(3, 2, size=400)
    interval = bootstrap_mean(values)
    half = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)


def test_one_family_has_no_width_and_none_is_refused():
    assert bootstrap_mean([0.4]).to_json() == {"mean": 0.4, "low": 0.4, "high": 0.4}
    with pytest.raises(HyperStarError, match="one finite value per family"):
        bootstrap_mean([])
    with pytest.raises(HyperStarError, match="nan"):
        bootstrap_mean([0.1, float("nan")])


def test_a_clear_difference_is_significant_and_none_is_not():
    rng = np.random.default_rng(1)
    base = rng.normal(size=20)
    assert paired_p_value(base + 1 + 0.1 * rng.normal(size=20), base) < 0.001
    assert paired_p_value(base + rng.normal(size=20), base) > 0.05
    assert paired_p_value(base, base) == 1


def test_p_values_of_no_difference_are_about_uniform():
    rng = np.random.default_rng(2)
    p_values = [paired_p_value(*rng.normal(size=(2, 25)), seed=i, n_samples=500) for i in range(300)]
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.10
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.05)


def test_holm_on_a_worked_example():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"only": 0.9, "two": 0.8}) == {"only": 1.0, "two": 1.0}


def test_epochs_to_a_target_count_from_one_and_forgive_half_a_point():
    curve = [float("nan"), 0.5, 0.796, 0.81]
    assert epochs_to_target(curve, 0.8, 99) == 3
    assert epochs_to_target(curve, 0.81, 99) == 4
    assert epochs_to_target(curve, 0.82, 99) == 99


def test_ratios_are_averaged_on_a_logarithmic_scale():
    ratio = geometric_ratio([10, 40], [20, 20])
    assert ratio.mean == pytest.approx(1.0)
    assert ratio.low == pytest.approx(0.5)
    assert ratio.high == pytest.approx(2.0)
