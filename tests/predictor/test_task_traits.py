"""Traits of labelled images."""

import numpy as np
import pytest

from hyperstar_tune.predictor._task_traits import TRAITS, traits_of
from hyperstar_tune.task import ImageTask


def made(separable, n=48, seed=0):
    """Two classes of noise; told apart by their brightness, or by nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = rng.integers(0, 60, (n, 32, 32, 3), dtype=np.uint8) + (120 * labels * separable)[:, None, None, None]
    return ImageTask.from_arrays("made", images.astype(np.uint8), labels, images[:4].astype(np.uint8), labels[:4])


def test_a_trait_asked_for_alone_is_the_same_as_among_all():
    alone = [traits_of(made(1), 32, [name])[0] for name in TRAITS]
    np.testing.assert_array_equal(alone, traits_of(made(1), 32))
    assert np.isfinite(alone).all()


def test_probes_see_whether_classes_can_be_told_apart():
    names = ("probe_deep", "probe_stage2", "neighbours_conv5", "separation_conv5")
    assert min(traits_of(made(1), 32, names)[:3]) > 0.9
    assert max(traits_of(made(0), 32, names)[:3]) < 0.6
    assert traits_of(made(1), 32, names)[3] > traits_of(made(0), 32, names)[3] + 0.2


def test_counts_are_those_of_the_task():
    names = ("log_images", "log_classes", "log_images_per_class", "imbalance")
    assert traits_of(made(1), 32, names) == pytest.approx([np.log(48), np.log(2), np.log(24), 0])
