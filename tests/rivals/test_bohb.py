"""BOHB picks from its model, hears of every observation and keeps its hands off other people's random numbers."""

import numpy as np
import pytest
from made_up_table import make_table

from hyperstar_tune import HyperBandPlan, PlanScheduler
from hyperstar_tune.errors import SearchError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.bohb import BohbSearcher
from hyperstar_tune.simulation import TaskCurves, replay

pytest.importorskip("hpbandster", reason="the extra bohb is not installed")
PLAN = HyperBandPlan(9)


@pytest.fixture(scope="module")
def curves():
    return TaskCurves.of(make_table(), "task0")


def run(curves, plan=PLAN, **arguments):
    searcher = BohbSearcher(curves.space, **arguments)
    scheduler = PlanScheduler(plan)
    return searcher, scheduler, replay(curves, searcher, scheduler)


def test_picks_come_from_the_model(curves):
    searcher, _, result = run(curves, HyperBandPlan(9, 3, 160), seed=0, n_samples=16)
    assert searcher.model_based_picks > 10  # hpbandster would answer any error with a random pick
    assert len(result.trials) > 20


@pytest.mark.parametrize("seed", range(4))
def test_no_observation_is_lost(curves, seed):
    searcher, scheduler, _ = run(curves, HyperBandPlan(9, 3, 21), seed=seed)  # one bracket
    places = {(trial, record.epochs) for record in scheduler.rungs for trial in record.trial_ids}
    assert searcher.observations == len(places) >= 10
    # hpbandster itself ignores a budget below that of its best model, but nothing above it.
    losses = searcher._bohb.bohber.losses
    largest = max(searcher._bohb.bohber.kde_models, default=0)
    assert all(
        len(losses[record.epochs]) == len(record.trial_ids) for record in scheduler.rungs if record.epochs > largest
    )


def test_observed_losses_are_the_recorded_accuracies(curves):
    searcher, _, _ = run(curves, seed=3)
    for epochs, losses in searcher._bohb.bohber.losses.items():
        assert set(np.round(losses, 6)) <= set(np.round(-curves.accuracy[:, epochs - 1], 6))


def test_the_same_seed_gives_the_same_run_whatever_else_draws(curves):
    rows = []
    for outside in (1, 2):
        np.random.seed(outside)
        before = np.random.get_state()[1].copy()
        rows.append([trial.row for trial in run(curves, seed=4)[2].trials])
        np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert rows[0] == rows[1]
    assert rows[0] != [trial.row for trial in run(curves, seed=5)[2].trials]


def test_a_ranking_comes_first_and_the_model_later(curves):
    ranking = Ranking.of(curves.configs, curves.accuracy[:, -1])
    searcher, _, result = run(curves, HyperBandPlan(9, 3, 160), seed=0, ranking=ranking, n_ranked=9, n_samples=16)
    assert [trial.row for trial in result.trials[:9]] == [curves.row(config) for config in ranking.top(9)]
    assert searcher.model_based_picks > 5


def test_as_many_of_a_ranking_come_first_as_the_widest_bracket_takes(curves):
    ranking = Ranking.of(curves.configs, curves.accuracy[:, -1])
    for longest_first in (False, True):
        plan = HyperBandPlan(9, longest_first=longest_first)
        assert BohbSearcher(curves.space, ranking=ranking, plan=plan)._first == ranking.top(9)


def test_it_goes_on_from_its_saved_state(curves, tmp_path):
    searcher, _, _ = run(curves, seed=0)
    searcher.save(str(tmp_path / "state"))
    copy = BohbSearcher(curves.space, seed=99)
    copy.restore(str(tmp_path / "state"))
    assert [copy.next_config() for _ in range(5)] == [searcher.next_config() for _ in range(5)]


def test_an_endless_ranking_is_refused(curves):
    with pytest.raises(SearchError, match="n_ranked or a plan"):
        BohbSearcher(curves.space, ranking=Ranking.of(curves.configs, curves.accuracy[:, -1]))
