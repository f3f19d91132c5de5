"""Increasing Image Sizes: stages, what is handed on and narrowed, and saving."""

import math

import numpy as np
import pytest
from growing_search import METRIC, SPACE, drawn, finish, score, searcher, sizes
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from virtual_run import VirtualRun

from hyperstar_tune import (
    HyperBandPlan,
    HyperStarSearcher,
    IncreasingImageSizes,
    PlanScheduler,
    RacePlan,
    RandomSearcher,
    Ranking,
    SearchSpace,
)
from hyperstar_tune.errors import SearchError
from hyperstar_tune.search import Narrowing
from hyperstar_tune.search.stages import brackets_per_stage, divided
from hyperstar_tune.simulation import MadeUpCurves, VirtualController


def test_every_stage_has_its_size_and_its_trials():
    configs = drawn(searcher())
    assert sizes(configs) == [16] * 12 + [32] * 8 + [64] * 4


def test_the_best_are_handed_on_first_and_the_rest_lies_in_the_narrowed_space():
    search = searcher(hand_on=3)
    configs = drawn(search)
    best = sorted(configs[:12], key=score, reverse=True)[:3]
    assert [{**config, "image_size": 16} for config in configs[12:15]] == best
    hulls = [[c["x"] for c in sorted(part, key=score, reverse=True)[:4]] for part in (configs[:12], configs[12:20])]
    for hull, later, width in zip(hulls, (configs[15:20], configs[23:]), (1.0, 0.6), strict=True):
        low, high = min(hull) - 0.1 * width, max(hull) + 0.1 * width
        slack = max(0.0, 0.25 - (high - low))
        assert all(low - slack <= config["x"] <= high + slack for config in later)
    assert [stage.image_size for stage in search.stages] == [16, 32]
    assert search.stages[0].trial_ids[0] == max((f"t{i}" for i in range(12)), key=lambda t: score(configs[int(t[1:])]))


def test_without_handing_on_and_narrowing_no_worker_waits():
    search = searcher(hand_on=0, narrow=None, trials=(2, 1, 1))
    assert sizes(search.suggest(f"t{i}") for i in range(4)) == [16, 16, 32, 64]
    finish(search, "t0", {"x": 0.5, "image_size": 16})  # late, and nobody minds


@pytest.mark.parametrize("switched_off", [{"hand_on": 0}, {"narrow": None}])
def test_a_stage_waits_for_its_last_trials(switched_off):
    search = searcher(trials=(2, 2, 1), **switched_off)
    first = [search.suggest(f"t{i}") for i in range(2)]
    assert search.suggest("t2") is None
    finish(search, "t0", first[0])
    assert search.suggest("t2") is None
    search.on_trial_complete("t1", error=True)
    assert search.suggest("t2")["image_size"] == 32


def test_failed_and_diverged_trials_are_not_good():
    search = searcher(trials=(3, 1, 1), hand_on=3, narrow=None)
    configs = [search.suggest(f"t{i}") for i in range(3)]
    finish(search, "t0", configs[0], value=0.1)
    search.on_trial_result("t1", {"training_iteration": 1, "acc": 0.9})
    search.on_trial_result("t1", {"training_iteration": 2, "acc": math.nan})
    search.on_trial_complete("t1", result={"training_iteration": 2, "acc": math.nan})
    search.on_trial_result("t2", {"training_iteration": 1, "acc": 0.9})
    search.on_trial_complete("t2", error=True)
    assert search.suggest("t3") == {**configs[0], "image_size": 32}
    assert search.stages[0].trial_ids == ("t0",)


def test_the_best_epoch_counts_and_a_minimum_is_one():
    search = searcher(trials=(2, 1, 1), mode="min")
    configs = [search.suggest(f"t{i}") for i in range(2)]
    for trial_id, losses in (("t0", (0.3, 0.3)), ("t1", (0.1, 0.9))):
        for epoch, loss in enumerate(losses, start=1):
            search.on_trial_result(trial_id, {"training_iteration": epoch, "acc": loss})
        search.on_trial_complete(trial_id, result={"training_iteration": 2, "acc": losses[-1]})
    assert search.suggest("t2") == {**configs[1], "image_size": 32}


def test_a_suggestion_stands_in_its_places_and_the_image_size_beside_them():
    config = {"train": {"x": tune.uniform(0, 1)}, "kind": tune.choice(["a", "b"]), "n": 7}
    for inner in (RandomSearcher(), OptunaSearch()):
        search = IncreasingImageSizes(inner, sizes=(16, 32), trials=(8, 8))
        search.set_search_properties("acc", "max", config)
        for number in range(16):
            suggestion = search.suggest(f"t{number}")
            assert suggestion.keys() == {"train", "kind", "image_size"}
            finish(search, f"t{number}", {}, value=suggestion["train"]["x"])


def test_an_image_size_in_the_space_is_that_of_the_stage():
    search = searcher(space="efficientnet-lite0", sizes=(32, 48, 96), trials=(6, 6, 6))
    for number in range(18):
        suggestion = search.suggest(f"t{number}")
        assert suggestion["image_size"] == (32, 48, 96)[number // 6]
        finish(search, f"t{number}", suggestion, value=suggestion["lr"])
    nested = IncreasingImageSizes(RandomSearcher(), sizes=(16, 32), trials=(1, 1))
    nested.set_search_properties("acc", "max", {"data": {"image_size": tune.choice([8, 9])}, "x": tune.uniform(0, 1)})
    assert nested.suggest("t0")["data"] == {"image_size": 16}


@pytest.mark.parametrize("inner", [RandomSearcher, OptunaSearch])
def test_parameters_that_mean_nothing_are_left_out(inner):
    space = SearchSpace.from_name("efficientnet-lite0")
    search = searcher(inner(), space=SearchSpace(space.configuration_space), trials=(20, 12, 8))
    for number in range(40):
        suggestion = search.suggest(f"t{number}")
        assert ("layer_decay" in suggestion) == (suggestion["layers"] != "head")
        finish(search, f"t{number}", suggestion, value=-abs(math.log(suggestion["lr"] / 1e-3)))


def test_optuna_learns_of_what_is_handed_on():
    search = searcher(OptunaSearch(), trials=(6, 3, 1), hand_on=2)
    drawn(search, 8)
    study = search._inner.searcher._ot_study
    assert [trial.value for trial in study.trials] == pytest.approx(
        [score({**t.params, "image_size": 32}) for t in study.trials]
    )
    assert len(study.trials) == 2


def test_the_trials_of_the_run_are_divided():
    search = IncreasingImageSizes(RandomSearcher())
    search.set_search_properties("acc", "max", SPACE, num_samples=12)
    assert search.trials == (6, 4, 2)
    search.suggest("t0")
    restored = IncreasingImageSizes(RandomSearcher())
    restored.set_search_properties("acc", "max", SPACE, num_samples=1)  # what Tuner.restore says of any run
    restored.set_state(search.get_state())
    assert restored.suggest("t1")["image_size"] == 32
    assert restored.trials == (6, 4, 2)
    single = IncreasingImageSizes(RandomSearcher())
    single.set_search_properties("acc", "max", SPACE, num_samples=1)
    with pytest.raises(SearchError, match="3 sizes need at least 3 trials, but there are 1"):
        single.suggest("t0")
    assert divided(1500, 3) == (750, 500, 250)
    for n in range(1, 8):
        for total in range(n, 60):
            parts = divided(total, n)
            assert sum(parts) == total
            assert min(parts) >= 1
            assert list(parts) == sorted(parts, reverse=True) or total < n * (n + 1)


def test_what_a_ranking_has_is_dealt_in_every_stage():
    space = SearchSpace.from_name("mobilenet-v2")
    ranking = Ranking.of(space.grid(), np.random.default_rng(0).normal(size=108))
    search = IncreasingImageSizes(
        HyperStarSearcher(ranking=ranking), narrow=None, sizes=(32, 64), trials=(5, 5), **METRIC
    )
    configs = []
    for number in range(10):
        configs.append(search.suggest(f"t{number}"))
        finish(search, f"t{number}", configs[-1], value=number % 3)
    assert configs[:5] == [{**config, "image_size": 32} for config in ranking.configs[:5]]
    handed = [configs[i] for i in (2, 1, 4, 0, 3)]
    assert configs[5:] == [{**config, "image_size": 64} for config in handed]
    narrowing = searcher(HyperStarSearcher(ranking=ranking), space="mobilenet-v2", trials=(8, 8, 8), hand_on=2)
    keys = set()
    for number in range(24):
        config = narrowing.suggest(f"t{number}")
        keys.add(tuple(sorted(config.items())))
        finish(narrowing, f"t{number}", config, value=config["lr"])
    assert len(keys) == 24  # a configuration that was handed on is not dealt again in its stage


# -- schedulers --------------------------------------------------------------------------------------------------------


def played(scheduler, search, max_epochs=9, workers=3):
    controller = VirtualController(
        MadeUpCurves(score, max_epochs, metric="acc", seed=1), search, scheduler, n_workers=workers, n_queued=1
    )
    controller.run()
    assert not controller.stalled
    return controller


@pytest.mark.parametrize("inner", [RandomSearcher, OptunaSearch])
@pytest.mark.parametrize("kind", [FIFOScheduler, ASHAScheduler])
def test_a_stage_ends_when_its_trials_have_ended(kind, inner):
    scheduler = kind() if kind is FIFOScheduler else kind(time_attr="training_iteration", max_t=9, grace_period=1)
    scheduler.set_search_properties("acc", "max")
    controller = played(scheduler, searcher(inner()))
    assert sizes(trial.config for trial in controller.get_trials()) == [16] * 12 + [32] * 8 + [64] * 4
    order = [controller.curves._configs[row]["image_size"] for row, *_ in controller.segments]
    assert order == sorted(order)


@pytest.mark.parametrize(
    "plan", [HyperBandPlan(9, epoch_budget=200), RacePlan(9, epoch_budget=200)], ids=["bands", "race"]
)
@pytest.mark.parametrize("inner", [RandomSearcher, OptunaSearch])
def test_brackets_have_one_size_each(inner, plan):
    search = searcher(inner(), trials=None)
    run = VirtualRun(PlanScheduler(plan), search, curve=score).run()
    assert run.scheduler.spent_epochs == 200
    by_id = {trial.trial_id: trial.config["image_size"] for trial in run.trials}
    of_brackets = {}
    for record in run.scheduler.rungs:
        of_brackets.setdefault(record.bracket, set()).update(by_id[i] for i in record.trial_ids)
    assert all(len(found) == 1 for found in of_brackets.values())
    order = [found.pop() for found in of_brackets.values()]
    assert order == sorted(order)
    assert set(order) == {16, 32, 64}
    raced = [by_id[record.trial_ids[0]] for record in run.scheduler.rungs if len(record.trial_ids) == 2]
    assert raced == ([16, 32, 64] if isinstance(plan, RacePlan) else [])


def test_a_stage_of_brackets_goes_on_after_its_searcher_is_used_up():
    search = searcher(RandomSearcher(), space={"x": tune.choice([0.1, 0.5, 0.7, 0.9])}, trials=None, narrow=None)
    run = VirtualRun(PlanScheduler(HyperBandPlan(9, epoch_budget=150)), search, curve=score).run()
    assert {trial.config["image_size"] for trial in run.trials} == {16, 32, 64}
    assert run.scheduler.finished


def test_a_stage_takes_whole_brackets_and_leaves_one_for_those_after_it():
    plan = HyperBandPlan(9)  # brackets of 9, 5 and 3 configurations
    assert brackets_per_stage(plan, 3, None) == (1, 2, 3)
    assert brackets_per_stage(HyperBandPlan(9, epoch_budget=10 * plan.epoch_budget), 3, None) == (15, 25, 30)
    assert brackets_per_stage(plan, 2, (10, 1)) == (2, 3)
    in_seconds = RacePlan(9, seconds_budget=100)
    assert brackets_per_stage(in_seconds, 3, (4, 2, 2)) == (3, 4, 5)
    with pytest.raises(SearchError, match="epoch_budget, but got one of 100 s; pass trials="):
        brackets_per_stage(in_seconds, 3, None)
    with pytest.raises(SearchError, match="3 sizes need a budget that reaches as many brackets, but 20 epochs reach 1"):
        brackets_per_stage(HyperBandPlan(9, epoch_budget=20), 3, None)


def test_every_stage_begins_with_a_race_of_its_own():
    plan = RacePlan(8, epoch_budget=3 * 10 + 8 * 8)  # three races of 10 epochs, and eight configurations to 8
    assert brackets_per_stage(plan, 3, None) == (6, 9, 11)  # 2 + 5, 2 + 2 and 2 + 1 trials
    assert brackets_per_stage(plan, 3, (2, 2, 2)) == (1, 2, 3)
    assert brackets_per_stage(plan, 3, (99, 1, 1)) == (9, 10, 11)
    with pytest.raises(SearchError, match="3 sizes need a budget that reaches as many brackets, but 20 epochs reach 2"):
        brackets_per_stage(RacePlan(8, epoch_budget=20), 3, None)


def test_a_budget_without_room_for_the_stages_ends_the_run_with_one_line():
    with pytest.raises(SearchError, match="reaches as many brackets"):
        VirtualRun(PlanScheduler(HyperBandPlan(9, epoch_budget=20)), searcher(trials=None), curve=score).run()


# -- saving ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", [RandomSearcher, OptunaSearch])
@pytest.mark.parametrize("n_before", [0, 1, 7, 12, 13, 17, 20, 23])
def test_a_kill_inside_a_stage_or_between_two_loses_nothing(tmp_path, n_before, inner):
    def make(seed):
        return searcher(inner(seed=seed))

    search = make(1)
    configs = drawn(search, n_before)
    if n_before < 24:
        configs.append(search.suggest("live"))
    search.save(str(tmp_path / "state"))
    restored = make(1)
    restored.restore(str(tmp_path / "state"))
    for one in (search, restored):
        if n_before < 24:
            finish(one, "live", configs[-1])
    expected, got = ([*drawn_from(one, n_before + 1)] for one in (search, restored))
    assert expected == got
    assert sizes(configs + got) == [16] * 12 + [32] * 8 + [64] * 4


def drawn_from(search, first):
    number = first
    while (config := search.suggest(f"t{number}")) != Searcher.FINISHED:
        finish(search, f"t{number}", config)
        yield config
        number += 1


@pytest.mark.parametrize("n_steps", [5, 40, 90, 130])
def test_a_killed_run_of_brackets_goes_on(n_steps):
    plan = HyperBandPlan(9, epoch_budget=120)
    run = VirtualRun(PlanScheduler(plan), searcher(trials=None), curve=score).play(n_steps)
    after = run.restored(run.save(), PlanScheduler(plan), searcher(trials=None))
    after.run()
    assert after.scheduler.spent_epochs == 120
    assert sizes(trial.config for trial in after.trials) == sorted(sizes(trial.config for trial in after.trials))


def test_a_finite_space_ends_its_stage_early(caplog):
    search = searcher(space={"x": tune.choice([0.1, 0.5, 0.7])}, narrow=None, hand_on=1)
    assert sizes(drawn(search)) == [16] * 3 + [32] * 3 + [64] * 3
    assert "no further configuration for 16 pixels after 3 trials" in caplog.text


def test_one_size_is_one_stage_and_narrows_nothing():
    search = searcher(space={"x": tune.choice([0.5])}, sizes=(32,), trials=4)
    assert sizes(drawn(search)) == [32]
    assert search.stages == []


def test_narrowing_can_be_tuned():
    search = searcher(narrow=Narrowing(good_share=0.5, widening=0, least_share=0))
    configs = drawn(search, 20)
    half = sorted(c["x"] for c in sorted(configs[:12], key=score, reverse=True)[:6])
    assert all(half[0] <= config["x"] <= half[-1] for config in configs[12:])
