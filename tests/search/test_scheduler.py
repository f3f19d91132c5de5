"""What the scheduler refuses, prints and shows."""

import math
import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from ray.tune.execution.tune_controller import TuneController
from ray.tune.search import ConcurrencyLimiter, Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator
from virtual_run import VirtualRun, choices, random_run

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher, Ranking
from hyperstar_tune.errors import SearchError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.search import Gated
from hyperstar_tune.simulation.trial import ReplayTrial

PLAN = HyperBandPlan(9, 3)


class Plain(Searcher):
    """Another one's searcher: configurations in order, with a record of what it is told."""

    def __init__(self):
        super().__init__("acc", "max")
        self.n = 0
        self.results = []
        self.ended = {}

    def suggest(self, trial_id):
        self.n += 1
        return {"x": self.n}

    def on_trial_result(self, trial_id, result):
        self.results.append((trial_id, result["training_iteration"]))

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.ended[trial_id] = result


class Wrapper(Plain):
    """Another one's wrapper around a searcher."""

    def __init__(self, searcher):
        super().__init__()
        self.searcher = searcher

    def suggest(self, trial_id):
        return self.searcher.suggest(trial_id)


def test_another_searcher_must_be_gated():
    with pytest.raises(SearchError, match=r"search_alg=Gated\(Plain\(\.\.\.\)\)"):
        VirtualRun(PlanScheduler(PLAN), Plain()).run()


def test_a_gated_searcher_fills_the_plan_and_learns_from_every_result():
    inner = Plain()
    run = VirtualRun(PlanScheduler(PLAN), Gated(inner)).run()
    assert [len(record.trial_ids) for record in run.scheduler.rungs] == [9, 3, 1, 5, 1, 3]
    assert sorted(inner.results) == sorted(run.trained)
    assert len(inner.results) == 69
    assert len(inner.ended) == inner.n == 17
    assert all(result is not None for result in inner.ended.values())


def test_a_gated_searcher_may_suggest_what_cannot_be_compared():
    class Odd(Plain):
        def suggest(self, trial_id):
            nested = {"betas": [np.float64(0.9), {"late": np.int64(3)}], "activation": Plain}
            return {**super().suggest(trial_id), "optimizer": nested}

    assert VirtualRun(PlanScheduler(PLAN), Gated(Odd())).run().scheduler.spent_epochs == 69


def test_a_gated_searcher_hears_that_a_trial_is_lost_and_suggests_anew():
    class Recorder(Plain):
        def __init__(self):
            super().__init__()
            self.given, self.failed = {}, []

        def suggest(self, trial_id):
            self.given[trial_id] = super().suggest(trial_id)
            return self.given[trial_id]

        def on_trial_complete(self, trial_id, result=None, error=False):
            super().on_trial_complete(trial_id, result, error)
            self.failed += [trial_id] if error else []

    inner = Recorder()
    run = VirtualRun(PlanScheduler(PLAN), Gated(inner), workers=1)
    saved = run.play(6).save()
    lost = saved.trials.pop().trial_id
    again = run.restored(saved, PlanScheduler(PLAN), Gated(inner)).run()
    assert again.scheduler.spent_epochs == 69
    assert inner.failed == [lost]
    assert all(trial.config == inner.given[trial.trial_id] for trial in again.trials)


def test_without_hyperband_a_gated_searcher_is_not_asked_while_too_many_trials_are_live():
    inner = Plain()
    gated = Gated(inner, max_concurrent=1)
    assert gated.suggest("a") == {"x": 1}
    assert gated.suggest("b") is None
    gated.on_trial_complete("a", {"training_iteration": 1, "acc": 0.5})
    assert inner.results == [("a", 1)]
    assert gated.suggest("b") == {"x": 2}


def test_only_a_foreign_searcher_is_gated():
    with pytest.raises(SearchError, match="got a RandomSearcher"):
        Gated(RandomSearcher({"x": choices(3)}))


@pytest.mark.parametrize("wrap", [lambda limiter: limiter, Wrapper])
def test_a_limiter_inside_gated_is_refused(wrap):
    with pytest.raises(SearchError, match=r"pass Gated\(searcher, max_concurrent=2\)"):
        Gated(wrap(ConcurrencyLimiter(Plain(), 2)))


def test_a_generator_that_counts_paused_trials_is_refused():
    scheduler = PlanScheduler(PLAN)
    scheduler.set_search_properties("acc", "max", num_samples=50)
    scheduler._bind(SimpleNamespace(search_alg=BasicVariantGenerator()), ReplayTrial("v", {}, 0))
    scheduler.set_search_properties("acc", "max", num_samples=50)
    with pytest.raises(SearchError, match=r"max_concurrent_trials=4.*RandomSearcher\(space, max_concurrent=4\)"):
        scheduler._bind(SimpleNamespace(search_alg=BasicVariantGenerator(max_concurrent=4)), ReplayTrial("v", {}, 0))


def test_a_hidden_searcher_is_refused():
    with pytest.raises(SearchError, match="RandomSearcher cannot be wrapped in a Wrapper"):
        VirtualRun(PlanScheduler(PLAN), Wrapper(RandomSearcher({"x": choices(9)}))).run()


def test_the_plans_of_searcher_and_scheduler_must_agree():
    searcher = RandomSearcher({"x": choices(9)}, plan=HyperBandPlan(27, 3))
    with pytest.raises(
        SearchError, match="R=9 epochs, eta=3, budget 69 epochs and Hyperband: R=27 epochs, eta=3, budget 357"
    ):
        VirtualRun(PlanScheduler(PLAN), searcher).run()


def test_a_restored_run_must_have_the_same_plan():
    run = random_run(PLAN)
    saved = run.play(30).save()
    with pytest.raises(SearchError, match="saved run must have the same plan"):
        run.restored(saved, PlanScheduler(HyperBandPlan(9, 3, 200)), RandomSearcher({"x": choices(200)})).run()


@pytest.mark.parametrize("status", ["PENDING", "TERMINATED", "ERROR"])
def test_a_trial_the_restored_searcher_does_not_know_is_not_continued(status, caplog):
    run = random_run(PLAN).play(30)
    run.add(ReplayTrial("stranger", {"x": 1}, 0, status, last_result={"training_iteration": 3}))
    run.run()
    assert "stranger" not in {trial_id for trial_id, _ in run.trained}
    assert "trial stranger is unknown" in caplog.text
    assert run.scheduler.spent_epochs == 69


def test_a_trial_that_only_the_restored_searcher_knows_is_suggested_again():
    run = random_run(PLAN, workers=1)
    saved = run.play(6).save()
    lost = saved.trials.pop()
    assert lost.status == "PENDING"
    again = run.restored(saved, PlanScheduler(PLAN), RandomSearcher({"x": choices(200)})).run()
    assert again.scheduler.spent_epochs == 69
    assert [len(record.trial_ids) for record in again.scheduler.rungs] == [9, 3, 1, 5, 1, 3]
    assert lost.config in [trial.config for trial in again.trials]
    assert lost.trial_id not in {trial.trial_id for trial in again.trials}


def test_a_searcher_belongs_to_one_run():
    run = random_run(PLAN).run()
    with pytest.raises(SearchError, match="belongs to one run"):
        VirtualRun(run.scheduler, run.search_alg.searcher).run()


@pytest.mark.parametrize("steps", [0, 1, 6, 30])
def test_a_used_searcher_is_refused_under_a_new_scheduler_too(steps):
    run = random_run(PLAN, workers=1).play(steps)
    if not steps:
        run.run()
    with pytest.raises(SearchError, match="a RandomSearcher belongs to one run"):
        VirtualRun(PlanScheduler(PLAN), run.search_alg.searcher).run()


def test_a_restored_searcher_goes_on_with_its_run_once():
    run = random_run(PLAN)
    saved = run.play(30).save()
    searcher = RandomSearcher({"x": choices(200)})
    again = run.restored(saved, PlanScheduler(PLAN), searcher).run()
    assert again.scheduler.spent_epochs == 69
    with pytest.raises(SearchError, match="belongs to one run"):
        VirtualRun(PlanScheduler(PLAN), searcher).run()


def test_the_scheduler_itself_may_be_used_again():
    scheduler = random_run(PLAN).run().scheduler
    again = VirtualRun(scheduler, RandomSearcher({"x": choices(50)})).run()
    assert again.scheduler.spent_epochs == 69


@pytest.mark.parametrize(("metric", "mode"), [(None, "max"), ("acc", None), (None, None)])
def test_metric_and_mode_are_needed(metric, mode):
    with pytest.raises(SearchError, match="needs a metric and a mode"):
        PlanScheduler(PLAN).set_search_properties(metric, mode)


def test_two_different_metrics_are_refused():
    with pytest.raises(SearchError, match="metric is 'loss' in PlanScheduler but 'acc' in the run"):
        PlanScheduler(PLAN, metric="loss").set_search_properties("acc", "max")


def test_a_missing_metric_is_named_after_the_first_result():
    run = random_run(PLAN, metric="accuracy")
    with pytest.raises(SearchError, match=r"must report 'acc'.*only accuracy;"):
        run.run()
    assert len(run.trained) == 1


def test_rays_own_check_of_the_metric_is_off_in_this_run_alone_even_if_it_never_has_a_result(monkeypatch):
    """Ray hands its controller to the scheduler in a wrapper; its check is a traceback of many lines."""
    monkeypatch.delenv("TUNE_DISABLE_STRICT_METRIC_CHECKING", raising=False)
    ours, another = (object.__new__(TuneController) for _ in range(2))
    for controller in (ours, another):
        controller._metric = "acc"
        controller._scheduler_alg = controller._search_alg = SimpleNamespace(metric=None)
    environment, attributes = dict(os.environ), dict(vars(ours))
    run = random_run(PLAN)
    run._tune_controller = ours
    run.add(ReplayTrial("t", run.search_alg.searcher.suggest("t"), 0))
    ours._validate_result_metrics({"training_iteration": 1, "accuracy": 0.5})
    with pytest.raises(ValueError, match="did not include the specified metric"):
        another._validate_result_metrics({"training_iteration": 1, "accuracy": 0.5})
    assert isinstance(ours, TuneController)
    assert (dict(os.environ), vars(ours)) == (environment, attributes)


def test_a_metric_to_minimize_promotes_the_smallest():
    run = random_run(HyperBandPlan(9, 3, 21), curve=lambda config, epoch: config["x"])
    run.scheduler._sign = -1.0
    run.run()
    configs = {trial.trial_id: trial.config["x"] for trial in run.trials}
    places = [configs[i] for i in run.scheduler.rungs[0].trial_ids]
    assert places == sorted(places)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_diverged_trial_is_stopped_at_once(value):
    run = random_run(PLAN, workers=1, curve=lambda config, epoch: value if config["x"] % 2 else 0.5).run()
    odd = {trial.trial_id for trial in run.trials if trial.config["x"] % 2}
    assert odd
    assert all(epoch == 1 for trial_id, epoch in run.trained if trial_id in odd)
    assert run.scheduler.spent_epochs == 69


def test_no_searcher_at_all_holds_its_trials_back():
    hidden = SimpleNamespace(search_alg=SimpleNamespace(searcher=None))
    scheduler = PlanScheduler(PLAN)
    run = VirtualRun(scheduler, Plain(), num_samples=17)
    scheduler.set_search_properties("acc", "max", num_samples=17)
    scheduler._bind(hidden, ReplayTrial("v", {}, 0))
    run.run()
    assert [len(record.trial_ids) for record in scheduler.rungs] == [9, 3, 1, 5, 1, 3]
    assert len(run.trained) == 69
    endless = PlanScheduler(PLAN)
    endless.set_search_properties("acc", "max", num_samples=sys.maxsize)
    with pytest.raises(SearchError, match=r"search_alg=RandomSearcher\(space\)"):
        endless._bind(hidden, ReplayTrial("v", {}, 0))


def test_differences_to_the_predictor_are_told_once_before_the_run(caplog, monkeypatch):
    searcher = HyperStarSearcher(ranking=Ranking.of([{"x": x} for x in range(20)], range(20), source="shipped"))
    searcher.fingerprint = Fingerprint(model="shufflenet", image_size=64, max_epochs=8)

    class Trainable:
        fingerprint = Fingerprint(model="mobilenet", image_size=64)

    monkeypatch.setattr(ReplayTrial, "get_trainable_cls", lambda trial: Trainable)
    run = VirtualRun(PlanScheduler(PLAN), searcher).play(1)
    (message,) = caplog.messages
    lines = message.splitlines()
    assert "predictor shipped" in lines[0]
    assert lines[1:] == [
        "  model: shufflenet in the predictor, mobilenet in this run",
        "  max epochs: 8 in the predictor, 9 in this run",
        "  pass predictor=Predictor.load(NAME).under(trainable.fingerprint) for a ranking that minds this",
    ]
    run.run()
    assert caplog.messages == [message]
    searcher.ranking = replace(searcher.ranking, elsewhere=1.0)  # the predictor was told of the network
    assert searcher.remark(ReplayTrial("v", {}, 0), PLAN).splitlines() == lines[:-1]


def test_progress_can_be_read_while_it_runs():
    run = random_run(PLAN, workers=1)
    assert (run.scheduler.spent_epochs, run.scheduler.finished, run.scheduler.rungs) == (0, False, [])
    assert run.scheduler.debug_string() == "PlanScheduler: not started"
    while run.n_results < 10:
        run.step()
    assert run.scheduler.spent_epochs == 10
    assert run.scheduler.debug_string() == "PlanScheduler: bracket 1, rung 2, 10 of 69 epochs"
