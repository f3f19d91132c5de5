"""What a trainable may report as its metric, whoever schedules."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from virtual_run import VirtualRun, choices, random_run

from hyperstar_tune import HyperBandPlan, PlanScheduler, RandomSearcher
from hyperstar_tune.errors import SearchError
from hyperstar_tune.rivals.tpe import TpeSearcher
from hyperstar_tune.search.results import missing_metric, reported_number
from hyperstar_tune.simulation import faults

PLAN = HyperBandPlan(9, 3)


class Tensor:
    """Like that of torch: it can be compared and subtracted, so that nothing breaks for long."""

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value

    def __float__(self):
        return float(self.value)

    def __neg__(self):
        return Tensor(-self.value)

    def __sub__(self, other):
        return self.value - other.value


NUMBERS = [
    (0.5, 0.5),
    (3, 3.0),
    (True, 1.0),
    (np.float32(0.5), 0.5),
    (np.float64(0.5), 0.5),
    (np.float16(0.5), 0.5),
    (np.int64(7), 7.0),
    (np.bool_(True), 1.0),
    (Fraction(1, 2), 0.5),
    (math.inf, math.inf),
    (np.float32("-inf"), -math.inf),
    (10**400, math.inf),
    (-(10**400), -math.inf),
]
OTHERS = [
    (Tensor(0.5), "is a Tensor; report .item()"),
    (np.array(0.5), "is an ndarray; report .item()"),
    (np.array([0.5]), "is an ndarray; report .item()"),
    ("0.5", "is a str; report float(...) of it"),
    ([0.5], "is a list; report a number"),
    (Decimal("0.5"), "is a Decimal; report a number"),
    (1j, "is a complex; report a number"),
]


@pytest.mark.parametrize(("value", "number"), NUMBERS)
def test_a_number_of_any_kind_is_a_float(value, number):
    taken = reported_number("acc", {"acc": value})
    assert type(taken) is float
    assert taken == number


@pytest.mark.parametrize("nan", [math.nan, np.float32("nan")])
def test_nan_stays_nan(nan):
    assert math.isnan(reported_number("acc", {"acc": nan}))


@pytest.mark.parametrize(("value", "message"), OTHERS)
def test_anything_else_is_refused_in_one_line(value, message):
    with pytest.raises(SearchError) as caught:
        reported_number("acc", {"acc": value})
    assert str(caught.value) == f"metric 'acc' must be a number, but {message}"


@pytest.mark.parametrize(("value", "message"), OTHERS)
@pytest.mark.parametrize("is_done", [False, True])
def test_a_run_ends_at_the_first_result_that_is_no_number(value, message, is_done):
    run = random_run(PLAN, curve=lambda config, epoch: value, faults={1: faults.done} if is_done else {})
    with pytest.raises(SearchError, match="must be a number") as caught:
        run.run()
    assert message in str(caught.value)
    assert len(run.trained) == 1 or is_done


def test_none_is_told_from_a_metric_that_is_missing():
    assert (
        reported_number("acc", {"acc": None}) is reported_number("acc", {}) is reported_number(None, {"a": 1}) is None
    )
    assert str(missing_metric("acc", {"acc": None})).startswith("metric 'acc' must be a number in every result, but is")
    assert "reports only loss; correct" in str(missing_metric("acc", {"loss": 1, "pid": 2, "config/lr": 0.1}))
    assert "reports nothing; correct" in str(missing_metric("acc", {"pid": 2}))


@pytest.mark.parametrize("kind", [np.float32, np.float64, Fraction, lambda value: np.bool_(value > 0.5)])
def test_numbers_of_numpy_are_ranked_and_leave_no_numpy_behind(kind):
    run = random_run(PLAN, n=100, curve=lambda config, epoch: kind(config["x"] / 100)).run()
    assert run.scheduler.spent_epochs == 69
    configs = {trial.trial_id: trial.config["x"] for trial in run.trials}
    first = [kind(configs[i] / 100) for i in run.scheduler.rungs[0].trial_ids]
    assert first == sorted(first, reverse=True)
    states = run.search_alg.searcher.gate.trials.values()
    assert {type(score) for state in states for score in (state.last, *state.scores.values())} == {float}


def test_the_metric_may_be_rays_name_for_a_returned_score():
    scheduler = PlanScheduler(PLAN)
    run = VirtualRun(scheduler, RandomSearcher({"x": choices(50)}), metric="_metric")
    scheduler = PlanScheduler(PLAN)
    scheduler.set_search_properties("_metric", "max")
    run.scheduler = scheduler
    run.run()
    assert scheduler.spent_epochs == 69


@pytest.mark.parametrize(("value", "message"), OTHERS)
def test_under_another_scheduler_a_learner_refuses_it_at_the_next_suggestion(value, message):
    pytest.importorskip("optuna")
    searcher = TpeSearcher({"x": choices(9)}, metric="acc", mode="max")
    searcher.suggest("a")
    searcher.on_trial_result("a", {"training_iteration": 1, "acc": value})
    with pytest.raises(SearchError) as caught:
        searcher.suggest("b")
    assert str(caught.value) == f"metric 'acc' must be a number, but {message}"


def test_under_another_scheduler_a_result_without_the_metric_is_not_learned():
    pytest.importorskip("optuna")
    searcher = TpeSearcher({"x": choices(9)}, metric="acc", mode="max")
    searcher.suggest("a")
    searcher.on_trial_result("a", {"training_iteration": 1, "acc": None})
    searcher.on_trial_complete("a", {"training_iteration": 2, "acc": np.float32(0.5)})
    assert [(level, score) for _, level, score in searcher.scores] == [(2, 0.5)]
