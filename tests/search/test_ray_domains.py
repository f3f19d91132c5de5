"""Every domain of Ray: drawn as Ray draws it, or refused by name in one line."""

import inspect
import math

import numpy as np
import pytest
from ray import tune
from ray.tune.impl.placeholder import create_resolvers_map, inject_placeholders
from ray.tune.search import sample
from ray.tune.search.sample import Categorical, Float, Integer
from scipy.stats import chi2_contingency, ks_2samp

from hyperstar_tune import RandomSearcher, SearchSpace
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.search import from_ray, to_ray

N = 4000
RANGES = {
    "uniform": [tune.uniform(-2, 5)],
    "loguniform": [tune.loguniform(1e-5, 1e-1)],
    "quniform": [tune.quniform(0, 1, 0.25), tune.quniform(-0.3, 0.3, 0.1)],
    "qloguniform": [tune.qloguniform(1e-4, 1e-1, 1e-4), tune.qloguniform(1e-12, 1e-11, 1e-13)],
    "randint": [tune.randint(-3, 4)],
    "lograndint": [tune.lograndint(1, 100)],
    "qrandint": [tune.qrandint(2, 30, 4), tune.qrandint(1, 5, 1)],
    "qlograndint": [tune.qlograndint(2, 200, 8), tune.qlograndint(1, 50, 1)],
}
REFUSED = {"randn": tune.randn(0, 1), "qrandn": tune.qrandn(0, 1, 0.1), "sample_from": tune.sample_from(lambda: 1)}
ALL_RANGES = [pytest.param(domain, id=f"{name} {i}") for name, many in RANGES.items() for i, domain in enumerate(many)]


def test_no_domain_of_ray_is_left_out_here():
    kinds = {name for name, kind in inspect.getmembers(sample, inspect.isfunction) if hasattr(tune, name)}
    assert kinds == {*RANGES, *REFUSED, "choice"}


@pytest.mark.parametrize("domain", ALL_RANGES)
def test_a_range_is_drawn_as_ray_draws_it(domain):
    theirs = [float(f"{value:.12g}") for value in domain.sample(size=N, random_state=1)]  # 0.3, not 0.30000000000000004
    space = from_ray({"x": domain}).space
    searcher = RandomSearcher(space)
    suggested = [searcher.suggest(f"t{number}")["x"] for number in range(N)]
    for ours in ([config["x"] for config in space.sample(N, seed=2)], suggested):
        assert type(ours[0]) is type(domain.sample())
        assert ks_2samp(ours, theirs).pvalue > 1e-3
        assert len(set(theirs)) > 100 or set(ours) == set(theirs)
        for value in ours:
            space.check({"x": value})


@pytest.mark.parametrize("domain", ALL_RANGES)
def test_a_range_survives_the_round_trip_and_json(domain):
    space = from_ray({"x": domain}).space
    assert from_ray(to_ray(space)).space.difference(space) == ""
    again = SearchSpace.from_json(space.to_json())
    assert again.fingerprint == space.fingerprint
    assert again.sample(5, 0) == space.sample(5, 0)


def test_a_logarithmic_range_in_steps_has_as_many_small_values_as_in_ray():
    searcher = RandomSearcher({"lr": tune.qloguniform(1e-4, 1e-1, 1e-4)})
    drawn = [searcher.suggest(f"t{number}")["lr"] for number in range(2000)]
    assert sum(lr < 1e-3 for lr in drawn) / len(drawn) == pytest.approx(math.log(9.5) / math.log(1000), abs=0.03)


@pytest.mark.parametrize("categories", [["a", "b", "a"], [1, 1, 2], ["sgd", "adamw", "lamb"], [3, 1, 3, 3]])
def test_a_value_that_is_listed_twice_is_twice_as_likely(categories):
    theirs = tune.choice(categories).sample(size=N, random_state=1)
    space = from_ray({"x": tune.choice(categories)}).space
    first = [RandomSearcher(space, seed=seed).suggest("t")["x"] for seed in range(N // 4)]
    for ours in (first, [space.sample(1, seed)[0]["x"] for seed in range(N // 4)], [c["x"] for c in space.draw(N, 0)]):
        table = [[drawn.count(value) for value in sorted(set(categories))] for drawn in (theirs, ours)]
        assert chi2_contingency(table).pvalue > 1e-3
    assert sorted(config["x"] for config in space.grid()) == sorted(set(categories))
    assert sorted(to_ray(space)["x"].categories) == sorted(categories)


def test_weights_count_within_a_product_and_each_configuration_comes_once():
    space = from_ray({"kind": tune.choice(["a", "a", "a", "b"]), "n": tune.choice([1, 2])}).space
    orders = [space.sample(4, seed) for seed in range(400)]
    assert all(len({str(config) for config in order}) == 4 for order in orders)
    assert sum(order[0]["kind"] == "a" for order in orders) / 400 == pytest.approx(0.75, abs=0.08)
    assert sum(order[0]["n"] == 1 for order in orders) / 400 == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        *((domain, "must be a tune.choice or a uniform or log-uniform range") for domain in REFUSED.values()),
        (tune.uniform(1, 1), r"lower end is below its upper end, but got \[1, 1\]"),
        (tune.uniform(2, 1), r"but got \[2, 1\]"),
        (tune.loguniform(1e-3, 1e-3), "lower end is below"),
        (tune.quniform(1, 1, 0.5), "lower end is below"),
        (tune.quniform(0, 1, -0.1), "step above 0, but got q=-0.1"),
        (tune.uniform(-1e308, 1e308), "narrower range"),
        (tune.uniform(0, 5e-324), "cannot have the range"),
        (Float(None, None), "two finite numbers"),
        (tune.randint(5, 5), r"whole number in it, but got \[5, 5\)"),
        (tune.randint(6, 5), "whole number in it"),
        (tune.lograndint(1, 1), "whole number in it"),
        (tune.qrandint(1, 10, 20), "whole number in it"),
        (tune.randint(0.5, 3.7), "whole bounds and steps"),
        (tune.randint("1", "5"), "two finite numbers"),
        (tune.randint(0, 2**70), "cannot have the range"),
        (tune.randint(0, 10**400), "two finite numbers"),
        (tune.uniform(0, 1e308), "cannot have the range"),
        (tune.choice([]), "distinct values"),
        (tune.choice([1, 1.0, True]), r"holds apart.*\[1, 1.0, True\]"),
        (tune.choice([0, False]), "holds apart"),
        (tune.choice([[1], [1.0]]), "holds apart"),
        (tune.choice([math.nan, 1.0]), "without NaN and infinity"),
        (tune.choice([None, math.inf]), "without NaN and infinity"),
        (tune.choice([[math.nan], [1]]), "without NaN and infinity"),
        (tune.choice([1, 10**400]), "without NaN and infinity"),
        (tune.choice([int, float]), "JSON.*class 'int'"),
        (tune.choice([b"a", b"b"]), "JSON"),
        (tune.choice([tune.uniform(0, 1), 1]), "in a list or a choice"),
        (Categorical([1, 2]).grid(), "grid_search"),
    ],
)
def test_what_cannot_be_drawn_or_told_apart_is_refused_in_one_line(domain, message):
    with pytest.raises(SpaceError, match=f"'x'.*{message}|{message}.*'x'") as caught:
        from_ray({"x": domain})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "hidden",
    [
        tune.sample_from(lambda config: 1),
        tune.choice(["a", tune.sample_from(lambda config: 1)]),
        [tune.sample_from(lambda config: 1)],
        [{"n": tune.choice([1, 2])}],
        ({"grid_search": [1, 2]},),
    ],
    ids=["alone", "in a choice", "in a list", "a choice in a list", "a grid in a tuple"],
)
def test_a_hidden_domain_is_refused_also_where_ray_has_replaced_it(hidden):
    config = {"lr": tune.uniform(0, 1), "net": {"x": hidden}}
    for given in (config, inject_placeholders(config, create_resolvers_map())):
        with pytest.raises(SpaceError, match=r"'(net/)?x'") as caught:
            from_ray(given)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (tune.randint(5, 6), 5),
        (tune.qrandint(8, 12, 8), 8),
        (tune.choice([7]), 7),
        (tune.choice([None]), None),
        (tune.choice([[64, 32]]), [64, 32]),
        (tune.choice(np.array([0.5])), 0.5),
        (Integer(3, 4), 3),
    ],
)
def test_a_single_value_is_one(domain, value):
    space = from_ray({"x": domain}).space
    assert space.grid() == [{"x": value}]
    assert space.encode(space.grid()).tolist() == [[1]]


def test_values_of_any_kind_that_json_has_are_searched():
    values = [None, "a", 2, 0.5, [64, 32], [128], {"depth": 2}, True]
    searcher = RandomSearcher({"x": tune.choice(values)})
    drawn = [searcher.suggest(f"t{number}")["x"] for number in range(len(values))]
    assert sorted(map(str, drawn)) == sorted(map(str, values))
    assert {type(value) for value in drawn} == {type(value) for value in values}
