"""The traits that were tried and do not ship."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scoreboard.more_traits import ALL_TRAITS, mirror_probe
from two_classes import made

from hyperstar_tune.predictor.traits import traits_of


def test_there_is_one_for_each_column_of_the_committed_file():
    path = Path(__file__).parents[2] / "benchmarks" / "metadata" / "task_traits.parquet"
    assert list(pd.read_parquet(path)) == list(ALL_TRAITS)


def test_a_trait_asked_for_alone_is_the_same_as_among_all():
    alone = [traits_of(made(1), 32, [name])[0] for name in ALL_TRAITS]
    np.testing.assert_array_equal(alone, traits_of(made(1), 32, ALL_TRAITS))
    assert np.isfinite(alone).all()


def test_probes_see_whether_classes_can_be_told_apart():
    names = ("probe_deep", "probe_stage2", "neighbours_conv5", "separation_conv5")
    assert min(traits_of(made(1), 32, names)[:3]) > 0.9
    assert max(traits_of(made(0), 32, names)[:3]) < 0.6
    assert traits_of(made(1), 32, names)[3] > traits_of(made(0), 32, names)[3] + 0.2


def test_counts_are_those_of_the_task():
    names = ("log_images", "log_classes", "log_images_per_class", "imbalance")
    assert traits_of(made(1), 32, names) == pytest.approx([np.log(48), np.log(2), np.log(24), 0])


@pytest.mark.parametrize(("n", "n_classes"), [(40, 2), (80, 2), (100, 10), (300, 3)])
def test_of_noise_a_mirrored_probe_knows_nothing_however_few_images_there_are(n, n_classes):
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels, values = np.arange(n) % n_classes, rng.normal(size=(n, 400))
        found.append(mirror_probe(values, rng.normal(size=values.shape), labels))
    assert abs(np.mean(found)) < 0.08
