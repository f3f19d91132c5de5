"""Rivals that learn from the accuracies that HyperSTAR+ learns from."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_table import make_ranker, make_table

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.rivals.registry import ranker_kind
from hyperstar_tune.rivals.steady import with_steady_scores


@pytest.fixture(scope="module")
def noisy():
    return make_table(diverged=[(1, 3)], seed=4)


def test_scores_of_the_table_are_the_steady_ones_and_nothing_else_changes(noisy):
    steady = with_steady_scores(noisy)
    np.testing.assert_allclose(steady.scores(), noisy.steady_scores(), atol=1e-6)
    assert (noisy.scores() != noisy.steady_scores()).any()
    np.testing.assert_array_equal(steady.evaluations[..., :-1, :], noisy.evaluations[..., :-1, :])


def test_where_a_schedule_settles_accuracies_nothing_changes(noisy):
    settled = replace(noisy, fingerprint=replace(noisy.fingerprint, schedule="settling over the last 3/8"))
    assert with_steady_scores(settled) is settled


@pytest.mark.parametrize("name", ["average_top1", "average_normalized", "portfolio", "random_forest", "nearest_task"])
def test_a_steady_rival_ranks_as_the_plain_one_on_steady_scores(noisy, name):
    task = noisy.tasks.iloc[0]
    known = noisy.without("twins")
    steady = make_ranker(f"{name}_steady").fit(known).rank(task, noisy.configs)
    plain = make_ranker(name).fit(with_steady_scores(known)).rank(task, noisy.configs)
    assert steady.configs == plain.configs
    assert steady.source == f"{name}_steady"


def test_labels_tell_them_apart_and_rankers_with_targets_of_their_own_have_no_steady_form():
    assert ranker_kind("portfolio_steady").label == "zero-shot portfolio, steady targets"
    assert ranker_kind("portfolio_steady").color == ranker_kind("portfolio").color
    for name in ("hyperstar_plus_steady", "magic_steady", "random_steady"):
        with pytest.raises(PredictorError, match=f"got '{name}'"):
            ranker_kind(name)
