"""Rungs, budgets and faults, on a controller in process."""

from collections import Counter
from types import SimpleNamespace

import pytest
from ray import tune
from virtual_run import VirtualRun, choices, random_run

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher, Ranking
from hyperstar_tune.search import Gate
from hyperstar_tune.simulation import faults
from hyperstar_tune.simulation.trial import ERROR, TERMINATED

FAULTS = (faults.error, faults.crash, faults.lose, faults.fail_save, faults.diverge, faults.done)


def planned(plan):
    return [
        (bracket, rung, step.epochs, step.n_configs)
        for bracket, rungs in enumerate(plan.brackets)
        for rung, step in enumerate(rungs.rungs)
    ]


def ran(scheduler):
    return [(record.bracket, record.rung, record.epochs, len(record.trial_ids)) for record in scheduler.rungs]


def ranked_run(plan, n=200, restart=False, **options):
    ranking = Ranking.of([{"x": x} for x in range(n)], [-x for x in range(n)])
    return VirtualRun(PlanScheduler(plan), HyperStarSearcher(ranking=ranking, restart=restart), **options)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize(("max_epochs", "eta"), [(9, 3), (27, 3), (32, 2), (16, 4), (5, 2), (1, 3)])
def test_rungs_are_those_of_the_printed_plan(max_epochs, eta, workers):
    plan = HyperBandPlan(max_epochs, eta)
    run = random_run(plan, n=500, workers=workers).run()
    assert ran(run.scheduler) == planned(plan)
    assert len(run.trained) == len(set(run.trained)) == plan.epoch_budget


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("budget", [100, 101, 200, 250, 449, 450, 2000])
def test_a_run_ends_at_exactly_its_budget(budget, workers):
    run = random_run(HyperBandPlan(100, 2, budget), n=500, workers=workers).run()
    assert len(run.trained) == run.scheduler.spent_epochs == budget
    assert {trial.status for trial in run.trials} == {TERMINATED}


def test_a_smaller_budget_is_a_prefix_of_a_larger_one():
    small, large = (ranked_run(HyperBandPlan(32, 2, budget), workers=1).run() for budget in (80, 144))
    assert small.trained == large.trained[:80]


def test_survivors_are_the_best_of_their_rung_and_ties_keep_their_order():
    run = ranked_run(HyperBandPlan(9, 3), curve=lambda config, epoch: -(config["x"] // 2)).run()
    configs = {trial.trial_id: trial.config["x"] for trial in run.trials}
    first, second, third = run.scheduler.rungs[:3]
    assert [configs[i] for i in first.trial_ids] == list(range(9))
    assert [configs[i] for i in second.trial_ids] == [0, 1, 2]
    assert [configs[i] for i in third.trial_ids] == [0]


def test_a_last_arrival_that_is_promoted_goes_on_without_a_pause():
    run = ranked_run(HyperBandPlan(9, 3, 21), workers=1, curve=lambda config, epoch: config["x"])
    decisions = []
    original = run.scheduler.on_trial_result
    run.scheduler.on_trial_result = lambda *args: decisions.append(original(*args)) or decisions[-1]
    run.run()
    assert decisions.count("PAUSE") == 8 + 3 + 1  # of 9 + 3 + 1 places: the best of the first rung came last


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_any_trial_neither_stalls_the_run_nor_breaks_its_budget(fault, workers):
    plan = HyperBandPlan(9, 3)
    for position in range(1, 200):
        run = random_run(plan, workers=workers, faults={position: fault}, seed=position).run()
        if run.n_results < position:
            break
        assert {trial.status for trial in run.trials} <= {TERMINATED, ERROR}, position
        assert run.scheduler.spent_epochs == plan.epoch_budget == len(set(run.trained)), position
        assert len(run.trained) == run.scheduler.spent_epochs + run.scheduler.redone_epochs, position
    assert position > plan.epoch_budget - 9


def test_a_run_whose_first_rung_fails_altogether_ends():
    searcher = RandomSearcher({"x": tune.uniform(0, 1)})  # endless
    run = VirtualRun(PlanScheduler(HyperBandPlan(9, 3)), searcher, faults=dict.fromkeys(range(1, 10), faults.error))
    run.run()
    assert [trial.status for trial in run.trials] == [ERROR] * 9
    assert "the last 9 trials failed before their first epoch" in run.scheduler.summary()


def broken_after(n_events, max_epochs=9, fault=faults.error):
    """A run over an endless space, all of whose events after the first few are faults."""
    searcher = RandomSearcher({"x": tune.uniform(0, 1)})
    broken = dict.fromkeys(range(n_events + 1, 5000), fault)
    plan = HyperBandPlan(max_epochs, 3, epoch_budget=200)
    return VirtualRun(PlanScheduler(plan), searcher, workers=1, faults=broken).run()


@pytest.mark.parametrize("n_events", [1, 9, 11, 21, 40, 69])
@pytest.mark.parametrize("fault", [faults.error, faults.lose])
def test_a_run_ends_when_nothing_starts_any_more(n_events, fault):
    run = broken_after(n_events, fault=fault)
    assert run.scheduler.spent_epochs == n_events
    lost = sum(not trial.epoch for trial in run.trials)
    assert lost < 17 + 9  # not even a second pass of 17 trials
    assert "ended before its budget was spent: the last " in run.scheduler.summary()


def test_a_plan_of_one_trial_a_bracket_outlives_nine_lost_trials_but_not_ten():
    assert [trial.status for trial in broken_after(1, max_epochs=1).trials] == [TERMINATED] + [ERROR] * 10
    searcher = RandomSearcher({"x": tune.uniform(0, 1)})
    broken = dict.fromkeys(range(2, 11), faults.error)
    run = VirtualRun(PlanScheduler(HyperBandPlan(1, 3, epoch_budget=20)), searcher, workers=1, faults=broken)
    assert run.run().scheduler.spent_epochs == 20
    assert "ended before" not in run.scheduler.summary()


@pytest.mark.parametrize(("max_epochs", "n_epochs"), [(9, 0), (9, 9), (9, 50), (27, 0), (27, 108)])
def test_a_plan_that_begins_with_its_narrowest_bracket_outlives_as_many_lost_trials_as_any_other(max_epochs, n_epochs):
    plan = HyperBandPlan(max_epochs, 3, longest_first=True)
    runs = []
    for n_lost in (max_epochs - 1, 200):  # the widest rung has room for R
        searcher = RandomSearcher({"x": tune.uniform(0, 1)})  # endless
        broken = dict.fromkeys(range(n_epochs + 1, n_epochs + 1 + n_lost), faults.error)
        runs.append(VirtualRun(PlanScheduler(plan), searcher, workers=1, faults=broken).run())
    assert runs[0].scheduler.spent_epochs == plan.epoch_budget
    assert runs[1].scheduler.spent_epochs == n_epochs
    assert max_epochs <= sum(not trial.epoch for trial in runs[1].trials) < 3 * max_epochs


def test_trials_that_diverge_spend_the_budget_instead_of_ending_the_run():
    run = broken_after(9, fault=faults.diverge)
    assert run.scheduler.spent_epochs == 200
    assert "ended before" not in run.scheduler.summary()


@pytest.mark.parametrize("fault", [faults.error, faults.diverge])
def test_a_lost_trial_keeps_its_place_with_the_worst_score(fault):
    run = ranked_run(HyperBandPlan(9, 3, 21), workers=1, faults={1: fault}, curve=lambda config, epoch: -config["x"])
    run.run()
    configs = {trial.trial_id: trial.config["x"] for trial in run.trials}
    assert [configs[i] for i in run.scheduler.rungs[0].trial_ids] == [*range(1, 9), 0]
    assert [configs[i] for i in run.scheduler.rungs[1].trial_ids] == [1, 2, 3]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_trial_that_diverges_in_its_last_result_keeps_no_earlier_score(value):
    def curve(config, epoch):
        return value if (config["x"], epoch) == (0, 2) else -config["x"]

    # The tenth report is the one after the first rung, of its best.
    run = ranked_run(HyperBandPlan(9, 3, 21), workers=1, curve=curve, faults={10: faults.done}).run()
    configs = {trial.trial_id: trial.config["x"] for trial in run.trials}
    assert [configs[i] for i in run.scheduler.rungs[1].trial_ids] == [1, 2, 0]
    assert [configs[i] for i in run.scheduler.rungs[2].trial_ids] == [1]
    assert "stands with the worst score: diverged" in run.scheduler.summary()


def test_an_epoch_without_a_score_leaves_the_last_one_alone():
    gate = Gate(HyperBandPlan(9, 3, 21))
    for number in range(9):
        gate.admit(f"t{number}", number)
        gate.result(f"t{number}", 1, -1 - number)
    assert gate.result("t0", 2, None) == "CONTINUE"
    gate.end("t0", 2)
    for trial_id in ("t1", "t2"):
        gate.result(trial_id, 3, -0.5)
    assert gate.spent == 9 + 1 + 2 * 2
    assert gate.records[1].trial_ids == ("t1", "t2", "t0")


def test_a_recovered_trial_gets_its_slot_back_and_its_lost_epochs_are_not_charged():
    crash = {10: faults.crash}  # while a promoted trial stands at epoch 2 of 3, restored at 1
    run = ranked_run(HyperBandPlan(9, 3, 21), workers=1, faults=crash).run()
    assert ran(run.scheduler)[:3] == [(0, 0, 1, 9), (0, 1, 3, 3), (0, 2, 9, 1)]
    assert run.scheduler.spent_epochs == 21
    late = ranked_run(HyperBandPlan(9, 3, 21), workers=1, faults={20: faults.crash}).run()
    assert late.scheduler.redone_epochs == len(late.trained) - 21 > 0


@pytest.mark.parametrize(("n", "workers", "every"), [(200, 2, 1), (200, 3, 7), (12, 2, 3)])
def test_a_killed_driver_goes_on_from_its_last_snapshot(n, workers, every):
    plan = HyperBandPlan(9, 3, 69)
    for kill in range(1, 69, 4):
        run = random_run(plan, n=n, workers=workers, seed=kill)
        saved = run.save()
        while run.n_results < kill:
            run.step()
            if run.n_results % every == 0:
                saved = run.save()
        spent, finished = (
            saved.searcher_state["gate"].spent,
            {trial.trial_id for trial in saved.trials if trial.is_finished()},
        )
        again = run.restored(saved, PlanScheduler(plan), RandomSearcher({"x": choices(n)}, seed=99)).run()
        assert {trial.status for trial in again.trials} == {TERMINATED}
        assert again.scheduler.spent_epochs == plan.epoch_budget
        assert not finished & {trial_id for trial_id, _ in again.trained}
        assert len(again.trained) == plan.epoch_budget - spent + again.scheduler.redone_epochs


def test_a_repeated_configuration_resumes_its_trial_and_pays_only_for_new_epochs():
    run = ranked_run(HyperBandPlan(9, 3), n=9, workers=2).run()
    assert len(run.trials) == 9
    assert len(run.trained) == len(set(run.trained))
    assert run.scheduler.spent_epochs == 69  # 81 would be all nine to the end


@pytest.mark.parametrize(
    "make",
    [
        lambda ranking, seed: RandomSearcher({"x": choices(12)}, seed=seed),
        lambda ranking, seed: HyperStarSearcher(ranking=ranking, use="mixed", random_share=1, seed=seed),
        lambda ranking, seed: HyperStarSearcher(ranking=ranking, use="sampled", temperature=100, seed=seed),
    ],
    ids=["random", "mixed", "sampled"],
)
def test_a_bracket_in_which_the_configurations_start_anew_is_as_wide_as_planned(make):
    plan = HyperBandPlan(9, 3)
    ranking = Ranking.of([{"x": x} for x in range(12)], [-x for x in range(12)])
    for seed in range(10):
        searcher = make(ranking, seed)
        run = VirtualRun(PlanScheduler(plan), searcher, workers=1).run()
        assert ran(run.scheduler)[3] == (1, 0, 3, 5)  # the last three of the first round, two of the second


def test_every_bracket_may_restart_at_the_top_of_the_ranking():
    run = ranked_run(HyperBandPlan(9, 3, 69), restart=True, workers=1, curve=lambda config, epoch: -config["x"]).run()
    configs = {trial.trial_id: trial.config["x"] for trial in run.trials}
    by_bracket = {
        record.bracket: sorted(configs[i] for i in record.trial_ids)
        for record in run.scheduler.rungs
        if not record.rung
    }
    assert by_bracket[0] == list(range(9))
    assert by_bracket[1] == list(range(5))
    assert by_bracket[2] == list(range(3))
    assert len(run.trained) == len(set(run.trained)) == run.scheduler.spent_epochs < 69  # nothing is left to train


def test_a_spent_plan_starts_again_at_its_most_aggressive_bracket():
    run = random_run(HyperBandPlan(9, 3, 69 + 21), n=500, workers=1).run()
    assert ran(run.scheduler)[6:] == [(3, 0, 1, 9), (3, 1, 3, 3), (3, 2, 9, 1)]


def test_a_space_trained_to_the_end_ends_the_run():
    run = random_run(HyperBandPlan(4, 2, 1000), n=5).run()
    assert run.scheduler.spent_epochs == 5 * 4
    assert "all that comes up is trained as far as the plan asks; nothing is left" in run.scheduler.summary()
    assert {trial.status for trial in run.trials} == {TERMINATED}


def test_too_few_samples_close_the_bracket_instead_of_stalling():
    run = random_run(HyperBandPlan(9, 3), num_samples=7).run()
    assert ran(run.scheduler)[:3] == [(0, 0, 1, 7), (0, 1, 3, 3), (0, 2, 9, 1)]


@pytest.mark.parametrize("fault", [None, *FAULTS])
@pytest.mark.parametrize("n", [2, 7, 12])
def test_a_run_out_of_samples_is_summed_up_too(n, fault, caplog):
    searcher = RandomSearcher({"x": tune.uniform(0, 100)})  # endless: all trials end before the plan does
    given = {2: fault} if fault else None
    run = VirtualRun(PlanScheduler(HyperBandPlan(9, 3)), searcher, num_samples=n, workers=1, faults=given)
    run.scheduler.set_search_properties("acc", "max", num_samples=n)
    run.step()
    run.scheduler._snapshot = SimpleNamespace(look=lambda: None)  # as with real Tune
    run.scheduler._hold_against_cluster = lambda trial: None  # there is none
    run.run()
    said = caplog.text
    assert said.count(f" {run.scheduler.spent_epochs} of 69 epochs spent on ") == 1
    assert said.count(f"ended before its budget was spent: num_samples={n} is used up; it cannot go on") == 1
    assert run.scheduler.finished


def test_losers_of_an_endless_space_are_stopped_at_once():
    searcher = RandomSearcher({"x": tune.uniform(0, 100)})
    run = VirtualRun(PlanScheduler(HyperBandPlan(27, 3)), searcher, workers=2)
    while len(run.trials) < 27 + 3:  # the third trial of the second bracket
        run.step()
    assert not any(trial.status == "PAUSED" for trial in run.trials[:27])
    assert run.run().scheduler.spent_epochs == 357


@pytest.mark.parametrize("limit", [1, 2])
def test_max_concurrent_limits_the_running_trials(limit):
    searcher = RandomSearcher({"x": choices(100)}, max_concurrent=limit)
    run = VirtualRun(PlanScheduler(HyperBandPlan(9, 3)), searcher, workers=8)
    while run.step():
        assert sum(trial.status == "RUNNING" and not trial.is_saving for trial in run.trials) <= limit
    assert run.scheduler.spent_epochs == 69


def test_results_may_jump_to_the_epochs_that_decide():
    gate = Gate(HyperBandPlan(9, 3, 21))
    for number in range(9):
        gate.admit(f"t{number}", number)
        gate.result(f"t{number}", 1, -number)
    assert list(gate.ready) == ["t0", "t1", "t2"]
    assert [gate.result(f"t{number}", 3, -number) for number in range(3)] == ["PAUSE", "PAUSE", "PAUSE"]
    assert list(gate.ready) == ["t0"]
    assert gate.result("t0", 9, 0) == "PAUSE"
    assert gate.spent == 21
    assert gate.finished
    assert Counter(trial.epochs for trial in gate.trials.values()) == {1: 6, 3: 2, 9: 1}


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (faults.error, "stands with the worst score: failed"),
        (faults.diverge, "stands with the worst score: diverged"),
        (faults.crash, "failed attempts that were tried again: 1"),
    ],
)
def test_the_summary_says_what_befell_the_run(fault, line):
    run = ranked_run(HyperBandPlan(9, 3, 42), faults={5: fault}, workers=2).run()
    summary = run.scheduler.summary().splitlines()
    assert summary[0] == f"42 of 42 epochs spent on {len(run.trials)} trials"
    assert sum(line in text for text in summary) == 1
    assert "stands" not in ranked_run(HyperBandPlan(9, 3, 42)).run().scheduler.summary()
