"""A searcher belongs to one run; what it has learned does not."""

import pickle

import pytest
from ray import tune
from ray.tune.search import Searcher
from virtual_run import VirtualRun, choices, random_run

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher, Ranking, SearchSpace
from hyperstar_tune.errors import SearchError, SpaceError
from hyperstar_tune.rivals.bohb import BohbSearcher, has_hpbandster
from hyperstar_tune.rivals.tpe import TpeSearcher
from hyperstar_tune.search import Gated

PLAN = HyperBandPlan(9, 3)
SPACE = SearchSpace.from_values({"x": list(range(200))})
GRID = SPACE.grid()
NEW = {
    "random": lambda: RandomSearcher(SPACE),
    "ranking": lambda: HyperStarSearcher(ranking=Ranking.of(GRID, range(200))),
}


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("steps", [6, 30, None], ids=["in the first rung", "later", "to the end"])
@pytest.mark.parametrize("how", ["save", "state", "pickle"])
def test_a_searcher_restored_by_hand_is_refused_in_a_new_run_before_any_trial(kind, steps, how, tmp_path):
    run = VirtualRun(PlanScheduler(PLAN), NEW[kind]())
    run.run() if steps is None else run.play(steps)
    used, restored = run.search_alg.searcher, NEW[kind]()
    if how == "save":
        used.save(str(tmp_path / "state"))
        restored.restore(str(tmp_path / "state"))
    elif how == "state":
        restored.set_state(used.get_state())
    else:
        used.save_to_dir(str(tmp_path), "2026-01-01_00-00-00")
        restored.restore_from_dir(str(tmp_path))
    name = type(restored).__name__
    again = VirtualRun(PlanScheduler(PLAN), restored)
    with pytest.raises(SearchError, match=f"a {name} belongs to one run, but was restored for another; make a new"):
        again.run()
    assert not again.trials
    with pytest.raises(SearchError, match="belongs to one run"):
        restored.set_search_properties("acc", "max", {"n": 1})


@pytest.mark.parametrize("max_concurrent", [None, 2])
def test_without_a_gate_one_that_can_suggest_nothing_any_more_is_refused(max_concurrent, tmp_path):
    used = RandomSearcher({"x": choices(2)}, max_concurrent=max_concurrent)
    for trial_id in ("a", "b"):
        assert used.suggest(trial_id)
    if max_concurrent is None:
        assert used.suggest("c") == Searcher.FINISHED
    used.save(str(tmp_path / "state"))
    restored = RandomSearcher({"x": choices(2)}, max_concurrent=max_concurrent)
    restored.restore(str(tmp_path / "state"))
    with pytest.raises(SearchError, match="belongs to one run, but was restored for another"):
        restored.suggest("d")


def test_without_a_gate_one_that_can_go_on_does():
    used = RandomSearcher({"x": choices(3)})
    seen = [used.suggest("a")]
    restored = RandomSearcher({"x": choices(3)})
    restored.set_state(used.get_state())
    seen += [restored.suggest("b"), restored.suggest("c")]
    assert len({config["x"] for config in seen}) == 3
    assert restored.suggest("d") == Searcher.FINISHED


def test_in_a_restored_run_under_another_scheduler_a_limit_holds_until_its_trials_end(tmp_path):
    used = RandomSearcher({"x": choices(5)}, max_concurrent=1)
    used.suggest("a")
    used.save_to_dir(str(tmp_path), "2026-01-01_00-00-00")
    restored = RandomSearcher({"x": choices(5)}, max_concurrent=1)
    restored.restore_from_dir(str(tmp_path))  # as Ray does
    assert restored.suggest("b") is None
    restored.on_trial_complete("a", {"training_iteration": 1, "acc": 1.0})
    assert restored.suggest("b")


def test_a_searcher_whose_run_was_interrupted_does_not_wait_for_it():
    run = random_run(PLAN).play(20)
    run.scheduler._at_end("it was interrupted")  # as Ray's last call
    searcher = run.search_alg.searcher
    for used in (searcher, pickle.loads(pickle.dumps(searcher))):
        with pytest.raises(SearchError, match="a RandomSearcher belongs to one run"):
            used.suggest("next")


def models():
    if has_hpbandster():
        yield pytest.param(lambda space, **options: BohbSearcher(space, n_samples=8, **options), id="bohb")
    yield pytest.param(TpeSearcher, id="tpe")


@pytest.fixture(params=list(models()))
def make(request):
    pytest.importorskip("optuna")
    return request.param


def trained(searcher, n=40):
    """A run in which the largest ``x`` is best."""
    for number in range(n):
        config = searcher.suggest(f"t{number}")
        searcher.on_trial_complete(f"t{number}", {"training_iteration": 9, "acc": config["x"]})
    return searcher


@pytest.mark.parametrize("source", ["searcher", "file", "folder"])
def test_a_new_searcher_begins_with_what_another_has_learned(make, source, tmp_path):
    space = {"x": tune.uniform(0, 100)}
    old = trained(make(space, metric="acc", mode="max"))
    old.save_to_dir(str(tmp_path), "2026-01-01_00-00-00")
    file = next(tmp_path.glob("searcher-state-*"))
    new = make(space, metric="acc", mode="max", seed=1)
    new.warm_start({"searcher": old, "file": file, "folder": str(tmp_path)}[source])
    warm = [new.suggest(f"t{number}")["x"] for number in range(20)]
    cold = make(space, metric="acc", mode="max", seed=1)
    begun = [cold.suggest(f"t{number}")["x"] for number in range(20)]
    assert sum(warm) / 20 > sum(begun) / 20 + 10
    assert len(new.earlier) == 40
    third = make(space, metric="acc", mode="max")
    third.warm_start(new)
    assert len(third.earlier) == 40


def test_a_warm_start_waits_for_the_runs_config_and_survives_its_fixed_values(make):
    space = {"x": tune.uniform(0, 100), "kind": tune.choice(["a", "b"])}
    old = trained(make(space, metric="acc", mode="max"))
    new = make({"x": tune.uniform(0, 100), "kind": tune.choice(["a", "b"])}, metric="acc", mode="max")
    new.warm_start(old)
    new.set_search_properties("acc", "max", {"kind": "a"})
    known = sum(config["kind"] == "a" for config, _, _ in old.scores)
    assert 0 < known < 40
    assert {new.suggest("t")["kind"]} == {"a"}
    if isinstance(new, TpeSearcher):
        assert len(new._told) == known


def test_a_warm_start_from_nothing_or_from_elsewhere_is_refused(make, tmp_path):
    new = make({"x": tune.uniform(0, 100)})
    with pytest.raises(SearchError, match="has learned a score, but got none"):
        new.warm_start(make({"x": tune.uniform(0, 100)}))
    RandomSearcher(SPACE).save(str(tmp_path / "random"))
    with pytest.raises(SearchError, match="got none"):
        new.warm_start(tmp_path / "random")
    (tmp_path / "noise").write_bytes(b"noise")
    with pytest.raises(SearchError, match=r"noise gave .*Error"):
        new.warm_start(tmp_path / "noise")
    with pytest.raises(SearchError, match="absent gave FileNotFoundError"):
        new.warm_start(tmp_path / "absent")
    (tmp_path / "run").mkdir()
    with pytest.raises(SearchError, match="has no searcher-state"):
        new.warm_start(tmp_path / "run")
    old = trained(make({"x": tune.uniform(200, 300)}, metric="acc", mode="max"), 3)
    with pytest.raises(SpaceError, match=r"nothing of what was learned earlier lies in the space.*'x'"):
        new.warm_start(old)


def test_a_learner_that_is_told_no_metric_says_what_to_pass(make):
    searcher = make({"x": tune.uniform(0, 100)})
    name = type(searcher).__name__
    assert searcher.suggest("a")  # before a PlanScheduler would tell of itself
    searcher.on_trial_result("a", {"training_iteration": 1, "acc": 0.5})
    with pytest.raises(SearchError, match=rf"{name} learns from a metric.*pass metric=\.\.\., mode=\.\.\. to {name}"):
        searcher.suggest("b")
    told = make({"x": tune.uniform(0, 100)}, metric="acc", mode="min")
    trained(told, 5)
    assert [score for _, _, score in told.scores] == [-config["x"] for config, _, _ in told.scores]


def test_behind_the_scheduler_it_is_told(make):
    searcher = make({"x": tune.uniform(0, 100)})
    run = VirtualRun(PlanScheduler(PLAN), searcher).run()
    assert run.scheduler.spent_epochs == 69
    assert searcher.scores


def test_gated_asks_optuna_only_under_its_limit_and_hands_points_on():
    optuna = pytest.importorskip("ray.tune.search.optuna")
    pytest.importorskip("optuna")
    inner = optuna.OptunaSearch({"x": tune.uniform(0, 1)}, metric="acc", mode="max")
    gated = Gated(inner, max_concurrent=2)
    gated.add_evaluated_point({"x": 0.5}, 0.9)
    gated.add_evaluated_point({"x": 0.1}, 0.2, intermediate_values=[0.1, 0.2])
    for number in range(20):
        gated.suggest(f"poll{number}")
    trials = inner._ot_study.get_trials()
    assert [trial.value for trial in trials if trial.state.is_finished()] == [0.9, 0.2]
    assert len(trials) == 2 + 2
    gated.on_trial_result("poll0", {"training_iteration": 1, "acc": 0.3})
    gated.on_trial_complete("poll0", {"training_iteration": 2, "acc": 0.4})
    assert [gated.suggest(f"later{number}") is not None for number in range(3)] == [True, False, False]
    assert len(inner._ot_study.get_trials()) == 2 + 3
