"""A space of one's own for a run of ``hyperstar tune``."""

import json

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float, InCondition

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.finetune import FineTuneSettings
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tuning.options import TuneOptions
from hyperstar_tune.tuning.own_space import searched_space, trainable_space, usual_values

SETTINGS = FineTuneSettings(model="mobilenetv2_100", weights="none", image_size=96, batch_size=16)


@pytest.fixture(scope="module")
def grid_predictor():
    return Predictor.load("mobilenet-v2-64px")


def conditional():
    space = ConfigurationSpace(name="mine")
    layers, decay = Categorical("layers", ["head", "all"]), Float("layer_decay", (0.7, 1.0))
    space.add(layers, Float("lr", (1e-4, 1e-2), log=True), decay, InCondition(decay, layers, ["all"]))
    return space


def test_what_the_predictor_goes_by_has_its_usual_value_in_every_configuration(grid_predictor):
    space = trainable_space(SearchSpace(conditional()), grid_predictor, SETTINGS)
    assert set(space.parameters) == {"layers", "lr", "layer_decay", "optimizer", "augmentation"}
    drawn = space.draw(30, seed=0)
    assert {(config["optimizer"], config["augmentation"]) for config in drawn} == {("sgd", "basic")}
    assert {("layer_decay" in config) for config in drawn if config["layers"] == "head"} == {False}
    listed = SearchSpace(conditional(), "listed", [{"layers": "head", "lr": 1e-3}])
    kept = [{"layers": "head", "lr": 1e-3, "optimizer": "sgd", "augmentation": "basic"}]
    assert [dict(sorted(c.items())) for c in trainable_space(listed, grid_predictor, SETTINGS).grid()] == [
        dict(sorted(c.items())) for c in kept
    ]
    whole = grid_predictor.space
    assert trainable_space(whole, grid_predictor, SETTINGS) is whole


def test_usual_values_are_those_of_the_run():
    usual = usual_values(SETTINGS)
    assert (usual["image_size"], usual["batch_size"], usual["mixup"]) == (96, 16, 0.0)
    assert "weight_decay" not in usual  # it depends on the optimizer
    assert usual_values()["image_size"] == 64


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"lr": [0.1], "n_trees": [1, 2]}, "'n_trees'"), ({"lr": [0.1], "layers": ["stem"]}, "'stem'")],
)
def test_what_cannot_be_trained_is_refused_before_the_run(grid_predictor, values, reason):
    with pytest.raises(SpaceError, match=reason):
        trainable_space(SearchSpace.from_values(values), grid_predictor, SETTINGS)


def test_a_run_keeps_its_space(grid_predictor, tmp_path):
    space = SearchSpace(conditional(), "mine")
    asked = TuneOptions(task="x", epochs=9, weights="own", space=json.loads(json.dumps(space.to_json())))
    asked.save(tmp_path)
    kept = TuneOptions.load(tmp_path)[0]
    assert kept == asked
    assert SearchSpace.from_json(kept.space).fingerprint == space.fingerprint
    searched = searched_space(kept, grid_predictor)
    assert {"layers", "lr", "layer_decay"} < set(searched.parameters)
    assert searched_space(TuneOptions(task="x", epochs=9, weights="own"), grid_predictor) is grid_predictor.space
