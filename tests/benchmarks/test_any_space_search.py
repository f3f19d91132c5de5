"""Searches of a space of ranges on a surrogate of its table, in a made-up world in which it is known what holds."""

import json
from dataclasses import replace

import any_space_search
import numpy as np
import pandas as pd
import pytest
from any_space_search import beside_by_hand, common_part, hand_curves, is_whole, kept_or_made, timed
from ConfigSpace import ConfigurationSpace, InCondition
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
)
from scoreboard import any_space_rivals, doc_any_space
from scoreboard.any_space_rivals import RIVALS, Case, with_defaults
from scoreboard.equal_seconds import above, of_families, wanted
from scoreboard.table_surrogate import Seconds, SurrogateCurves, TaskSurrogate

from hyperstar_tune import MetaDataset, SearchSpace
from hyperstar_tune.comparison.by_hand import BY_HAND
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import config_key

EPOCHS = np.array([1, 2, 4, 8])
NAMES = ("one", "two", "three", "four")
NOISE = 0.01


def _space():
    space = ConfigurationSpace(name="ranges")
    layers = CategoricalHyperparameter("layers", ["head", "last_stage", "all"])
    decay = UniformFloatHyperparameter("layer_decay", 0.7, 1.0)
    space.add(layers, UniformFloatHyperparameter("lr", 1e-4, 1e-2, log=True), Constant("optimizer", "adamw"))
    space.add(OrdinalHyperparameter("image_size", [64, 96]), Constant("augmentation", "basic"), decay)
    space.add(InCondition(decay, layers, ["last_stage", "all"]))
    return SearchSpace(space, "ranges")


SPACE = _space()
CONFIGS = SPACE.sample(64, 0)


def truth(config, task):
    """Accuracies at the measured epochs."""
    best = 0.5 + 0.4 * (config["layers"] == "all") - 0.1 * abs(np.log10(config["lr"]) + 3) - 0.02 * task
    return best * (1 - np.exp(-EPOCHS / 2))


def epoch_seconds(config, images):
    return images * (2 if config["image_size"] == 96 else 1) / 100


def _table(space, configs, noise=NOISE, seeds=1, numbers=0):
    random = np.random.default_rng(numbers)
    objectives = MetaDataset.objectives
    evaluations = np.full((len(NAMES), len(configs), seeds, 4, len(objectives)), 0.5)
    images = [100 * (1 + task) for task in range(len(NAMES))]
    for task in range(len(NAMES)):
        curves = np.array([truth(config, task) for config in configs])[:, None] + np.zeros((1, seeds, 1))
        for name, level in (("val_accuracy", 0.03), ("val_accuracy_b", -0.03)):
            noisy = curves + level + noise * random.normal(size=curves.shape)
            evaluations[task, :, :, :, objectives.index(name)] = np.clip(noisy, 0, 1)
        seconds = np.array([epoch_seconds(config, images[task]) for config in configs])
        evaluations[task, :, :, :, objectives.index("epoch_seconds")] = seconds[:, None, None]
    about = {"location": "", "classes": 2, "n_val": 0, "licence": "", "image_hash": ""}
    tasks = pd.DataFrame([{"name": n, "family": n, "n_train": i, **about} for n, i in zip(NAMES, images, strict=True)])
    schedule = "settling over the last 3/8, one warm-up epoch"
    return MetaDataset(space, configs, EPOCHS, evaluations, tasks, Fingerprint(schedule=schedule, protocol=2))


TABLE = _table(SPACE, CONFIGS)
HAND = _table(
    SearchSpace(
        ConfigurationSpace({name: sorted({c[name] for c in BY_HAND.values()}) for name in BY_HAND["tutorial_sgd"]}),
        "by hand",
        list(BY_HAND.values()),
    ),
    list(BY_HAND.values()),
    noise=0,
)
TRAITS = {name: np.full(3, float(place)) for place, name in enumerate(NAMES)}
SECONDS = Seconds(TABLE)
SURROGATE = TaskSurrogate(TABLE, "one", SECONDS)


def case_of(task="one", table=TABLE):
    others = [name for name in NAMES if name != task]
    return Case(TaskSurrogate(table, task, SECONDS), table.only(others), 100, hand_curves(HAND, task), TRAITS)


def cut(table, evaluations):
    return replace(table, evaluations=evaluations)


def test_a_surrogate_knows_configurations_that_it_was_not_shown():
    assert SURROGATE.left_out_r2() > 0.8
    fresh = SPACE.sample(50, 1)
    off = [SURROGATE.expected(config)[0] - truth(config, 0) for config in fresh]
    assert np.abs(np.mean(off, axis=0) - np.array([[0.03], [-0.03]])).max() < 0.02
    assert np.std(off, axis=0).max() < 0.06


def test_a_surrogate_of_a_task_learns_nothing_from_other_tasks():
    evaluations = TABLE.evaluations.copy()
    evaluations[1:, ..., 0] = 0.1
    alone = TaskSurrogate(cut(TABLE, evaluations), "one", SECONDS)
    for config in SPACE.sample(5, 2):
        np.testing.assert_array_equal(alone.expected(config)[0], SURROGATE.expected(config)[0])


def test_seconds_are_learned_from_all_tasks_per_image():
    evaluations = TABLE.evaluations.copy()
    evaluations[2, ..., 5] = np.nan  # three times the images of the first task, and never timed
    seconds = Seconds(cut(TABLE, evaluations))
    for config in SPACE.sample(5, 3):
        assert seconds.of("three", config) == pytest.approx(epoch_seconds(config, 300), rel=0.35)
    assert seconds.left_out_r2() > 0.8
    whole = timed(cut(TABLE, evaluations), seconds)
    assert whole.measured.all()
    with pytest.raises(ValueError, match="no cell of this one was timed"):
        Seconds(cut(TABLE, np.where(np.arange(6) == 5, np.nan, TABLE.evaluations)))


def test_noise_of_halves_is_as_large_as_their_difference():
    noise = SURROGATE.noise[:, 0]
    assert SURROGATE.noise_from == "halves"
    assert noise.std() == pytest.approx(NOISE, rel=0.1)
    assert np.abs(noise.mean(axis=0)).max() < 1e-9
    assert SURROGATE.noise_points() == pytest.approx(100 * NOISE, rel=0.2)


def test_noise_comes_from_second_seeds_where_there_are_enough():
    twice = _table(SPACE, CONFIGS, noise=0, seeds=2)
    lucky = np.where(np.arange(64) % 2, 0.02, -0.02)[:, None]
    for objective in (0, 2):  # both halves of the second seed
        twice.evaluations[0, :, 1, :, objective] += lucky
    surrogate = TaskSurrogate(twice, "one", SECONDS)
    assert surrogate.noise_from == "second seeds"
    np.testing.assert_allclose(np.abs(surrogate.noise), 0.02 / np.sqrt(2), atol=1e-6)
    twice.evaluations[0, 7:, 1] = np.nan
    assert TaskSurrogate(twice, "one", SECONDS).noise_from == "halves"


def test_a_configuration_keeps_its_curve_within_a_run_and_halves_change_roles():
    curves, other = SurrogateCurves(SURROGATE, seed=3), SurrogateCurves(SURROGATE, seed=3, swapped=True)
    first, second = SPACE.sample(2, 4)
    assert [curves.row(config) for config in (first, second, dict(first))] == [0, 1, 0]
    assert [other.row(config) for config in (first, second)] == [0, 1]
    np.testing.assert_array_equal(curves.accuracy, other.accuracy_b)
    assert curves.accuracy.shape == (2, 8)
    np.testing.assert_array_equal(curves.accuracy[:, 2], curves.accuracy[:, 1])  # epoch 3 holds what epoch 2 had
    assert curves.result(1, 8)["val_accuracy"] == curves.accuracy[1, 7]
    assert curves.end_seconds[0, 8] == pytest.approx(8 * SURROGATE.expected(first)[1])
    assert curves.settles


@pytest.mark.parametrize("method", [name for name in RIVALS if name not in ("smac", "bohb", "tpe_brackets")])
def test_every_method_ends_at_its_seconds_with_an_accuracy(method, monkeypatch):
    monkeypatch.setattr(any_space_rivals, "_N_DRAWN", 2000)
    case = case_of()
    assert RIVALS[method].lacks(case) == ""
    run = RIVALS[method].run(case, 0, 30.0)
    assert 0.3 < run.incumbent.accuracy_b[run.incumbent.at_seconds(np.array([30.0]))[0]] < 1
    assert run.seconds < 30 + 2 + 1e-6  # no epoch takes longer


def test_a_ranking_of_any_space_beats_random_search_and_never_sees_the_own_family(monkeypatch):
    monkeypatch.setattr(any_space_rivals, "_N_DRAWN", 500)
    case = case_of()
    assert set(case.predictor.known.names) == {"two", "three", "four"}
    budget = np.array([12.0])

    def mean(method):
        runs = [RIVALS[method].run(case, seed, budget[0]).incumbent for seed in range(2)]
        return np.mean([best.accuracy_b[best.at_seconds(budget)[0]] for best in runs])

    assert mean("any_space") > mean("random") + 0.05


def test_after_its_race_the_ranking_gives_way_to_what_the_run_has_learned(monkeypatch):
    monkeypatch.setattr(any_space_rivals, "_N_DRAWN", 500)
    case, seconds = case_of(), 60.0
    learned, static = (
        RIVALS[name].run(case, 0, seconds).curves.configs for name in ("any_space_learning", "any_space")
    )
    assert learned[:2] == static[:2]
    assert learned[3:] != static[3 : len(learned)]
    ranked = [config_key(config) for config in case.any_space(0, images=True).configs]
    assert any(config_key(config) not in ranked for config in learned)


def test_without_traits_only_what_looks_at_images_is_left_out():
    case = replace(case_of(), traits={name: TRAITS[name] for name in ("one", "two")})
    assert RIVALS["any_space"].lacks(case) == "traits of three, four"
    assert RIVALS["any_space_no_images"].lacks(case) == ""
    assert RIVALS["expert"].lacks(replace(case, by_hand=None)) == "curves by hand of this task"


def test_what_a_person_types_runs_on_the_surrogate_too():
    case, budget = case_of(), np.array([1000.0])
    for method, best in (("expert", "untuned_default"), ("untuned_default_96px", "untuned_default_96px")):
        run = RIVALS[f"{method}_on_surrogate"].run(case, 0, budget[0])
        last = case.surrogate.expected(with_defaults(BY_HAND[best], case.space))[0][1, -1]
        assert run.incumbent.accuracy_b[-1] == pytest.approx(last, abs=4 * NOISE)
        assert len(run.trials) == 1 + (method == "expert")
    with pytest.raises(SpaceError, match="optimizer"):
        with_defaults(BY_HAND["tutorial_sgd"], case.space)


def test_each_regression_says_how_much_it_explains():
    explains = any_space_search.explained(TABLE, ["one"], SECONDS)
    assert {kind: list(of) for kind, of in explains.items()} == {"trees": ["one"], "process": ["one"]}
    assert 0.8 < explains["trees"]["one"] < explains["process"]["one"] < 1  # this world is smooth


def test_what_a_person_types_is_held_against_the_surrogate():
    points, seconds = beside_by_hand(case_of())  # the tutorial's SGD is not in the space, and does not count
    assert abs(points) < 2
    assert seconds == pytest.approx(1, abs=0.1)
    lifted = HAND.evaluations.copy()
    lifted[..., [0, 2]] += 0.05
    lifted[..., 5] *= 3
    case = replace(case_of(), by_hand=hand_curves(cut(HAND, lifted), "one"))
    assert beside_by_hand(case) == pytest.approx((points + 5, 3 * seconds), abs=0.01)
    assert beside_by_hand(replace(case, by_hand=None)) is None


def test_methods_learn_from_what_all_tasks_have():
    evaluations = TABLE.evaluations.copy()
    evaluations[0, 40:] = evaluations[1, 50:] = np.nan
    evaluations[3, 20:] = np.nan  # too few to count
    common = common_part(cut(TABLE, evaluations), NAMES)
    assert common.tasks["name"].tolist() == ["one", "two", "three"]
    assert common.configs == CONFIGS[:40]
    evaluations[1, 25:] = np.nan  # with it, only 25 configurations would be left to all three
    assert common_part(cut(TABLE, evaluations), NAMES).tasks["name"].tolist() == ["one", "three"]
    assert any_space_search.judged_rows(cut(TABLE, evaluations), NAMES).tolist() == [0, 1, 2]
    assert not is_whole(TABLE)
    with pytest.raises(SystemExit, match="no task of the table has 24"):
        common_part(cut(TABLE, evaluations), ["four"])


def test_a_run_is_made_once_for_the_same_table(tmp_path):
    made = []
    path = tmp_path / "random" / "one" / "0.json"
    for origin in ("a", "a", "b"):
        assert kept_or_made(path, origin, lambda: made.append("run") or {"1": 0.5}) == {"1": 0.5}
    assert len(made) == 2
    assert json.loads(path.read_text()) == {"origin": "b", "found": {"1": 0.5}}


def test_families_weigh_alike_and_few_of_them_give_no_interval():
    families = {"a": "x", "b": "x", "c": "y"}
    assert of_families({"a": 1.0, "b": 3.0, "c": 5.0}, families) == {
        "mean": 3.5,
        "low": None,
        "high": None,
        "families": 2,
    }
    many = of_families({str(n): float(n) for n in range(6)}, {str(n): str(n) for n in range(6)})
    assert 0 < many["low"] < 2.5 < many["high"] < 5


def test_a_goal_is_held_against_the_hardest_rival_at_its_budget():
    def repeats(*values):
        return {"t": dict(zip(("1", "2", "4.5", "16"), ([value] for value in values), strict=True))}

    ours, families = repeats(0.80, 0.82, 0.85, 0.85), {"t": "t"}
    rivals = {"expert": repeats(0.78, 0, 0.79, 0), "expert_96px": repeats(0.795, 0, 0.78, 0)}
    goals = wanted({name: above(ours, theirs, families) for name, theirs in rivals.items()})
    at_r, later = (goals[f"above the expert's race at {budget} R"] for budget in ("1", "4.5"))
    assert (at_r["rival"], at_r["met"]) == ("expert_96px", False)
    assert at_r["reached"]["mean"] == pytest.approx(0.5)
    assert (later["rival"], later["met"]) == ("expert", True)
    assert later["reached"]["mean"] == pytest.approx(6)


def test_the_page_says_how_much_of_the_table_the_figures_rest_on(tmp_path, monkeypatch):
    monkeypatch.setattr(doc_any_space, "RESULTS", tmp_path)
    assert doc_any_space.search() == doc_any_space.search_goals() == "Not run yet: the table has too few tasks.\n"
    figure = {"mean": 71.26, "low": 70, "high": 73.5}
    goal = {"at_least": 1, "reached": {"mean": 0.26, "low": None}, "rival": "expert", "met": False}
    data = {
        "table": {"name": "made-up.collection"},
        "complete": False,
        "used": {"tasks": 3, "families": 2, "learned_from": 25},
        "surrogate": {"r2": {"mean": 0.613}, "by_task": {n: {"configurations": n} for n in (25, 30, 99)}},
        **{"block": "development families", "seeds": 4, "budgets": [1.0, 4.5]},
        "methods": {
            name: {"label": name, "accuracy": {"1": figure, "4.5": figure}} for name in ("any_space", "expert")
        },
        "goals": {"any_space": {"above the expert's race at 1 R": goal}},
        "above": {"any_space": {"any_space_no_images": {"1": {"mean": 0.31, "low": -0.5, "high": 1.04}}}},
    }
    data["methods"]["any_space_no_images"] = {"label": "no images", "accuracy": {"1": figure, "4.5": figure}}
    (tmp_path / "any_space.json").touch()
    monkeypatch.setattr(doc_any_space, "committed", lambda name: data)
    page = doc_any_space.search()
    assert "`made-up` **is not complete yet**. These figures rest on 3 tasks of 2 families" in page
    assert "25 to 99 configurations each, of which all tasks have 25; 4 runs" in page
    assert "explains 61 % of" in page
    assert "| any_space | 71.3 [70.0, 73.5] | 71.3 [70.0, 73.5] |" in page
    goals = doc_any_space.search_goals()
    assert "| any_space | above the expert's race at 1 R | 1 | +0.3 | expert |" in goals
    assert "| any_space | above the same without images at 1 R |  | +0.3 [-0.5, +1.0] | no images |" in goals
