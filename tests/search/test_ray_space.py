"""Ray's dict spaces, taken apart and put together."""

import pytest
from ConfigSpace import AndConjunction, ConfigurationSpace, EqualsCondition, GreaterThanCondition, OrConjunction
from ray import tune

from hyperstar_tune import Ranking, SearchSpace
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.predictor.own_space import configs_of
from hyperstar_tune.search import from_ray, to_ray
from hyperstar_tune.search.parts import restrict
from hyperstar_tune.search.ray_space import nest
from hyperstar_tune.search.selection import part_in_space


def test_a_nested_config_gives_parameters_places_and_fixed_entries():
    config = {"train": {"lr": tune.choice([0.1, 0.01]), "epochs": 3}, "kind": tune.choice(["a", "b"]), "seed": 7}
    taken = from_ray(config)
    assert taken.space.parameters == ("kind", "lr")
    assert taken.paths == {"lr": ("train", "lr"), "kind": ("kind",)}
    assert taken.fixed == {"epochs": 3, "seed": 7}
    assert nest({"lr": 0.1, "kind": "b"}, taken.paths) == {"train": {"lr": 0.1}, "kind": "b"}


def test_a_name_that_stands_twice_is_called_by_its_whole_path():
    taken = from_ray({"head": {"lr": tune.choice([1, 2])}, "body": {"lr": tune.choice([3, 4])}})
    assert taken.space.parameters == ("body/lr", "head/lr")
    assert nest({"head/lr": 1, "body/lr": 4}, taken.paths) == {"head": {"lr": 1}, "body": {"lr": 4}}


def test_keys_that_are_no_text_keep_their_places():
    taken = from_ray({1: {"lr": tune.uniform(0, 1)}, 2: {"lr": tune.uniform(0, 1)}, None: 3})
    assert taken.paths == {"1/lr": (1, "lr"), "2/lr": (2, "lr")}
    assert nest({"1/lr": 0.5, "2/lr": 0.1}, taken.paths) == {1: {"lr": 0.5}, 2: {"lr": 0.1}}


def test_two_entries_whose_paths_read_alike_are_refused():
    config = {"a/b": tune.uniform(0, 1), "a": {"b": tune.uniform(0, 1)}, "c": {"b": 1}}
    with pytest.raises(SpaceError, match="'a/b' comes twice"):
        from_ray(config)


def test_a_config_without_a_domain_searches_nothing():
    assert from_ray({"data": "folder", "n": 3}).space is None


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (tune.choice([3, 1, 3]), [3, 1]),
        (tune.randint(5, 6), [5]),
        (tune.choice([True, False]), [True, False]),
        (tune.choice([None, "a"]), [None, "a"]),
    ],
)
def test_listed_domains_become_their_values(domain, values):
    assert [config["x"] for config in from_ray({"x": domain}).space.grid()] == values


@pytest.mark.parametrize(
    ("domain", "lower", "upper", "kind"),
    [
        (tune.uniform(0.5, 2), 0.5, 2, float),
        (tune.loguniform(1e-4, 1e-1), 1e-4, 1e-1, float),
        (tune.randint(1, 5), 1, 4, int),
        (tune.lograndint(1, 100), 1, 99, int),
    ],
)
def test_ranges_keep_their_bounds_in_both_directions(domain, lower, upper, kind):
    space = from_ray({"x": domain}).space
    drawn = [config["x"] for config in space.sample(200, seed=0)]
    assert all(type(value) is kind for value in drawn)
    assert lower <= min(drawn) < max(drawn) <= upper
    assert from_ray(to_ray(space)).space.difference(space) == ""


def test_the_named_spaces_survive_the_round_trip():
    space = SearchSpace.from_name("se-resnext-50")
    assert from_ray(to_ray(space)).space.grid() == space.grid()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"lr": tune.sample_from(lambda _: 1)}, "'lr'.*choice"),
        ({"lr": tune.randn(0, 1)}, "'lr'.*Normal"),
        ({"a": {"lr": tune.grid_search([1, 2])}}, "'a/lr'.*grid_search"),
        ({"lr": [tune.choice([1, 2])]}, "'lr'"),
        ({"net": tune.choice([int, float])}, "'net'.*class 'int'"),
    ],
)
def test_what_cannot_be_ranked_is_refused_by_name(config, message):
    with pytest.raises(SpaceError, match=message):
        from_ray(config)


def test_fixed_values_restrict_a_space():
    space = SearchSpace.from_name("mobilenet-v2")
    part = restrict(space, {"lr": 0.01, "data": "folder"})
    assert len(part) == len(space) // 4
    assert {config["lr"] for config in part.grid()} == {0.01}
    with pytest.raises(SpaceError, match=r"'lr'.*0\.5"):
        restrict(space, {"lr": 0.5})


def test_of_a_list_those_stay_that_agree_with_the_fixed_values():
    space = SearchSpace.from_name("efficientnet-lite0")
    part = restrict(space, {"augmentation": "strong", "image_size": 64})
    agree = [c for c in space.grid() if c["augmentation"] == "strong" and c["image_size"] == 64]
    assert 0 < len(agree) < len(space) == 128
    assert part.grid() == agree
    head = restrict(space, {"layers": "head", "layer_decay": 0.9})
    assert head.grid() == [config for config in space.grid() if config["layers"] == "head"]
    assert {"batch_norm", "head_lr_multiplier", "layer_decay"} == {*space.parameters} - {*head.parameters}
    assert len(head.encode(head.grid())) == len(head)
    with pytest.raises(SpaceError, match=r"fixes \{'lr': 0.00124\}, but no configuration listed in 'eff"):
        restrict(space, {"lr": 0.00124})


def nested_space():
    """``momentum`` needs sgd, ``nesterov`` a momentum above 0, and ``warmup`` either sgd or a high rate."""
    values = {"optimizer": ["sgd", "adamw"], "momentum": [0, 1, 2], "nesterov": ["on", "off"], "warmup": [1, 2]}
    space = ConfigurationSpace()
    for hp in SearchSpace.from_values(values | {"rate": ["low", "high"]}).configuration_space.values():
        space.add(hp)
    uses_sgd = EqualsCondition(space["momentum"], space["optimizer"], "sgd")
    has_momentum = GreaterThanCondition(space["nesterov"], space["momentum"], 0)
    warms_up = (
        EqualsCondition(space["warmup"], space["optimizer"], "sgd"),
        EqualsCondition(space["warmup"], space["rate"], "high"),
    )
    space.add(uses_sgd, has_momentum, OrConjunction(*warms_up))
    return SearchSpace(space, "nested")


@pytest.mark.parametrize(
    ("fixed", "parameters", "n"),
    [
        ({"optimizer": "adamw"}, {"optimizer", "rate", "warmup"}, 1 + 2),
        ({"optimizer": "adamw", "rate": "low"}, {"optimizer", "rate"}, 1),
        ({"optimizer": "adamw", "momentum": 7, "nesterov": "on"}, {"optimizer", "rate", "warmup"}, 1 + 2),
        ({"momentum": 0}, {"momentum", "optimizer", "rate", "warmup"}, 2 * 2 + 1 + 2),
        ({"momentum": 2}, {"momentum", "nesterov", "optimizer", "rate", "warmup"}, 2 * 2 * 2 + 1 + 2),
        ({"optimizer": "sgd"}, {"momentum", "nesterov", "optimizer", "rate", "warmup"}, (1 + 2 * 2) * 2 * 2),
        ({"rate": "low", "nesterov": "on"}, {"momentum", "nesterov", "optimizer", "rate", "warmup"}, 3 * 2 + 1),
    ],
)
def test_a_fixed_parent_decides_whether_its_children_are_searched(fixed, parameters, n):
    space = nested_space()
    part = restrict(space, fixed)
    assert set(part.parameters) == parameters
    agree = [c for c in space.grid() if all(c.get(name, value) == value for name, value in fixed.items())]
    same = [sorted(map(str, (sorted(config.items()) for config in configs))) for configs in (part.grid(), agree)]
    assert same[0] == same[1]
    assert len(part) == n


def test_a_fixed_value_of_a_child_is_checked_where_it_may_mean_something():
    with pytest.raises(SpaceError, match=r"'momentum'.*7"):
        restrict(nested_space(), {"momentum": 7})


def test_joined_conditions_lose_the_part_that_is_decided():
    space = ConfigurationSpace({"a": ["x", "y"], "b": ["x", "y"], "c": (0.0, 1.0)})
    both = AndConjunction(EqualsCondition(space["c"], space["a"], "x"), EqualsCondition(space["c"], space["b"], "x"))
    space.add(both)
    part = restrict(SearchSpace(space, "pair"), {"a": "x"})
    assert {"c" in config for config in part.sample(20, 0) if config["b"] == "x"} == {True}
    assert {"c" in config for config in part.sample(20, 0) if config["b"] == "y"} == {False}
    assert restrict(SearchSpace(space, "pair"), {"a": "y"}).parameters == ("a", "b")


def test_what_is_ranked_of_a_part_has_the_values_that_decided_it():
    space, fixed = nested_space(), {"optimizer": "adamw", "rate": "low"}
    assert configs_of(restrict(space, fixed), space, fixed, seed=0) == [fixed]
    ranking = Ranking.of(space.grid(), range(len(space)))
    assert part_in_space(ranking, restrict(space, fixed), fixed).configs == (fixed,)
    assert all(
        config["warmup"] == 2 for config in part_in_space(ranking, None, {"warmup": 2, **fixed, "rate": "high"}).configs
    )
