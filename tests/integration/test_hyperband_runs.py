"""Plans, budgets, spaces and schedulers on real Ray Tune."""

from collections import Counter

import pytest
from noop import Table
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher, Ranking, SearchSpace
from hyperstar_tune.errors import SearchError
from hyperstar_tune.search import Gated

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_local")]

SPACE = SearchSpace.from_values({"x": list(range(500))})
RANKING = Ranking.of(SPACE.grid(), [-x for x in range(500)])


def run(storage, searcher, scheduler, **options):
    options = {"metric": "acc", "mode": "max", "num_samples": -1, "raise_on_failed_trial": False, **options}
    return tune.run(
        options.pop("trainable", Table),
        search_alg=searcher,
        scheduler=scheduler,
        storage_path=str(storage),
        name="run",
        reuse_actors=True,
        verbose=0,
        **options,
    ).trials


def epochs(trials):
    return sum(trial.last_result.get("training_iteration", 0) for trial in trials)


@pytest.mark.parametrize(("max_epochs", "eta"), [(9, 3), (27, 3), (32, 2)])
def test_rung_histograms_equal_the_printed_plan(tmp_path, max_epochs, eta):
    plan = HyperBandPlan(max_epochs, eta)
    scheduler = PlanScheduler(plan)
    trials = run(tmp_path, HyperStarSearcher(ranking=RANKING, plan=plan), scheduler)
    assert {trial.status for trial in trials} == {"TERMINATED"}
    assert epochs(trials) == plan.epoch_budget
    counted = Counter()
    for record in scheduler.rungs:
        counted[record.bracket, record.rung, record.epochs] += len(record.trial_ids)
    planned = {
        (number, rung, step.epochs): step.n_configs
        for number, bracket in enumerate(plan.brackets)
        for rung, step in enumerate(bracket.rungs)
    }
    assert counted == planned
    # the same from the trials alone: how many stopped at which epoch
    stopped = Counter(trial.last_result["training_iteration"] for trial in trials)
    expected = Counter()
    for bracket in plan.brackets:
        sizes = [step.n_configs for step in bracket.rungs] + [0]
        for step, next_size in zip(bracket.rungs, sizes[1:], strict=True):
            expected[step.epochs] += step.n_configs - next_size
    assert stopped == +expected


@pytest.mark.parametrize("budget", [200, 450])
def test_runs_end_at_exactly_their_budget(tmp_path, budget):
    plan = HyperBandPlan(max_epochs=100, eta=2, epoch_budget=budget)
    scheduler = PlanScheduler(plan)
    trials = run(tmp_path, RandomSearcher(SPACE), scheduler)
    assert epochs(trials) == scheduler.spent_epochs == budget
    assert scheduler.redone_epochs == 0
    assert {trial.status for trial in trials} == {"TERMINATED"}


def test_the_best_trial_has_a_checkpoint(tmp_path):
    trials = run(tmp_path, HyperStarSearcher(ranking=RANKING), PlanScheduler(HyperBandPlan(9, 3, 21)))
    best = max(trials, key=lambda trial: trial.last_result["acc"])
    assert best.last_result["training_iteration"] == 9
    assert best.checkpoint is not None


@pytest.mark.parametrize(
    ("fault", "failures"), [("error", 0), ("once", 2), ("exit", 0), ("nan", 0), ("reset", 0), ("done", 0), ("save", 0)]
)
def test_a_fault_in_one_trial_neither_stalls_the_run_nor_breaks_its_budget(tmp_path, fault, failures):
    log = tmp_path / "log"
    log.mkdir()
    scheduler = PlanScheduler(HyperBandPlan(9, 3, 42))
    searcher = HyperStarSearcher(ranking=RANKING)
    config = {"fault": fault, "fault_x": 8, "fault_epoch": 3 if fault == "once" else 1, "log": str(log)}
    trials = run(tmp_path, searcher, scheduler, config=config, max_failures=failures)
    assert {trial.status for trial in trials} <= {"TERMINATED", "ERROR"}
    assert sum(trial.status == "ERROR" for trial in trials) == (fault in ("error", "exit", "reset", "save"))
    trained = sum(len((log / name).read_text().split()) for name in map(str, range(20)) if (log / name).exists())
    unseen = fault in ("error", "exit", "once")  # the epoch in which it failed was never reported
    assert scheduler.spent_epochs == 42
    assert trained - unseen == 42 + scheduler.redone_epochs
    assert [len(record.trial_ids) for record in scheduler.rungs] == [9, 3, 1, 5, 1]


def test_tuner_nested_spaces_and_fixed_entries(tmp_path):
    tuner = tune.Tuner(
        Table,
        param_space={"inner": {"x": tune.choice(list(range(100)))}, "note": "fixed"},
        tune_config=tune.TuneConfig(
            search_alg=RandomSearcher(),
            scheduler=PlanScheduler(HyperBandPlan(9, 3, 21)),
            metric="acc",
            mode="max",
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="run", verbose=0),
    )
    results = tuner.fit()
    assert len(results) == 9
    assert sum(result.metrics["training_iteration"] for result in results) == 21
    assert {result.config["note"] for result in results} == {"fixed"}
    assert {type(result.config["inner"]["x"]) for result in results} == {int}


def test_asha_and_no_scheduler_go_down_the_ranking(tmp_path):
    short = Ranking.of([{"x": x} for x in range(6)], [-x for x in range(6)])
    asha = run(tmp_path, HyperStarSearcher(ranking=short), ASHAScheduler(max_t=4, grace_period=1), num_samples=4)
    assert [trial.config["x"] for trial in asha] == [0, 1, 2, 3]
    fifo = run(tmp_path, HyperStarSearcher(ranking=short), None, num_samples=50, stop={"training_iteration": 1})
    assert [trial.config["x"] for trial in fifo] == list(range(6))


def test_optuna_and_the_variant_generator_fill_the_same_plan(tmp_path):
    optuna = pytest.importorskip("ray.tune.search.optuna")
    pytest.importorskip("optuna")
    config = {"x": tune.randint(0, 100)}
    for searcher, samples in ((Gated(optuna.OptunaSearch()), -1), (None, 12)):
        scheduler = PlanScheduler(HyperBandPlan(9, 3, 30))
        options = {"config": config, "num_samples": samples}
        trials = run(tmp_path, searcher, scheduler, **options)
        assert [len(record.trial_ids) for record in scheduler.rungs[:3]] == [9, 3, 1]
        assert {trial.status for trial in trials} == {"TERMINATED"}
        assert epochs(trials) == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "accuracy"}, "must report 'accuracy' in every result, but reports only acc"),
        ({"max_concurrent_trials": 2}, "pass max_concurrent=2 to the searcher"),
        ({"scheduler": None}, "scheduler=PlanScheduler"),
        ({"mode": None, "metric": None}, "needs a metric and a mode"),
    ],
)
def test_what_cannot_work_is_one_line(tmp_path, options, message):
    plan = HyperBandPlan(9)
    options = {"scheduler": PlanScheduler(plan), **options}
    with pytest.raises(SearchError, match=message) as caught:
        run(tmp_path, RandomSearcher(SPACE, plan=plan), **options)
    assert "\n" not in str(caught.value)
