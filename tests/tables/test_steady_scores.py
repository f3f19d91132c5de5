"""Scores that a noisy last epoch and a small half of the images disturb less."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_table import make_table


def with_curves(curves):
    """A table with some curves, [T, H, S, F, 2 halves], in place of those of its first cells."""
    table = make_table(n_tasks=2, max_epochs=4)
    n_tasks, n_configs, n_seeds = curves.shape[:3]
    evaluations = np.full((2, len(table.configs), n_seeds, 4, 6), np.nan, dtype=np.float32)
    evaluations[:n_tasks, :n_configs, :, :, 0], evaluations[:n_tasks, :n_configs, :, :, 2] = np.moveaxis(curves, -1, 0)
    evaluations[:n_tasks, :n_configs, :, :, 5] = 1.0
    return replace(table, evaluations=evaluations)


def test_steady_scores_take_the_best_and_the_mean_of_both_halves():
    curves = np.zeros((1, 2, 1, 4, 2))
    curves[0, 0, 0] = [[0.2, 0.4], [0.5, 0.7], [0.9, 0.9], [0.3, 0.5]]  # means 0.3, 0.6, 0.9, 0.4
    found = with_curves(curves).steady_scores()
    assert found[0, 0] == pytest.approx((0.9 + 0.55) / 2)
    assert np.isnan(found[0, 2:]).all()
    assert np.isnan(found[1]).all()


def test_without_a_second_half_steady_scores_are_of_the_first():
    curves = np.full((1, 1, 1, 4, 2), np.nan)
    curves[0, 0, 0, :, 0] = [0.2, 0.4, 0.8, 0.6]
    assert with_curves(curves).steady_scores()[0, 0] == pytest.approx((0.8 + 0.5) / 2)


def test_a_diverged_cell_has_the_worst_steady_score_and_seeds_are_averaged():
    curves = np.zeros((1, 3, 2, 4, 2))
    curves[0, 0], curves[0, 1] = 0.6, 0.4
    curves[0, 2, 0, :2], curves[0, 2, 0, 2:] = 0.9, np.nan  # was the best until it diverged
    curves[0, 2, 1] = 0.8
    assert with_curves(curves).steady_scores()[0, :3] == pytest.approx([0.6, 0.4, (0.4 + 0.8) / 2])


def test_where_all_cells_diverged_nothing_is_better_than_zero():
    curves = np.full((1, 2, 1, 4, 2), np.nan)
    assert with_curves(curves).steady_scores()[0, :2].tolist() == [0.0, 0.0]
