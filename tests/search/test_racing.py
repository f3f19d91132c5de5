"""The race on a controller in process: order, budget, free workers, faults."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_up_table import make_table
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from virtual_run import VirtualRun, choices

from hyperstar_tune import HyperStarSearcher, PlanScheduler, RacePlan, RandomSearcher, Ranking
from hyperstar_tune.complement import shortfalls
from hyperstar_tune.errors import SearchError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.search import Gate, Gated
from hyperstar_tune.simulation import MadeUpCurves, TaskCurves, VirtualController, faults, replay
from hyperstar_tune.simulation.trial import ERROR, TERMINATED, ReplayTrial

FAULTS = (faults.error, faults.crash, faults.lose, faults.fail_save, faults.diverge, faults.done)
R = 8
GRID = {"x": choices(50)}


def ranking(n=50, complement=4):
    """``x`` is the place in the ranking; the complement is another one."""
    falls = np.full((2, n), -0.1)
    falls[0, 0] = falls[1, complement] = 0.0
    return Ranking.of([{"x": x} for x in range(n)], [-x for x in range(n)], falls=falls)


def race(plan, workers=1, n=50, searcher=None, **options):
    searcher = searcher or HyperStarSearcher(ranking=ranking(n))
    return VirtualRun(PlanScheduler(plan), searcher, workers=workers, **options)


def epochs_by_config(run):
    return {trial.config["x"]: trial.epochs for trial in run.trials if trial.epochs}


def rises(config, epoch):
    return config["x"] + epoch / 100


def test_the_first_and_its_complement_race_the_better_one_goes_on_then_the_ranking():
    run = race(RacePlan(R, 30), curve=rises).run()
    configs = {trial.trial_id: trial.config["x"] for trial in run.trials}
    order = [configs[trial_id] for trial_id, _ in run.trained]
    assert order == [0] * 2 + [4] * 2 + [4] * 6 + [1] * 8 + [2] * 8 + [3] * 4


@pytest.mark.parametrize("best", [0, 4])
def test_the_better_one_is_the_one_with_the_better_best_epoch(best):
    def peaks_first(config, epoch):
        return (0.9 if epoch == 1 else 0.1) if config["x"] == best else 0.5

    assert epochs_by_config(race(RacePlan(R, 10), curve=peaks_first).run())[best] == R


def test_a_replay_that_leaves_results_out_decides_the_race_alike():
    table = make_table()
    curves = TaskCurves.of(table, "task1")
    falls = shortfalls(table.without("twins").steady_scores())
    ranked = Ranking.of(curves.configs, np.arange(48)[::-1], falls=falls)
    plan = RacePlan(curves.max_epochs, 60, race_epochs=4)
    runs = [
        replay(curves, HyperStarSearcher(ranking=ranked, plan=plan), PlanScheduler(plan), reports=reports)
        for reports in ("every epoch", "levels", "targets")
    ]
    assert all((run.segments[:, 0] == runs[0].trials[0].row).any() for run in runs)
    assert all(run.incumbent.accuracy.tolist() == runs[0].incumbent.accuracy.tolist() for run in runs)
    assert runs[2].n_results < runs[1].n_results + 1 < runs[0].n_results


def test_a_predictor_that_knows_no_complement_races_the_first_two():
    plain = Ranking.of([{"x": x} for x in range(9)], [-x for x in range(9)])
    run = race(RacePlan(R, 18), searcher=HyperStarSearcher(ranking=plain)).run()
    assert epochs_by_config(run) == {0: 2, 1: 8, 2: 8}


@pytest.mark.parametrize("budget", [1, 3, 4, 5, 9, 10, 11, 18, 20, 26, 27, 80])
@pytest.mark.parametrize("workers", [2, 3, 4, 16])
def test_one_worker_and_many_train_the_same_configurations_for_the_same_epochs(budget, workers):
    alone, many = (race(RacePlan(R, budget), count, curve=rises).run() for count in (1, workers))
    assert epochs_by_config(many) == epochs_by_config(alone)
    assert len(many.trained) == many.scheduler.spent_epochs == budget
    assert {trial.status for trial in many.trials} == {TERMINATED}


def test_free_workers_begin_the_next_of_the_ranking_while_the_race_runs():
    run = race(RacePlan(R, 40), workers=4)
    run.play(1)
    running = {trial.config["x"] for trial in run.trials if trial.status == "RUNNING"}
    assert running == {0, 4, 1, 2}
    run.run()
    alone = race(RacePlan(R, 40)).run()
    assert run.now < alone.now / 2


def test_what_the_winner_needs_is_not_given_to_those_behind_it():
    run = race(RacePlan(R, 10), workers=8, curve=rises).run()
    assert epochs_by_config(run) == {0: 2, 4: 8}


def test_the_winner_goes_before_a_trial_that_was_asked_for_ahead():
    run = race(RacePlan(R, 40), curve=rises)
    run.run()
    configs = [next(t.config["x"] for t in run.trials if t.trial_id == trial_id) for trial_id, _ in run.trained]
    assert configs[4:10] == [4] * 6


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_any_trial_neither_stalls_the_race_nor_breaks_its_budget(fault, workers):
    plan = RacePlan(R, 36)
    for position in range(1, 100):
        run = race(plan, workers, faults={position: fault}, seed=position).run()
        if run.n_results < position:
            break
        assert {trial.status for trial in run.trials} <= {TERMINATED, ERROR}, position
        assert run.scheduler.spent_epochs == plan.epoch_budget == len(set(run.trained)), position
        assert len(run.trained) == run.scheduler.spent_epochs + run.scheduler.redone_epochs, position
    assert position > plan.epoch_budget - R


@pytest.mark.parametrize("fault", [faults.error, faults.diverge])
def test_a_failed_trial_loses_the_race(fault):
    run = race(RacePlan(R, 11), faults={3: fault}).run()  # the complement's first epoch
    assert epochs_by_config(run)[0] == R


def test_two_lost_trials_do_not_end_a_run_but_ten_do():
    lost = race(RacePlan(R, 30), faults=dict.fromkeys((1, 2), faults.error)).run()
    assert lost.scheduler.spent_epochs == 30
    none = race(RacePlan(R, 30), workers=3, faults=dict.fromkeys(range(1, 100), faults.error)).run()
    assert "trials failed before their first epoch" in none.scheduler.summary()
    assert 10 <= len(none.trials) <= 13


@pytest.mark.parametrize(("workers", "every"), [(1, 1), (2, 3), (4, 5)])
def test_a_killed_driver_goes_on_with_its_race(workers, every):
    plan = RacePlan(R, 40)
    expected = epochs_by_config(race(plan, curve=rises).run())
    for kill in range(1, 40, 3):
        run = race(plan, workers, curve=rises, seed=kill)
        saved = run.save()
        while run.n_results < kill:
            run.step()
            if run.n_results % every == 0:
                saved = run.save()
        again = run.restored(saved, PlanScheduler(plan), HyperStarSearcher(ranking=ranking())).run()
        assert {trial.status for trial in again.trials} == {TERMINATED}
        assert again.scheduler.spent_epochs == plan.epoch_budget
        assert epochs_by_config(again) == expected


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_small_ranking_is_trained_to_the_end_the_loser_of_the_race_too(n, workers):
    complement = min(4, n - 1)
    run = race(RacePlan(R, 100), workers, searcher=HyperStarSearcher(ranking=ranking(n, complement))).run()
    assert run.scheduler.spent_epochs == n * R == len(set(run.trained))
    assert "all that comes up is trained as far as the plan asks; nothing is left" in run.scheduler.summary()


@pytest.mark.parametrize("n_samples", [1, 2, 3, 5])
@pytest.mark.parametrize("workers", [1, 4])
def test_too_few_samples_end_the_run_instead_of_stalling(n_samples, workers):
    run = race(RacePlan(R, 100), workers, num_samples=n_samples).run()
    assert sorted(epochs_by_config(run).values()) == ([2] if n_samples > 1 else []) + [R] * max(1, n_samples - 1)


def test_a_searcher_without_a_ranking_races_too_and_losers_of_an_endless_space_are_stopped():
    searcher = RandomSearcher({"x": tune.uniform(0, 100)})
    run = race(RacePlan(R, 40), workers=3, searcher=searcher).run()
    assert run.scheduler.spent_epochs == 40
    assert run.scheduler.rungs[0].epochs == 2


def test_a_race_cannot_begin_every_bracket_anew():
    with pytest.raises(SearchError, match="restart=True"):
        race(RacePlan(R, 40), searcher=HyperStarSearcher(ranking=ranking(), restart=True)).run()


def test_max_concurrent_limits_the_race_too():
    searcher = HyperStarSearcher(ranking=ranking(), max_concurrent=1)
    run = race(RacePlan(R, 40), workers=8, searcher=searcher)
    while run.step():
        assert sum(trial.status == "RUNNING" and not trial.is_saving for trial in run.trials) <= 1
    assert run.scheduler.spent_epochs == 40


def test_epochs_that_come_back_go_to_the_one_that_was_cut_short():
    gate = Gate(RacePlan(R, 14))
    for name in "abcd":
        if gate.has_free_slot():
            gate.admit(name, name)
    assert {name: trial.target for name, trial in gate.trials.items()} == {"a": 2, "b": 2, "c": 4}
    assert gate.result("c", 4, 0.5) == "PAUSE"  # its 4 epochs are all that the race leaves
    gate.result("a", 2, 0.9)
    gate.fail("b")
    assert set(gate.ready) == {"a", "c"}
    assert {name: trial.target for name, trial in gate.trials.items()} == {"a": 8, "b": 2, "c": 6}


def trainable(monkeypatch, **circumstances):
    made = type("Trainable", (), {"fingerprint": Fingerprint(**circumstances)})
    monkeypatch.setattr(ReplayTrial, "get_trainable_cls", lambda trial: made)


@pytest.mark.parametrize(
    ("schedule", "races"),
    [
        ("constant", True),
        ("cosine, x", False),
        ("settling over the last 3/4", True),
        ("settling over the last 7/8", False),
    ],
)
def test_a_learning_rate_that_falls_too_early_skips_the_race_and_this_is_said(schedule, races, monkeypatch, caplog):
    trainable(monkeypatch, schedule=schedule)
    run = race(RacePlan(R, 20)).run()
    assert epochs_by_config(run) == ({0: 2, 4: 8, 1: 8, 2: 2} if races else {0: 8, 1: 8, 2: 4})
    assert ("no race, as the learning rate falls too early" in caplog.text) is not races
    assert run.scheduler.plan.has_race is races


@pytest.mark.parametrize(("place", "races"), [(0, False), (4, False), (1, True)])
def test_a_cosine_that_a_configuration_asks_for_does_not_race_either(place, races):
    plain = ranking()
    configs = tuple({**c, "schedule": "cosine" if c["x"] == place else "constant"} for c in plain.configs)
    searcher = HyperStarSearcher(ranking=replace(plain, configs=configs))
    assert race(RacePlan(R, 20), searcher=searcher).run().scheduler.plan.has_race is races


def test_a_run_without_a_searcher_skips_its_race_too(monkeypatch, caplog):
    trainable(monkeypatch, schedule="cosine")
    scheduler = PlanScheduler(RacePlan(R, 20))
    scheduler.set_search_properties("acc", "max", num_samples=9)
    scheduler._bind(SimpleNamespace(search_alg=SimpleNamespace(searcher=None)), ReplayTrial("v", {}, 0))
    assert scheduler.plan == RacePlan(R, 20, race_epochs=0)
    assert "no race, as the learning rate falls too early" in caplog.text


def test_a_skipped_race_stays_skipped_after_a_kill(monkeypatch):
    trainable(monkeypatch, schedule="cosine")
    plan = RacePlan(R, 20)
    run = race(plan).play(11)
    again = run.restored(run.save(), PlanScheduler(plan), HyperStarSearcher(ranking=ranking())).run()
    assert epochs_by_config(again) == {0: 8, 1: 8, 2: 4}


def test_without_a_plan_a_ranking_races_for_the_epochs_of_the_trainable(monkeypatch, caplog):
    caplog.set_level("INFO")
    trainable(monkeypatch, max_epochs=R)
    scheduler = PlanScheduler()
    scheduler.set_search_properties("acc", "max")
    controller = VirtualController(
        MadeUpCurves(rises, R, metric="acc"), HyperStarSearcher(ranking=ranking()), scheduler
    )
    assert scheduler.plan is None
    controller.run()
    assert scheduler.plan == RacePlan(R)
    assert scheduler.spent_epochs == RacePlan(R).epoch_budget == 18
    assert "Race of 2 x 2 epochs" in caplog.text


def test_without_a_plan_a_searcher_with_one_gives_it_and_others_need_one(monkeypatch):
    trainable(monkeypatch, max_epochs=R)
    curves = MadeUpCurves(rises, R, metric="acc")
    for searcher, epochs in (
        (HyperStarSearcher(ranking=ranking(), plan=RacePlan(R, 9)), 9),
        (RandomSearcher(GRID), None),
    ):
        scheduler = PlanScheduler()
        scheduler.set_search_properties("acc", "max")
        controller = VirtualController(curves, searcher, scheduler)
        if epochs is None:
            with pytest.raises(SearchError, match="needs a plan, as RandomSearcher has none by default"):
                controller.run()
        else:
            controller.run()
            assert scheduler.spent_epochs == epochs


@pytest.mark.parametrize("plan", [RacePlan(R, 30), RacePlan(R, seconds_budget=15)], ids=["epochs", "seconds"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSearcher(GRID),
        lambda: HyperStarSearcher(ranking=ranking(), use="mixed"),
        lambda: HyperStarSearcher(ranking=ranking(), use="sampled"),
        lambda: Gated(OptunaSearch({"x": tune.uniform(0, 50)}, metric="acc", mode="max", seed=0)),
    ],
    ids=["random", "mixed", "sampled", "optuna"],
)
def test_any_searcher_races(make, plan):
    run = race(plan, workers=3, searcher=make()).run()
    gate = run.scheduler._gate
    assert gate.spent == plan.epoch_budget or 15 <= gate.seconds <= 15 + 3
    assert run.scheduler.rungs[0].epochs in (2, R)
    assert {trial.status for trial in run.trials} == {TERMINATED}
