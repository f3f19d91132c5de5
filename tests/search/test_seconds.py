"""Budgets in seconds on a controller in process."""

import math

import numpy as np
import pytest
from virtual_run import VirtualRun, choices

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RacePlan, RandomSearcher, Ranking
from hyperstar_tune.search import Gate
from hyperstar_tune.simulation import MadeUpCurves, faults
from hyperstar_tune.simulation.trial import ERROR, TERMINATED

FAULTS = (faults.error, faults.crash, faults.lose, faults.fail_save, faults.diverge, faults.done)
PLANS = [RacePlan(8, seconds_budget=20), HyperBandPlan(9, 3, seconds_budget=20)]
LONGEST = 1.0  # seconds of the longest made-up epoch


def ranking(costs=None, n=30):
    return Ranking.of([{"x": x} for x in range(n)], [-x / 10 for x in range(n)], costs=costs)


def run_of(plan, workers=2, searcher=None, **options):
    searcher = searcher or RandomSearcher({"x": choices(200)})
    return VirtualRun(PlanScheduler(plan), searcher, workers=workers, **options)


class Clocked(MadeUpCurves):
    """Every epoch of a configuration takes as long as ``seconds`` says."""

    def __init__(self, seconds, max_epochs=8):
        super().__init__(lambda config, epoch: config["x"] + epoch / 100, max_epochs, metric="acc")
        self._seconds = seconds

    def row(self, config):
        number = super().row(config)
        self._ends[number] = [epoch * self._seconds(config) for epoch in range(self.max_epochs + 1)]
        return number


def clocked(run, seconds):
    run.curves = Clocked(seconds)
    return run


@pytest.mark.parametrize("plan", PLANS, ids=["race", "hyperband"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_seconds_are_overshot_at_most_by_the_epochs_in_flight(plan, workers):
    for seed in range(20):
        run = run_of(plan, workers, seed=seed).run()
        ends = {trial: run.curves.ends(trial.row) for trial in run.trials}
        measured = sum(ends[trial][trial.epochs] for trial in run.trials)
        assert run.scheduler._gate.seconds == pytest.approx(measured)
        assert 20 <= measured <= 20 + workers * LONGEST
        assert {trial.status for trial in run.trials} == {TERMINATED}


def test_of_two_budgets_the_first_that_is_spent_ends_the_run():
    assert run_of(RacePlan(8, 12, seconds_budget=1000)).run().scheduler.spent_epochs == 12
    slow = clocked(run_of(RacePlan(8, 1000, seconds_budget=30), 1), lambda config: 5).run()
    assert (slow.scheduler.spent_epochs, slow.scheduler._gate.seconds) == (6, 30)


@pytest.mark.parametrize("factor", [0.01, 0.5, 1, 3, 1000])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_wrong_prediction_neither_leaves_seconds_nor_overshoots_them(factor, workers):
    searcher = HyperStarSearcher(ranking=ranking([2.0 * factor] * 30), plan=RacePlan(8, seconds_budget=99))
    run = clocked(run_of(searcher.plan, workers, searcher), lambda config: 2).run()
    assert 99 <= run.scheduler._gate.seconds < 99 + workers * 2
    assert {trial.status for trial in run.trials} == {TERMINATED}


def test_what_the_winner_needs_is_held_back_in_seconds_too():
    searcher = HyperStarSearcher(ranking=ranking([1.0] * 30), plan=RacePlan(8, seconds_budget=10))
    run = clocked(run_of(searcher.plan, 6, searcher), lambda config: 1).run()
    assert {trial.config["x"]: trial.epochs for trial in run.trials if trial.epochs} == {0: 2, 1: 8}


def test_prices_are_corrected_by_what_the_run_measured_and_a_trial_knows_itself_best():
    gate = Gate(RacePlan(8, seconds_budget=100))
    for name, price in (("a", 1.0), ("b", 4.0)):
        gate.admit(name, name, price)
    assert [gate.price(gate.trials[name]) for name in "ab"] == [1, 4]
    gate.result("a", 1, 0.5, 1, 3.0)
    assert [gate.price(gate.trials[name]) for name in "ab"] == [3, 12]
    gate.result("b", 1, 0.5, 1, 5.0)
    assert [gate.price(gate.trials[name]) for name in "ab"] == [3, 5]
    gate.admit("c", "c")
    assert gate.price(gate.trials["c"]) == 4  # without a price: the mean epoch of the run
    assert gate.seconds == 8


def test_a_reservation_is_what_was_predicted_and_is_settled_by_what_was_measured():
    gate = Gate(HyperBandPlan(8, 2, seconds_budget=10, longest_first=True))
    gate.admit("a", "a", 4.0)
    assert gate.trials["a"].target == 3  # 10 s at 4 s an epoch
    for epoch in (1, 2, 3):
        assert gate.result("a", epoch, 0.5, 1, 1.0) == "CONTINUE"  # cheaper than predicted: it may train on
    assert gate.trials["a"].target == 8
    assert gate.result("a", 4, 0.5, 1, 7.5) == "PAUSE"
    assert gate.finished
    assert gate.summary().startswith("4 epochs, 10 of 10 s spent on 1 trials")


@pytest.mark.parametrize("plan", PLANS, ids=["race", "hyperband"])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_any_trial_neither_stalls_the_run_nor_breaks_its_seconds(plan, fault, workers):
    for position in range(1, 100):
        run = run_of(plan, workers, faults={position: fault}, seed=position).run()
        if run.n_results < position:
            break
        assert {trial.status for trial in run.trials} <= {TERMINATED, ERROR}, position
        assert 20 <= run.scheduler._gate.seconds <= 20 + workers * LONGEST, position
    assert position > 20


@pytest.mark.parametrize("plan", PLANS, ids=["race", "hyperband"])
@pytest.mark.parametrize(("workers", "every"), [(1, 1), (2, 3), (4, 5)])
def test_a_killed_driver_goes_on_counting_its_seconds(plan, workers, every):
    for kill in range(1, 30, 3):
        run = run_of(plan, workers, seed=kill)
        saved = run.save()
        while run.n_results < kill:
            run.step()
            if run.n_results % every == 0:
                saved = run.save()
        again = run.restored(saved, PlanScheduler(plan), RandomSearcher({"x": choices(200)})).run()
        assert {trial.status for trial in again.trials} == {TERMINATED}
        assert 20 <= again.scheduler._gate.seconds <= 20 + workers * LONGEST


def test_what_takes_long_comes_later_in_a_budget_of_seconds_only():
    costs = [math.e**3, *[1.0] * 29]
    epochs, seconds = RacePlan(8, 99), RacePlan(8, seconds_budget=99)
    assert [HyperStarSearcher(ranking=ranking(costs), plan=plan).suggest("a")["x"] for plan in (epochs, seconds)] == [
        0,
        1,
    ]
    ordered = ranking(costs).by_cost()
    assert [config["x"] for config in ordered.configs[:5]] == [1, 2, 0, 3, 4]
    assert ordered.by_cost() == ordered
    assert ordered.costs[2] == pytest.approx(math.e**3, rel=1e-5)
    assert ranking().by_cost() == ranking()


def test_a_searcher_that_was_not_told_of_the_seconds_says_so(caplog):
    searcher = HyperStarSearcher(ranking=ranking([1.0] * 30))
    run_of(RacePlan(8, seconds_budget=20), searcher=searcher).run()
    assert caplog.text.count("pass plan= to HyperStarSearcher too") == 1


@pytest.mark.parametrize(("budget", "epochs"), [(39, {0: 4}), (40, {0: 2, 1: 2}), (85, {0: 2, 1: 7})])
def test_a_race_that_takes_longer_than_the_budget_is_called_off_by_the_first_measured_epoch(budget, epochs):
    searcher = HyperStarSearcher(ranking=ranking([0.1] * 30), plan=RacePlan(8, seconds_budget=budget))
    run = clocked(run_of(searcher.plan, 1, searcher), lambda config: 10 if budget > 39 else 9.9).run()
    assert {trial.config["x"]: trial.epochs for trial in run.trials if trial.epochs} == epochs


@pytest.mark.parametrize("falls", [None, np.array([[0.0, -0.1, 0.0], [-0.1, -0.1, 0.0]])], ids=["second", "complement"])
@pytest.mark.parametrize("scale", [0.1, 1, 10])
@pytest.mark.parametrize(("budget", "races"), [(79, False), (80, True)])
def test_a_race_against_a_dear_one_is_called_off_before_that_one_begins(budget, races, scale, falls):
    rival = 1 if falls is None else 2
    costs = [3.0 if place == rival else 1.0 for place in range(3)]
    ranked = Ranking.of([{"x": x} for x in range(3)], [2.0, 1.0, 0.0], falls=falls, costs=[c * scale for c in costs])
    plan = RacePlan(8, seconds_budget=budget)
    run = clocked(run_of(plan, 1, HyperStarSearcher(ranking=ranked, plan=plan)), lambda config: 10 * costs[config["x"]])
    trained = {trial.config["x"]: trial.epochs for trial in run.run().trials if trial.epochs}
    assert trained == ({0: 2, rival: 2} if races else {0: 8})


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_race_that_is_called_off_spends_its_seconds_on_the_first_ones(workers):
    searcher = HyperStarSearcher(ranking=ranking([1.0] * 30), plan=RacePlan(8, seconds_budget=30))
    run = clocked(run_of(searcher.plan, workers, searcher), lambda config: 10).run()
    trained = {trial.config["x"]: trial.epochs for trial in run.trials if trial.epochs}
    assert 30 <= run.scheduler._gate.seconds < 30 + workers * 10
    assert sum(trained.values()) * 10 == run.scheduler._gate.seconds
    assert workers > 1 or trained == {0: 3}
