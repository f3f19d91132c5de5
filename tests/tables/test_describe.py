"""Descriptions of tables whose answers are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from made_up_table import make_table

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.report.table_figures import draw_curves, draw_figures
from hyperstar_tune.tables.describe import describe
from hyperstar_tune.tables.disagreement import (
    last_values,
    mean_correlations,
    noise_ceiling,
    noise_variance,
    rank_correlation,
    size_of,
    variance_split,
)

CONFIGURATION, INTERACTION, NOISE = 0.5, 0.3, 0.2


def components(n_tasks=60, n_configs=200, n_seeds=2, training=NOISE / 2):
    """Half A [T, H, S] and half B with known variances; tasks differ in level and scale, which does not count.

    The noise is of training, the same on both halves, and of the images of a half, the same for all seeds.
    """
    rng = np.random.default_rng(0)

    def draw(variance, *shape):
        return np.sqrt(variance) * rng.normal(size=shape)

    truth = draw(CONFIGURATION, 1, n_configs, 1) + draw(INTERACTION, n_tasks, n_configs, 1)
    scale, level = rng.uniform(0.5, 2, size=(n_tasks, 1, 1)), rng.normal(size=(n_tasks, 1, 1))
    trained = truth + draw(training, n_tasks, n_configs, n_seeds)
    half_a, half_b = (level + scale * (trained + draw(NOISE - training, n_tasks, n_configs, 1)) for _ in range(2))
    return half_a, half_b


@pytest.mark.parametrize(
    ("n_seeds", "training", "source"),
    [
        (3, 0, "half A against half B of another seed, 3 seeds of 60 tasks"),
        (3, 0.12, "half A against half B of another seed, 3 seeds of 60 tasks"),
        (2, NOISE, "half A against half B of another seed, 2 seeds of 60 tasks"),
        (1, 0, "the halves A and B of one seed"),
    ],
)
def test_variance_is_split_into_its_components(n_seeds, training, source):
    split = variance_split(*components(n_seeds=n_seeds, training=training))
    assert split.configuration == pytest.approx(CONFIGURATION, abs=0.06)
    assert split.interaction == pytest.approx(INTERACTION, abs=0.04)
    assert split.noise == pytest.approx(NOISE, abs=0.02)
    assert split.configuration + split.interaction + split.noise == pytest.approx(1)
    assert split.noise_from == source


def test_the_halves_of_one_seed_do_not_tell_the_noise_of_training():
    assert variance_split(*components(n_seeds=1, training=0.12)).noise == pytest.approx(NOISE - 0.12, abs=0.02)


def test_without_a_replicate_noise_stays_in_the_interaction():
    half_a, half_b = components(n_seeds=1)
    split = variance_split(half_a, np.full_like(half_b, np.nan))
    assert split.noise is None
    assert split.interaction == pytest.approx(INTERACTION + NOISE, abs=0.06)


def test_seeds_of_some_tasks_tell_the_noise_of_all():
    half_a, half_b = components(n_seeds=2)
    half_a[4:, :, 1] = np.nan
    value, source = noise_variance(half_a, half_b)
    assert source.startswith("half A against half B of another seed, 2 seeds of 4 tasks; the other tasks from")
    assert value == pytest.approx(NOISE, abs=0.05)  # the whole variance is 1


def test_the_noise_of_tasks_that_were_not_repeated_is_their_own():
    half_a, half_b = components(n_seeds=2, training=0.0)
    rng = np.random.default_rng(1)
    spread = half_a[4:].std(axis=1, keepdims=True)
    for half in (half_a, half_b):  # the others are judged on so few images that they are noisier
        half[4:] += spread * rng.normal(size=half[4:].shape)
    half_a[4:, :, 1] = np.nan
    value, _ = noise_variance(half_a, half_b)
    assert value == pytest.approx((4 * NOISE + 56 * (NOISE + 1) / 2) / 60, abs=0.06)


def test_tasks_that_agree_have_no_interaction_and_opposite_ones_nothing_else():
    scores = np.arange(10.0)
    agree = np.stack([scores, 2 * scores, scores + 5])[:, :, None]
    split = variance_split(agree, agree)
    assert (split.configuration, split.interaction, split.noise) == pytest.approx((1, 0, 0))
    against = np.stack([scores, -scores])[:, :, None]
    split = variance_split(against, against)
    assert (split.configuration, split.interaction, split.noise) == pytest.approx((0, 1, 0))


def test_the_ceiling_ranks_by_the_other_seeds_and_judges_on_half_b():
    up = np.arange(20.0)
    half_a = np.stack([-3 * up, up, up], axis=1)[None]  # [1, H, 3]: the mean of the others is right for the first alone
    half_b = np.stack([up, -up, -up], axis=1)[None]
    assert noise_ceiling(half_a, half_b, ["a"]).average_precision == 1
    assert noise_ceiling(half_a, -half_b, ["a"]).average_precision == 0
    for n_seeds in (1, 2):  # too few for a ceiling
        single = noise_ceiling(half_a[..., :n_seeds], half_a[..., :n_seeds], ["a"])
        assert single.average_precision == 1
        assert "same seed" in str(single)
    assert noise_ceiling(half_a, np.full_like(half_a, np.nan), ["a"]) is None
    tasks = np.concatenate([half_a, half_a, half_a]), np.concatenate([half_b, half_b, -half_b])
    assert noise_ceiling(*tasks, ["a", "a", "b"]).average_precision == 0.5  # a family weighs once


def test_rank_correlations_are_means_over_pairs():
    scores = np.array([[1, 2, 3, 4], [2, 3, 4, np.nan], [4, 3, 2, 1], [10, 20, 40, 30]], dtype=float)
    correlation = rank_correlation(scores)
    assert correlation[0, 1] == pytest.approx(1)
    assert correlation[0, 2] == pytest.approx(-1)
    assert correlation[0, 3] == pytest.approx(0.8)
    names = ["a@small", "a", "b@small", "c"]
    means = mean_correlations(correlation, ["a", "a", "b", "c"], [size_of(name) for name in names])
    upper = correlation[np.triu_indices(4, 1)]
    assert means["all"] == pytest.approx(upper.mean())
    assert means["within family"] == pytest.approx(correlation[0, 1])
    assert means["between families"] == pytest.approx((upper.sum() - correlation[0, 1]) / 5)
    assert means["small tasks"] == pytest.approx(correlation[0, 2])
    assert means["parent tasks"] == pytest.approx(correlation[1, 3])


def test_a_table_is_described_and_written_as_json():
    table = make_table(n_tasks=4)
    table.evaluations[0, :, 0, -1, 0] = np.linspace(0.1, 0.9, 48)
    table.evaluations[1:, :, 0, -1, 0] = np.linspace(0.9, 0.1, 48)
    table.evaluations[..., 2] = table.evaluations[..., 0]
    found = describe(table)
    assert (found.tasks, found.parents, found.sub_tasks, found.families, found.coverage) == (4, 4, 0, 3, 1)
    assert found.average_best == table.configs[0]
    assert [best.is_average_best for best in found.best] == [False, True, True, True]
    assert found.best[0].config == table.configs[-1]
    assert found.tasks_with_other_best == 0.25
    assert found.own_best_gain == pytest.approx(0.8 / 4, abs=1e-6)
    assert found.mean_rank_correlation == pytest.approx(0)
    assert found.noise_ceiling.average_precision == 1
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (plain["noise_ceiling_ap10"], plain["same_seed_ap10"]) == (None, 1)  # one seed gives no ceiling
    assert "no noise ceiling without 3 seeds; AP@10: 1.000" in str(found)
    assert plain["interaction_variance_share"] == pytest.approx(found.variance.interaction, abs=1e-5)
    assert "another best on 25% of the tasks; their own best is +20.00 points better on half B" in str(found)


def test_three_seeds_give_the_protocols_ceiling():
    table = make_table(n_tasks=2)
    table.evaluations[..., 2] = table.evaluations[..., 0]
    found = describe(replace(table, evaluations=np.repeat(table.evaluations, 3, axis=2)))
    assert (found.to_json()["noise_ceiling_ap10"], found.to_json()["same_seed_ap10"]) == (1, None)
    assert "noise ceiling of AP@10: 1.000 (half A of the other seeds judged on half B of one, 2 tasks" in str(found)


def test_one_task_cannot_disagree():
    found = describe(make_table(n_tasks=1))
    assert found.variance is found.mean_rank_correlation is found.tasks_with_other_best is found.own_best_gain is None
    assert found.noise_ceiling is not None
    assert "another best" not in str(found)


def test_incomplete_tables_are_compared_over_what_all_tasks_have():
    table = make_table(n_tasks=3)
    table.evaluations[2, 5] = np.nan
    found = describe(table)
    assert (found.tasks_compared, found.configurations_compared) == (2, 48)
    assert found.coverage == pytest.approx(1 - 1 / (3 * 48))
    table.evaluations[1, 7] = np.nan
    found = describe(table)
    assert (found.tasks_compared, found.configurations_compared) == (3, 46)
    table.evaluations[0, 10:] = np.nan
    table.evaluations[1, :10] = np.nan
    with pytest.raises(MetaDatasetError, match="measured on all tasks"):
        describe(table)


def test_a_diverged_cell_counts_as_the_worst_of_its_task_and_half():
    table = make_table(n_tasks=2, diverged=[(0, 3)])
    for objective in ("val_accuracy", "val_accuracy_b"):
        last = last_values(table, objective)
        recorded = table.curve(objective)[0, :, 0, -1]
        assert np.isnan(recorded[3])
        assert last[0, 3, 0] == pytest.approx(np.nanmin(recorded))


def test_figures_are_drawn_even_of_an_incomplete_table(tmp_path):
    table = make_table(n_tasks=3)
    table.evaluations[0, 20:] = np.nan
    paths = draw_figures(table, tmp_path / "figures")
    assert [path.name for path in paths] == ["heat_map.png", "curves.png", "similarity.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    with pytest.raises(MetaDatasetError, match="'nowhere'"):
        draw_curves(table, "nowhere", tmp_path / "curves.png")
