import hashlib
import json

import numpy as np
import pytest
from ConfigSpace import Beta, Categorical, ConfigurationSpace, EqualsCondition, Float, ForbiddenEqualsClause, Integer
from hypothesis import given
from hypothesis import strategies as st

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.space import SearchSpace, config_key, space_names


@pytest.fixture
def mixed():
    space = ConfigurationSpace({"depth": Integer("depth", (1, 9)), "layers": ["head", "all"], "fixed": 3})
    space.add(Float("lr", (1e-5, 1e-1), log=True))
    return SearchSpace(space, "mixed")


@pytest.mark.parametrize(("name", "size"), [("mobilenet-v2", 108), ("shufflenet-v2-x1", 108), ("se-resnext-50", 40)])
def test_the_protocols_spaces_have_their_sizes(name, size):
    space = SearchSpace.from_name(name)
    grid = space.grid()
    assert name in space_names()
    assert len(space) == len(grid) == len({config_key(config) for config in grid}) == size
    encoded = space.encode(grid)
    assert encoded.dtype == np.float32
    assert len({row.tobytes() for row in encoded}) == size


def test_the_encoding_is_one_hot_with_a_logarithmic_coordinate():
    space = SearchSpace.from_values({"lr": [1e-4, 1e-3, 1e-2, 1e-1], "optimizer": ["sgd", "adamw"]})
    row = space.encode([{"optimizer": "adamw", "lr": 1e-3}])[0]
    assert row == pytest.approx([0, 1, 0, 0, 1 / 3, 0, 1])


def test_a_value_between_two_levels_has_a_place_between_them():
    space = SearchSpace.from_values({"lr": [1e-4, 1e-3, 1e-2]})
    low, between, high = space.encode([{"lr": 1e-4}, {"lr": 10**-3.5}, {"lr": 1e-3}])
    assert between == pytest.approx((low + high) / 2)


@given(lr=st.floats(1e-5, 1e-1), depth=st.integers(1, 9), layers=st.sampled_from(["head", "all"]))
def test_every_block_of_a_continuous_encoding_sums_to_one(lr, depth, layers):
    space = ConfigurationSpace({"depth": Integer("depth", (1, 9)), "layers": ["head", "all"]})
    space.add(Float("lr", (1e-5, 1e-1), log=True))
    row = SearchSpace(space).encode([{"lr": lr, "depth": depth, "layers": layers}])[0]
    assert np.isfinite(row).all()
    assert row[0:5].sum() == pytest.approx(1)
    assert row[5] == pytest.approx((depth - 1) / 8)
    assert row[6:8].sum() == 1
    assert row[8:13].sum() == pytest.approx(1)


def test_samples_are_seeded_valid_and_plain(mixed):
    samples = mixed.sample(20, seed=1)
    assert samples == mixed.sample(20, seed=1) != mixed.sample(20, seed=2)
    for config in samples:
        mixed.check(config)
        assert {type(value) for value in config.values()} <= {int, float, str}


def test_samples_of_a_finite_space_are_distinct():
    space = SearchSpace.from_name("se-resnext-50")
    assert len({config_key(config) for config in space.sample(40, seed=0)}) == 40
    with pytest.raises(SpaceError, match="40 configurations, but 41"):
        space.sample(41, seed=0)


def test_json_and_fingerprint_survive_a_round_trip(mixed):
    for space in (mixed, SearchSpace.from_name("mobilenet-v2")):
        again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
        assert again.fingerprint == space.fingerprint
        assert again.name == space.name
        assert again.difference(space) == ""
        assert again.parameters == space.parameters


def test_a_difference_names_the_parameter():
    compact, large = SearchSpace.from_name("mobilenet-v2"), SearchSpace.from_name("se-resnext-50")
    assert compact.fingerprint == SearchSpace.from_name("shufflenet-v2-x1").fingerprint != large.fingerprint
    assert "parameter 'augmentation'" in compact.difference(large)
    extra = SearchSpace.from_values({"momentum": [0.0, 0.9]})
    assert "parameter 'momentum' is only in" in extra.difference(SearchSpace.from_values({"lr": [1, 2]}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"lr": 1e-3, "optimizer": "sgd", "layers": "head"}, "needs parameter 'augmentation'"),
        ({"lr": 1e-3, "optimizer": "sgd", "layers": "head", "augmentation": "basic", "x": 1}, "but got 'x'"),
        ({"lr": 1.0, "optimizer": "sgd", "layers": "head", "augmentation": "basic"}, "'lr' must be .*but got 1.0"),
        ({"lr": "1", "optimizer": "sgd", "layers": "head", "augmentation": "basic"}, "'lr' must be .*but got '1'"),
        ({"lr": 1e-3, "optimizer": "lamb", "layers": "head", "augmentation": "basic"}, "'optimizer' must be one of"),
    ],
)
def test_a_foreign_configuration_is_refused_by_name(config, message):
    space = SearchSpace.from_name("mobilenet-v2")
    with pytest.raises(SpaceError, match=message):
        space.encode([config])
    with pytest.raises(SpaceError, match=message):
        space.check(config)


def test_a_boolean_is_not_the_number_it_equals():
    space = SearchSpace.from_values({"nesterov": [True, False], "warmup": [1, 0]})
    space.check({"nesterov": True, "warmup": 1})
    with pytest.raises(SpaceError, match="'nesterov'"):
        space.check({"nesterov": 1, "warmup": 1})


def test_what_the_encoding_cannot_hold_is_refused():
    forbidding = ConfigurationSpace({"a": ["x", "y"]})
    forbidding.add(ForbiddenEqualsClause(forbidding["a"], "y"))
    with pytest.raises(SpaceError, match="forbid"):
        SearchSpace(forbidding)
    with pytest.raises(SpaceError, match="at least one parameter"):
        SearchSpace(ConfigurationSpace())
    with pytest.raises(SpaceError, match="distinct values"):
        SearchSpace.from_values({"a": [1, 1]})
    with pytest.raises(SpaceError, match="but got 'resnet'"):
        SearchSpace.from_name("resnet")


@pytest.fixture
def conditional():
    """``decay`` means something only where ``layers`` is "all", ``power`` only where ``decay`` does and is "poly"."""
    space = ConfigurationSpace({"layers": ["head", "all"], "decay": ["none", "poly"], "power": (1.0, 3.0)})
    space.add(EqualsCondition(space["decay"], space["layers"], "all"))
    space.add(EqualsCondition(space["power"], space["decay"], "poly"))
    return SearchSpace(space)


def test_a_parameter_that_means_nothing_is_absent_and_encoded_as_zeros(conditional):
    head, poly = {"layers": "head"}, {"layers": "all", "decay": "poly", "power": 2.0}
    encoded = conditional.encode([head, poly, {"layers": "all", "decay": "none"}])
    assert (encoded != 0).sum(axis=1).tolist() == [1, 4, 2]
    assert conditional.active({"power": 2.0, "decay": "poly", "layers": "head"}) == head
    assert all(conditional.active(config) == config for config in conditional.sample(50, seed=0))
    for config in conditional.sample(50, seed=1):
        conditional.check(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"layers": "head", "decay": "none"}, "'decay' means nothing in"),
        ({"layers": "all"}, "needs parameter 'decay'"),
        ({"layers": "all", "decay": "none", "power": 2.0}, "'power' means nothing in"),
        ({"layers": "all", "decay": "poly"}, "needs parameter 'power'"),
    ],
)
def test_a_configuration_has_what_the_conditions_ask_for_and_no_more(conditional, config, message):
    with pytest.raises(SpaceError, match=message):
        conditional.check(config)
    with pytest.raises(SpaceError, match=message):
        conditional.encode([config])


def test_conditions_and_lists_belong_to_the_fingerprint_and_survive_json(conditional):
    plain = ConfigurationSpace({"layers": ["head", "all"], "decay": ["none", "poly"], "power": (1.0, 3.0)})
    assert SearchSpace(plain).fingerprint != conditional.fingerprint
    assert "conditions differ" in conditional.difference(SearchSpace(plain))
    configs = [{"layers": "head"}, {"layers": "all", "decay": "none"}]
    listed = SearchSpace(conditional.configuration_space, listed=configs)
    assert listed.fingerprint != conditional.fingerprint
    assert "listed differ" in listed.difference(conditional)
    again = SearchSpace.from_json(json.loads(json.dumps(listed.to_json())))
    assert again.fingerprint == listed.fingerprint
    assert again.grid() == listed.grid()


def test_a_finite_space_with_conditions_lists_each_configuration_once():
    space = ConfigurationSpace({"layers": ["head", "all"], "decay": ["none", "poly"]})
    space.add(EqualsCondition(space["decay"], space["layers"], "all"))
    grid = SearchSpace(space).grid()
    assert len(grid) == len(SearchSpace(space)) == 3
    assert {"layers": "head"} in grid


def test_a_listed_space_is_finite_and_holds_its_list_alone(mixed):
    configs = mixed.sample(7, seed=3)
    listed = SearchSpace(mixed.configuration_space, listed=configs)
    assert listed.is_finite
    assert len(listed) == 7
    assert listed.grid() == configs
    assert sorted(map(config_key, listed.sample(7, seed=0))) == sorted(map(config_key, configs))
    with pytest.raises(SpaceError, match="distinct"):
        SearchSpace(mixed.configuration_space, listed=[configs[0], configs[0]])
    with pytest.raises(SpaceError, match="distinct"):
        SearchSpace(mixed.configuration_space, listed=[])


def test_the_space_of_protocol_2_lists_the_same_128_configurations_everywhere():
    grid = SearchSpace.from_name("efficientnet-lite0").grid()
    layers = [config["layers"] for config in grid]
    assert len(grid) == 128
    assert layers.count("head") >= 10
    assert layers.count("all") >= 40
    assert {config["image_size"] for config in grid} == {64, 96, 128}
    assert all(
        (name in config) == (config["layers"] != "head") for config in grid for name in ("layer_decay", "batch_norm")
    )
    assert hashlib.sha256(json.dumps(grid, sort_keys=True).encode()).hexdigest()[:16] == "499ee82c69d2986b"


def test_only_a_finite_space_can_be_listed(mixed):
    assert not mixed.is_finite
    with pytest.raises(SpaceError, match="parameter 'depth' is a range"):
        mixed.grid()


def test_beta_and_unordered_categories_work_too():
    space = ConfigurationSpace({"c": Categorical("c", ["a", "b", "z"])})
    space.add(Float("share", (0.0, 1.0), distribution=Beta(2, 3)))
    wrapped = SearchSpace(space)
    assert wrapped.encode(wrapped.sample(5, seed=0)).shape == (5, 3 + 6)


@pytest.mark.parametrize("data", [{}, {"name": "x", "configspace": {"hyperparameters": [{"type": "bogus"}]}}])
def test_damaged_json_is_refused(data):
    with pytest.raises(SpaceError, match="ConfigSpace JSON"):
        SearchSpace.from_json(data)
