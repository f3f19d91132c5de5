"""TPE behind the gate: plain configurations of the space, seeded, better than chance in the long run."""

import math

import numpy as np
import pytest
from made_up_table import make_table
from virtual_run import VirtualRun

from hyperstar_tune import HyperBandPlan, PlanScheduler, RandomSearcher
from hyperstar_tune.errors import SearchError
from hyperstar_tune.search import Gate
from hyperstar_tune.simulation import TaskCurves, replay
from hyperstar_tune.space import SearchSpace

pytest.importorskip("optuna")
from optuna.samplers._tpe.sampler import _get_pruned_trial_score

from hyperstar_tune.rivals.tpe import TpeSearcher

PLAN = HyperBandPlan(9, 3, 150)


@pytest.fixture(scope="module")
def curves():
    return TaskCurves.of(make_table(), "task2")


def run(curves, searcher):
    return replay(curves, searcher, PlanScheduler(PLAN), reports="levels")


def test_it_keeps_the_score_of_the_last_rung_of_every_trial(curves):
    searcher = TpeSearcher(curves.space, seed=1)
    result = run(curves, searcher)
    assert result.epochs == 150
    assert not result.stalled
    assert len(searcher._told) == sum(trial.epochs > 0 for trial in result.trials)
    for config, epochs, score in searcher._told.values():
        assert score == pytest.approx(curves.accuracy[curves.row(config), epochs - 1])


def test_the_same_seed_gives_the_same_run(curves):
    rows = [[t.row for t in run(curves, TpeSearcher(curves.space, seed=seed)).trials] for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


def test_later_picks_are_better_than_random_ones(curves):
    truth = curves.accuracy[:, -1]
    later = []
    for searcher in (TpeSearcher, RandomSearcher):
        runs = [run(curves, searcher(curves.space, seed=seed)) for seed in range(4)]
        later.append(np.mean([truth[trial.row] for one in runs for trial in one.trials[14:]]))
    assert later[0] > later[1] + 0.03


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
def test_what_failed_or_diverged_is_worse_than_what_was_stopped_early(mode, sign, bad):
    searcher = TpeSearcher(SearchSpace.from_values({"x": list(range(9))}), seed=0, metric="acc", mode=mode)
    gate = Gate(HyperBandPlan(9))
    configs = [searcher.suggest(f"t{number}") for number in range(3)]
    searcher.join(gate)
    searcher.tell("t1", 1, {"acc": sign * 0.2})
    searcher.tell("t2", 1, {"acc": sign * 0.1})
    gate.trials["t0"].level = 9  # it was promoted before
    searcher.tell("t0", 3, None if bad is None else {"acc": bad})
    trials = searcher._new_study().trials
    order = sorted(trials, key=lambda trial: _get_pruned_trial_score(trial, searcher._new_study()))
    assert [trial.params["x"] for trial in order] == [configs[number]["x"] for number in (1, 2, 0)]


def test_without_a_config_it_learns_the_metric_from_the_scheduler():
    searcher = TpeSearcher(SearchSpace.from_values({"x": [1, 2, 3]}), seed=0)
    VirtualRun(PlanScheduler(HyperBandPlan(3, 3)), searcher).run()  # Ray tells it nothing then
    assert (searcher.metric, searcher.mode) == ("acc", "max")
    other = TpeSearcher(SearchSpace.from_values({"x": [1, 2, 3]}), seed=0, metric="loss", mode="min")
    with pytest.raises(SearchError, match="metric is 'loss' in TpeSearcher but 'acc' in the run"):
        VirtualRun(PlanScheduler(HyperBandPlan(3, 3)), other).run()
