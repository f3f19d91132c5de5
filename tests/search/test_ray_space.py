"""Ray's dict spaces, taken apart and put together."""

import pytest
from ray import tune

from hyperstar_tune import SearchSpace
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.search import from_ray, to_ray
from hyperstar_tune.search.ray_space import nest, restrict


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


def test_a_config_without_a_domain_searches_nothing():
    assert from_ray({"data": "folder", "n": 3}).space is None


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (tune.choice([3, 1, 3]), [3, 1]),
        (tune.quniform(0.0, 1.0, 0.25), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (tune.qrandint(2, 10, 4), [4, 8]),
        (tune.randint(5, 6), [5]),
        (tune.choice([True, False]), [True, False]),
        (tune.choice([None, "a"]), [None, "a"]),
    ],
)
def test_listed_and_quantized_domains_become_their_values(domain, values):
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
        ({"lr": tune.quniform(0, 1, 1e-5)}, "'lr' has 100001"),
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
