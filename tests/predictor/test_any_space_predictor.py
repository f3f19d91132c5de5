"""A predictor that ranks any space, from tables to a search."""

import json
import pickle

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float, InCondition, Integer
from made_up_table import make_table
from ray import tune
from safetensors.torch import load_file
from striped_world import SPACE
from virtual_run import VirtualRun

from hyperstar_tune import HyperStarSearcher, PlanScheduler, RacePlan
from hyperstar_tune.errors import PredictorError, SpaceError
from hyperstar_tune.predictor import AnySpacePredictor, Predictor, extend_plus, train_any_space
from hyperstar_tune.predictor.artifact import write_artifact
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.space import SearchSpace

SETTINGS = PlusSettings(traits=("sharpness", "brightness"), penalty=1.0)  # of striped_world
HELD = {"layers": "all", "augmentation": "none", "weight_decay": 1e-4}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr("hyperstar_tune.predictor.any_space_predictor._N_DRAWN", 5000)


@pytest.fixture(scope="module")
def trained(world):
    table = world.table.subset(range(2, 10))
    return train_any_space([table], world.tasks, SETTINGS, held=HELD, name="any", about={"licence": "none"})


@pytest.fixture
def saved(trained, tmp_path):
    trained.save(tmp_path / "any")
    return tmp_path / "any"


def users_space():
    """Ranges, a condition, a parameter that nobody has measured, and none of augmentation."""
    space = ConfigurationSpace(name="mine")
    layers, depth = Categorical("layers", ["head", "all"]), Integer("depth", (1, 9))
    space.add(layers, Float("lr", (1e-4, 1.0), log=True), depth, InCondition(depth, layers, ["all"]))
    return SearchSpace(space)


def test_a_loaded_one_ranks_exactly_like_the_saved_one(trained, saved, world):
    loaded = Predictor.load(saved)
    assert isinstance(loaded, AnySpacePredictor)
    task = world.tasks["striped0"]
    assert loaded.rank(task) == trained.rank(task)
    assert loaded.rank_space(task, users_space()) == trained.rank_space(task, users_space())
    assert loaded.card == trained.card
    assert (loaded.name, loaded.card["method"], loaded.card["licence"]) == ("any", "any_space", "none")
    assert set(loaded.rank(task).configs[0]) == set(SPACE.parameters)
    assert len(loaded.rank(task)) == len(SPACE)


def test_images_decide_in_a_space_that_no_table_has(trained, world):
    first = {kind: trained.rank_space(world.tasks[kind], users_space()) for kind in ("striped0", "smooth1")}
    assert first["striped0"].configs[0]["layers"] == "all"
    assert first["striped0"].configs[0]["lr"] > 0.05
    assert first["smooth1"].configs[0]["layers"] == "head"
    assert first["smooth1"].configs[0]["lr"] < 0.002
    for ranking in first.values():
        assert len(ranking) == 1000
        assert all(("depth" in config) == (config["layers"] == "all") for config in ranking.configs)
        assert ranking.notes == (
            "Drawn at random, because any does not know them: depth",
            "Beyond what was measured: lr outside 0.001 to 0.1 counts as the nearer of these",
            "Held, because the space does not have them: augmentation=none",
        )
        assert ranking.share == 1
        assert len(ranking.known_tasks) == len(ranking.falls[0]) == 8
        assert min(ranking.costs) > 0
        assert min(ranking.spread) > 0


def test_the_best_of_many_draws_is_as_good_as_the_best_there_is(trained, world):
    traits = trained.model.known[0] * trained.model.scale + trained.model.shift
    space = users_space()
    best = trained.best_of_draws(traits, space, {}, 20_000, seed=0)
    assert len(best) == 1000
    scores, _ = trained.scores(traits, best)
    anywhere, _ = trained.scores(traits, space.draw(2000, seed=5))
    assert scores[0] > anywhere.max() - 0.02
    assert scores.min() > np.median(anywhere)
    assert trained.best_of_draws(traits, space, {}, 20_000, seed=0) == best


def test_values_that_are_fixed_beside_the_space_count(trained, world):
    space = SearchSpace.from_values({"lr": [0.001, 0.1]})
    for layers, best in (("head", 0.001), ("all", 0.001)):
        ranking = trained.rank_space(world.tasks["smooth1"], space, {"layers": layers, "elsewhere": 3})
        assert ranking.configs[0] == {"layers": layers, "lr": best}
    scores = [
        trained.rank_space(world.tasks["smooth1"], space, {"layers": layers}).scores[0] for layers in ("head", "all")
    ]
    assert scores[0] > scores[1]


def test_a_searcher_takes_it_for_the_space_of_a_runs_config(saved, world, caplog):
    searcher = HyperStarSearcher(task=world.tasks["striped0"], predictor=saved)
    config = {"model": {"lr": tune.loguniform(1e-3, 1e-1), "depth": tune.randint(1, 5)}, "layers": "all"}
    searcher.set_search_properties("acc", "max", config)
    assert any("does not know them: depth" in message for message in caplog.messages)
    first = [searcher.suggest(f"t{i}")["model"] for i in range(3)]
    assert all(set(each) == {"lr", "depth"} for each in first)
    assert max(each["lr"] for each in first) > 0.05
    with pytest.raises(SpaceError, match="none of the parameters depth"):
        HyperStarSearcher(task=world.tasks["striped0"], predictor=saved, space={"depth": tune.randint(1, 5)})


def test_what_it_says_of_a_task_can_be_asked_without_images_or_network(trained, world):
    task, space = world.tasks["striped0"], users_space()
    said = pickle.loads(pickle.dumps(trained.for_task(task, space, {"augmentation": "none", "elsewhere": 3})))
    ranking = trained.rank_space(task, space, {"augmentation": "none", "elsewhere": 3})
    configs = [{name: c[name] for name in space.parameters if name in c} for c in ranking.configs[:50]]
    assert said.scores(configs) == pytest.approx(np.array(ranking.scores[:50]))
    assert said.costs(configs) == pytest.approx(np.array(ranking.costs[:50]), rel=1e-4)
    places = said.points([{"layers": "all", "lr": 0.01, "depth": depth} for depth in (1, 9)])
    assert np.abs(places[0] - places[1]).max() > 0  # nobody has measured it, but results of the run may tell of it
    assert Predictor.for_task(trained, task, space, {}) is None  # other methods


@pytest.mark.parametrize("learn", [True, False])
def test_a_searcher_learns_from_the_run_in_a_space_that_cannot_be_listed(trained, world, learn):
    for space, learns in ((users_space(), learn), (SearchSpace.from_values({"lr": [0.001, 0.01, 0.1]}), False)):
        searcher = HyperStarSearcher(task=world.tasks["striped0"], predictor=trained, space=space, learn=learn)
        run = VirtualRun(PlanScheduler(RacePlan(4, 16)), searcher, curve=lambda config, epoch: config["lr"] + epoch)
        run.run()
        assert (searcher.learner is not None) == learns


def test_several_tables_are_learned_from_together(world):
    table = world.table.subset(range(2, 10))
    other = make_table(n_tasks=3)
    traits = {name: np.array([0.1 * i, 0.2]) for i, name in enumerate([*table.tasks["name"], *other.tasks["name"]])}
    both = AnySpacePredictor.fit_tables([table, other], traits.__getitem__, SETTINGS, HELD)
    assert set(both.parameters) == {"lr", "layers", "augmentation", "optimizer"}
    assert both.space.parameters == SPACE.parameters
    assert len(both.card["tasks"]) == len(both.model.known) == 11
    assert len(both.known.names) == 11
    assert both.known.falls.shape == (11, len(SPACE) + 48)
    configs = [{"lr": 0.01, "layers": "all", "optimizer": optimizer} for optimizer in ("sgd", "adamw", "lamb")]
    scores, _ = both.scores(traits["task0"], configs)
    assert len(set(np.round(scores, 6))) == 3
    with pytest.raises(PredictorError, match="needs a table"):
        AnySpacePredictor.fit_tables([], traits.__getitem__, SETTINGS, {})


def test_what_traits_moved_adds_up_to_the_ranking(trained, world):
    task = world.tasks["striped0"]
    ranking = trained.rank_space(task, SearchSpace.from_values({"lr": [0.001, 0.003, 0.1], "depth": [1, 2]}))
    effects = trained.explain(task, ranking.configs)
    average = trained.scores(trained.model.shift, ranking.configs)[0]
    assert np.array(ranking.scores) == pytest.approx(average + np.sum([effect.moved for effect in effects], axis=0))


def rewrite(directory, tensors=None, **changes):
    card = json.loads((directory / "card.json").read_text())
    write_artifact(directory, card | changes, tensors or load_file(directory / "weights.safetensors"))


@pytest.mark.parametrize(
    "change",
    [
        {"kernel": {"pairs": -1.0, "near": 1.0}},
        {"kernel": {"pairs": "much", "near": 1.0}},
        {"kernel": {"pairs": 1.0}},
        {"kernel": {"pairs": 1.0, "near": 1.0, "weights": [1.0]}},
        {"kernel": {"pairs": 1.0, "near": 1.0, "weights": [0.0] * 8}},
        {"kernel": {"pairs": 1.0, "near": 1.0, "weights": 3}},
        {"spaces": []},
        {"spaces": [SearchSpace.from_name("mobilenet-v2").to_json()]},
        {"held": 3},
        {"traits": ["sharpness"]},
        {"tasks": []},
        {"method": "hyperstar_plus"},
    ],
)
def test_a_card_that_does_not_go_with_its_tensors_is_refused(saved, change):
    rewrite(saved, **change)
    with pytest.raises(PredictorError, match="no sound predictor") as error:
        Predictor.load(saved)
    assert "\n" not in str(error.value)


def test_one_that_was_saved_before_parameters_had_weights_still_ranks(saved, world):
    rewrite(saved, kernel={"pairs": 0.5, "near": 1.0})
    assert len(Predictor.load(saved).rank_space(world.tasks["striped0"], users_space())) == 1000


@pytest.mark.parametrize("name", ["mean", "slopes", "error", "encoded", "known.encoded"])
def test_a_tensor_of_another_shape_is_refused(saved, name):
    tensors = load_file(saved / "weights.safetensors")
    rewrite(saved, {**tensors, name: tensors[name][..., :-1].contiguous()})
    with pytest.raises(PredictorError, match="no sound predictor"):
        Predictor.load(saved)


def test_it_cannot_be_extended_as_a_grid_can(trained, world):
    with pytest.raises(PredictorError, match="only a HyperSTAR\\+ predictor can be extended"):
        extend_plus(trained, world.table, world.tasks)
