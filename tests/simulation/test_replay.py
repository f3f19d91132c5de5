"""The replay gives what the plan says, and leaves nothing out that anybody reads."""

from types import SimpleNamespace

import numpy as np
import pytest
from made_up_table import make_table
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher
from hyperstar_tune.comparison import Setting, make_method, run_method
from hyperstar_tune.errors import MetaDatasetError, SearchError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.simulation import Run, TaskCurves, replay

UNRANKED = ("random_search", "hyperband", "hyperband_longest_first", "ray_hyperband", "asha", "tr_automl", "rush")
RANKED = (
    *("truth+hyperband", "truth+hyperband_mixed", "truth+hyperband_sampled", "truth+hyperband_restart"),
    *("truth+hyperband_longest_first", "truth+alone", "truth+asha"),
)


def true_ranking(curves):
    return Ranking.of(curves.configs, np.nan_to_num(curves.accuracy[:, -1]), source="truth")


def setting(table, curves, plan, seed=0):
    return Setting(table.space, plan, seed, true_ranking(curves), table.without(curves.family))


def same(first, second):
    """Equal trials, and equal accuracy, time and epochs all along; not equal numbers of delivered results."""
    trained = [[(t.row, t.epochs) for t in run.trials if t.epochs] for run in (first, second)]
    assert trained[0] == trained[1]
    assert first.epochs == second.epochs
    np.testing.assert_allclose(first.incumbent.seconds, second.incumbent.seconds)
    np.testing.assert_array_equal(first.incumbent.accuracy, second.incumbent.accuracy)
    np.testing.assert_array_equal(first.incumbent.accuracy_b, second.incumbent.accuracy_b)


def test_rungs_are_those_of_the_plan(curves):
    plan = HyperBandPlan(9)
    scheduler = PlanScheduler(plan)
    run = replay(curves, RandomSearcher(curves.space), scheduler)
    expected = [(rung.n_configs, rung.epochs) for bracket in plan.brackets for rung in bracket.rungs]
    assert [(len(record.trial_ids), record.epochs) for record in scheduler.rungs] == expected
    assert run.epochs == plan.epoch_budget
    assert not run.stalled


@pytest.mark.parametrize("budget", [9, 20, 90])
@pytest.mark.parametrize("method", [*UNRANKED, *RANKED])
def test_no_method_spends_more_than_its_budget(table, curves, method, budget):
    plan = HyperBandPlan(9, 3, budget)
    run = run_method(make_method(method), curves, setting(table, curves, plan))
    # These end when there is nothing new to train: every configuration was tried, or the top of the ranking is known.
    may_end_early = ("tr_automl", "rush", "asha", "truth+asha", "truth+hyperband_restart")
    assert run.epochs == budget or (method in may_end_early and run.epochs < budget)
    assert not run.stalled
    assert all(trial.status == "TERMINATED" for trial in run.trials)


@pytest.mark.parametrize("n_workers", [1, 3])
@pytest.mark.parametrize("method", [*UNRANKED, *RANKED])
def test_leaving_out_results_that_nobody_reads_changes_nothing(table, curves, method, n_workers):
    plan = HyperBandPlan(9, 2, 120)
    runs = [
        run_method(make_method(method), curves, setting(table, curves, plan, seed=3), n_workers, reports)
        for reports in (None, "every epoch")
    ]
    same(*runs)
    assert runs[0].n_results <= runs[1].n_results


@pytest.mark.parametrize("budget", [40, 400])
@pytest.mark.parametrize("method", ["hyperband", "truth+hyperband", "hyperband_longest_first"])
def test_nor_where_trials_diverge_or_every_configuration_comes_again(method, budget):
    table = make_table(diverged=[(0, config) for config in range(0, 48, 3)])
    curves = TaskCurves.of(table, "task0")
    given = setting(table, curves, HyperBandPlan(9, 3, budget))
    same(*(run_method(make_method(method), curves, given, reports=reports) for reports in (None, "every epoch")))


@pytest.mark.parametrize("method", ["hyperband", "truth+hyperband_sampled"])
def test_the_same_seed_gives_the_same_run_and_another_seed_another(table, curves, method):
    plan = HyperBandPlan(9)
    runs = [run_method(make_method(method), curves, setting(table, curves, plan, seed)) for seed in (1, 1, 2)]
    same(runs[0], runs[1])
    assert [t.row for t in runs[0].trials] != [t.row for t in runs[2].trials]


@pytest.mark.parametrize("method", ["hyperband", "truth+hyperband", "truth+alone", "hyperband_longest_first", "asha"])
def test_smaller_budgets_are_prefixes_of_one_run(table, curves, method):
    """Where a rung ends; inside a rung the budget may decide which of the promoted trials goes on first."""
    plan = HyperBandPlan(9, 2, 80)
    long = run_method(make_method(method), curves, setting(table, curves, plan))
    for budget in np.cumsum(plan.brackets[0].rung_costs)[1:].tolist():
        short = run_method(make_method(method), curves, setting(table, curves, HyperBandPlan(9, 2, budget)))
        np.testing.assert_array_equal(short.incumbent.accuracy, long.incumbent.accuracy[:budget])
        np.testing.assert_allclose(short.incumbent.seconds, long.incumbent.seconds[:budget])


def test_a_ranking_alone_trains_its_top_to_the_end_one_after_another(curves):
    run = replay(curves, HyperStarSearcher(ranking=true_ranking(curves)), FIFOScheduler(), epoch_budget=30)
    best = [curves.row(config) for config in true_ranking(curves).configs[:4]]
    assert [(t.row, t.epochs) for t in run.trials if t.epochs] == [
        (best[0], 9),
        (best[1], 9),
        (best[2], 9),
        (best[3], 3),
    ]
    assert run.incumbent.accuracy[8] == curves.accuracy[best[0]].max()


def test_the_incumbent_is_the_best_of_half_a_and_shows_the_same_epoch_of_half_b(curves):
    run = replay(curves, RandomSearcher(curves.space, seed=5), PlanScheduler(HyperBandPlan(9)))
    best = -1.0
    seen = []
    for row, before, after, _ in run.segments:
        for epoch in range(int(before), int(after)):
            if curves.accuracy[int(row), epoch] > best:
                best, best_b = curves.accuracy[int(row), epoch], curves.accuracy_b[int(row), epoch]
            seen.append((best, best_b))
    np.testing.assert_array_equal(np.stack([run.incumbent.accuracy, run.incumbent.accuracy_b], axis=1), seen)


def test_one_worker_takes_the_sum_of_the_recorded_seconds(curves):
    run = replay(curves, RandomSearcher(curves.space), PlanScheduler(HyperBandPlan(9)))
    spent = sum(curves.end_seconds[t.row, t.epochs] for t in run.trials)
    assert run.seconds == pytest.approx(spent)
    assert run.incumbent.seconds[-1] == pytest.approx(spent)


def test_more_workers_finish_sooner_with_the_same_epochs(curves):
    runs = [replay(curves, RandomSearcher(curves.space), PlanScheduler(HyperBandPlan(9)), n_workers=k) for k in (1, 4)]
    assert runs[0].epochs == runs[1].epochs
    assert runs[1].seconds < 0.6 * runs[0].seconds


def test_a_diverged_trial_is_stopped_and_its_epochs_go_to_others():
    table = make_table(diverged=[(0, config) for config in range(0, 48, 2)])
    curves = TaskCurves.of(table, "task0")
    run = replay(curves, RandomSearcher(curves.space), PlanScheduler(HyperBandPlan(9)))
    assert max(t.epochs for t in run.trials if t.row % 2 == 0) == 3
    assert run.epochs == HyperBandPlan(9).epoch_budget
    assert not run.stalled


def test_between_recorded_epochs_the_last_value_holds():
    whole = make_table()
    kept = np.array([0, 1, 3, 8])
    sparse = type(whole)(
        whole.space, whole.configs, whole.epochs[kept], whole.evaluations[:, :, :, kept], whole.tasks, whole.fingerprint
    )
    curves = TaskCurves.of(sparse, "task2")
    recorded = TaskCurves.of(whole, "task2")
    np.testing.assert_array_equal(curves.accuracy[:, 2], recorded.accuracy[:, 1])
    np.testing.assert_array_equal(curves.accuracy[:, 7], recorded.accuracy[:, 3])
    np.testing.assert_array_equal(curves.accuracy[:, 8], recorded.accuracy[:, 8])


def test_an_incomplete_task_and_an_unknown_one_are_refused(table):
    holes = table.evaluations.copy()
    holes[1, 7] = np.nan
    broken = type(table)(table.space, table.configs, table.epochs, holes, table.tasks, table.fingerprint)
    with pytest.raises(MetaDatasetError, match="was not trained on 'task1'"):
        TaskCurves.of(broken, "task1")
    with pytest.raises(MetaDatasetError, match="'nowhere'"):
        TaskCurves.of(table, "nowhere")


def test_targets_need_a_gated_searcher(curves):
    from ray.tune.search.optuna import OptunaSearch

    pytest.importorskip("optuna")
    searcher = OptunaSearch(metric="val_accuracy", mode="max")
    with pytest.raises(SearchError, match="gated searcher"):
        replay(curves, searcher, AsyncHyperBandScheduler(), reports="targets")


@pytest.mark.parametrize("seed", range(20))
def test_where_curves_settle_a_finished_trial_stands_with_its_last_epoch(seed):
    rng = np.random.default_rng(seed)
    n_configs, max_epochs = 4, 3
    accuracy = rng.integers(0, 6, (n_configs, max_epochs)) / 10
    world = SimpleNamespace(
        accuracy=accuracy,
        accuracy_b=accuracy,
        end_seconds=np.tile(np.arange(max_epochs + 1.0), (n_configs, 1)),
        max_epochs=max_epochs,
        settles=True,
    )
    order = [(0, 0, 2), (1, 0, 2), (0, 2, 3), (2, 0, 1), (1, 2, 3), (3, 0, 3)]  # row, epoch before, epoch after
    clock, segments = 0.0, []
    for row, before, after in order:
        segments.append((row, before, after, clock))
        clock += after - before
    fields = dict.fromkeys(("trials", "epochs", "redone_epochs", "seconds", "searcher_s", "n_results", "stalled"))
    best = Run(curves=world, segments=np.array(segments), **fields).incumbent
    standing, expected = {}, []
    for row, before, after in order:
        for epoch in range(before, after):
            done = epoch == max_epochs - 1
            standing[row] = accuracy[row, epoch] if done else max(standing.get(row, 0), accuracy[row, epoch])
            expected.append(max(standing.values()))
    assert best.accuracy.tolist() == expected
