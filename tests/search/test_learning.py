"""Proposals from a run's own results, and the searcher that asks for them after a race."""

import math
import pickle

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
from virtual_run import VirtualRun

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RacePlan, Ranking, SearchSpace
from hyperstar_tune.search.learning import Learner

R = 4


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    for name, n in (("_LIKELY", 40), ("_DRAWN", 100)):
        monkeypatch.setattr(f"hyperstar_tune.search.learning.{name}", n)


def users_space():
    """A learning rate, an optimizer, and a momentum that only one of them has."""
    space, kind = ConfigurationSpace(name="mine"), Categorical("kind", ["sgd", "adam"])
    momentum = Float("momentum", (0.0, 1.0))
    space.add(kind, Float("lr", (1e-4, 1.0), log=True), Integer("depth", (1, 8)), momentum)
    space.add(EqualsCondition(momentum, kind, "sgd"))
    return SearchSpace(space)


SPACE = users_space()


def score(config, best_lr=-2.0):
    return -abs(math.log10(config["lr"]) - best_lr) - 0.1 * config["depth"] - 0.5 * (config["kind"] == "adam")


class Prediction:
    """Scores that hold, or are turned around; a configuration costs what its depth is."""

    def __init__(self, sign=1.0, best_lr=-2.0):
        self.sign, self.best_lr = sign, best_lr

    def scores(self, configs):
        return np.array([self.sign * score(config, self.best_lr) for config in configs])

    def costs(self, configs):
        return np.array([float(config["depth"]) for config in configs])

    def points(self, configs):
        weights = {"kind": 1.0, "lr": 4.0, "depth": 1.0, "momentum": 0.3}
        return SPACE.coordinates(configs) * [weights[name] for name in SPACE.parameters]


def ranked(prediction, n=100):
    drawn = SPACE.draw(n, 0)
    return Ranking.of(drawn, prediction.scores(drawn))


def learner(prediction=None, **options):
    prediction = prediction or Prediction()
    return Learner(SPACE, prediction, ranked(prediction).configs, R, **options)


def told(model, n=6, seed=1, of=score):
    for config in SPACE.draw(n, seed):
        model.tell(config, R, of(config))
    return model


def searched(model, n, of=score):
    """What it proposes and is told, one after the other."""
    found = []
    for _ in range(n):
        found.append(model.next())
        model.take(found[-1])
        model.tell(found[-1], R, of(found[-1]))
    return found


def best_of(configs, of=score):
    return max(map(of, configs))


def test_it_finds_what_the_prediction_missed():
    prediction = Prediction(best_lr=-3.5)
    top = ranked(prediction).configs
    found = searched(told(learner(prediction), 1), 14)
    assert best_of(found) > best_of(top[:15]) + 0.5
    assert abs(math.log10(max(found, key=score)["lr"]) + 2) < 0.5


def test_a_prediction_that_is_turned_around_is_left_after_a_few_results():
    contrary = Prediction(sign=-1.0)
    static = best_of(ranked(contrary).configs[:14])
    random = np.mean([best_of(SPACE.draw(14, seed)) for seed in range(20)])
    found = searched(told(learner(contrary), 4), 10)
    assert best_of(found) > max(static, random)


@pytest.mark.parametrize(("unit", "level"), [(100.0, 0.0), (1.0, 1000.0), (0.001, -3.0)])
def test_neither_unit_nor_level_of_the_metric_need_be_known(unit, level):
    def other(config):
        return unit * score(config) + level

    assert searched(told(learner(), of=other), 4, other) == searched(told(learner()), 4)


def test_results_that_are_all_equal_are_no_error():
    assert len(searched(told(learner(), of=lambda config: 0.5), 3, lambda config: 0.5)) == 3


def test_workers_get_configurations_that_are_no_near_copies_of_each_other_or_of_earlier_ones():
    model = told(learner())
    for _ in range(12):
        model.take(model.next())
    places = SPACE.coordinates([*SPACE.draw(6, 1), *model._taken.values()][6:])
    apart = np.abs(places[:, None] - places).max(axis=2) + np.eye(len(places))
    assert apart[6:].min() >= 0.1


def test_a_space_that_is_full_of_near_copies_still_gives_new_configurations():
    space = SearchSpace(ConfigurationSpace({"lr": (0.0, 1.0)}))

    class Flat(Prediction):
        def scores(self, configs):
            return np.zeros(len(configs))

        def points(self, configs):
            return space.coordinates(configs)

    model = Learner(space, Flat(), space.draw(50, 0), R)
    model.tell({"lr": 0.5}, R, 1.0)
    found = searched(model, 30, of=lambda config: -config["lr"])
    assert len({config["lr"] for config in found}) == 30


def test_only_trainings_that_came_to_their_end_count():
    model = learner()
    model.tell(SPACE.draw(1, 0)[0], R - 1, 0.9)
    assert not model.has_learned
    model.tell(SPACE.draw(2, 0)[1], 1, 0.9, ended=True)
    assert model.has_learned


def test_the_best_epoch_counts_and_a_failure_is_as_bad_as_the_worst():
    first, second = SPACE.draw(2, 0)
    models = []
    for results in (((R - 1, 0.9), (R, 0.5)), ((R, 0.9),)):
        model = learner()
        for epoch, value in results:
            model.tell(first, epoch, value)
        models.append(model)
    assert models[0].next() == models[1].next()
    for failure in (None, math.nan, -math.inf):
        failed, low = told(learner()), told(learner())
        worst = min(map(score, SPACE.draw(6, 1)))
        failed.tell(second, 1, failure)
        low.tell(second, R, worst)
        assert failed.next() == low.next()
    hopeless = learner()
    hopeless.tell(first, 1, None)
    assert not hopeless.has_learned


def test_what_takes_long_must_promise_more_where_seconds_count():
    depths = [
        np.mean(
            [
                config["depth"]
                for config in searched(told(learner(by_cost=by_cost), of=lambda c: score(c) + 0.1 * c["depth"]), 8)
            ]
        )
        for by_cost in (False, True)
    ]
    assert depths[1] < depths[0]


def test_proposals_are_valid_and_plain_and_a_saved_one_goes_on_alike():
    model = told(learner(seed=3))
    again = pickle.loads(pickle.dumps(model))
    found = searched(model, 6)
    assert searched(again, 6) == found
    for config in found:
        SPACE.check(config)
        assert {type(value) for value in config.values()} <= {str, int, float}
        assert ("momentum" in config) == (config["kind"] == "sgd")
    found[0].clear()
    assert searched(told(learner(seed=3)), 1)[0]


def curve(config, epoch):
    return score(config) + epoch / 100


def race(plan=None, workers=1, **options):
    prediction = Prediction(best_lr=-3.5)
    searcher = HyperStarSearcher(ranking=ranked(prediction), predicted=prediction, space=SPACE, **options)
    return VirtualRun(PlanScheduler(plan or RacePlan(R, 60)), searcher, workers=workers, curve=curve)


def trained(run):
    return [trial.config for trial in run.trials if trial.epochs]


TOP = list(ranked(Prediction(best_lr=-3.5)).configs)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_goes_down_the_ranking_until_a_training_has_ended_and_learns_then(workers):
    run = race(workers=workers).run()
    configs = trained(run)
    assert configs[: 2 + (workers - 1)] == TOP[: 2 + (workers - 1)]
    assert sum(config in TOP for config in configs) < len(configs)
    assert best_of(configs) > best_of(TOP[: len(configs)]) + 0.5
    assert run.scheduler.spent_epochs == 60


def test_it_goes_down_the_ranking_where_it_is_told_not_to_learn_or_cannot():
    followed = trained(race(learn=False).run())
    assert followed == TOP[: len(followed)]
    wide = race(HyperBandPlan(R, 2, 40)).run()
    assert all(config in TOP for config in trained(wide))
    searcher = HyperStarSearcher(ranking=ranked(Prediction()), space=SPACE)
    VirtualRun(PlanScheduler(RacePlan(R, 30)), searcher, curve=curve).run()
    assert searcher.learner is None
    grid = [{"x": place} for place in range(9)]
    few = HyperStarSearcher(ranking=Ranking.of(grid, [-c["x"] for c in grid]), predicted=Prediction())
    VirtualRun(PlanScheduler(RacePlan(R, 30)), few).run()
    assert few.learner is None


@pytest.mark.parametrize("steps", [3, 20, 45])
def test_a_restored_run_proposes_what_the_killed_one_would_have(steps):
    whole = race().run()
    run = race().play(steps)
    prediction = Prediction(best_lr=-3.5)
    fresh = HyperStarSearcher(ranking=ranked(prediction), predicted=prediction, space=SPACE)
    again = run.restored(run.save(), PlanScheduler(RacePlan(R, 60)), fresh).run()
    assert trained(again) == trained(whole)


def test_a_metric_to_be_minimized_is_learned_from_the_other_way_round():
    found = {}
    for mode in ("max", "min"):
        searcher = HyperStarSearcher(ranking=ranked(Prediction()), predicted=Prediction(), space=SPACE)
        searcher.take_metric("acc", mode)
        searcher.gate.plan = None
        searcher.learner = learner()
        for config in SPACE.draw(6, 1):
            searcher.observe(config, R, {"acc": score(config) * (1 if mode == "max" else -1)})
        found[mode] = searcher.next_config()
    assert found["max"] == found["min"]


def test_what_is_proposed_under_a_budget_in_seconds_has_its_predicted_price():
    prediction, plan = Prediction(), RacePlan(R, seconds_budget=40)
    drawn = SPACE.draw(60, 0)
    ranking = Ranking.of(drawn, prediction.scores(drawn), costs=prediction.costs(drawn))
    searcher = HyperStarSearcher(ranking=ranking, predicted=prediction, space=SPACE, plan=plan)
    run = VirtualRun(PlanScheduler(plan), searcher, curve=curve).run()
    new = [trial for trial in run.trials if trial.epochs and trial.config not in drawn]
    assert new
    assert all(searcher.gate.trials[t.trial_id].price == t.config["depth"] for t in new)
