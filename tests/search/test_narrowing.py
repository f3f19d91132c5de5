"""The rule by which a space is narrowed, and parts of spaces under their conditions."""

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, EqualsCondition, GreaterThanCondition, InCondition
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from hyperstar_tune import SearchSpace
from hyperstar_tune.errors import SearchError
from hyperstar_tune.search import Narrowing
from hyperstar_tune.search.narrowing import narrowed_text
from hyperstar_tune.search.parts import part_of


def whole_space():
    space = ConfigurationSpace(name="whole")
    kind = CategoricalHyperparameter("kind", ["sgd", "adamw", "lamb"], weights=[0.5, 0.3, 0.2])
    depth = UniformIntegerHyperparameter("depth", 1, 4)
    momentum = UniformFloatHyperparameter("momentum", 0.0, 1.0)
    width = UniformIntegerHyperparameter("width", 8, 128, log=True)
    space.add(
        kind,
        depth,
        momentum,
        width,
        UniformFloatHyperparameter("lr", 1e-4, 1.0, log=True),
        OrdinalHyperparameter("batch", [8, 16, 32, 64, 128]),
    )
    space.add(EqualsCondition(momentum, kind, "sgd"), GreaterThanCondition(width, depth, 2))
    return SearchSpace(space)


def ranges(space):
    return {hp.name: (hp.lower, hp.upper) for hp in space.configuration_space.values() if hasattr(hp, "lower")}


def ranked(n, **fixed):
    drawn = whole_space().sample(n, 0)
    space = whole_space()
    return [space.active({**{"momentum": 0.5, "width": 20}, **config, **fixed}) for config in drawn]


def test_a_range_becomes_the_widened_hull_of_the_best_quarter():
    configs = ranked(16)
    for config, lr in zip(configs, [0.01, 0.02, 0.03, 0.04], strict=False):
        config["lr"] = lr
    narrowed = Narrowing(least_share=0).narrow(whole_space(), configs, whole_space())
    low, high = ranges(narrowed)["lr"]
    margin = 0.1 * np.log(1e4)  # a tenth of the range in logarithms
    assert np.log([low, high]) == pytest.approx([np.log(0.01) - margin, np.log(0.04) + margin], abs=0.01)


def test_a_range_is_never_shorter_than_its_least_share_of_the_first_one():
    configs = ranked(16, lr=0.9)
    space = first = whole_space()
    for _ in range(4):
        space = Narrowing(widening=0).narrow(space, configs, first)
        low, high = ranges(space)["lr"]
        assert np.log(high / low) == pytest.approx(0.25 * np.log(1e4), abs=0.01)
        assert 1e-4 <= low <= 0.9 <= high <= 1.0


def test_listed_numbers_keep_one_more_on_either_side():
    narrowed = Narrowing().narrow(whole_space(), ranked(16, batch=16), whole_space())
    assert list(narrowed.configuration_space["batch"].sequence) == [8, 16, 32]


def test_a_choice_loses_what_was_tried_often_and_never_good():
    configs = [{"kind": kind, "x": 0.5} for kind in ["a"] * 4 + ["b"] * 3 + ["c"] * 9]
    space = SearchSpace(ConfigurationSpace({"kind": ["a", "b", "c"], "x": (0.0, 1.0)}))
    narrowed = Narrowing(least_share=0).narrow(space, configs, space)
    assert list(narrowed.configuration_space["kind"].choices) == ["a", "b"]  # b was tried three times only
    kept = Narrowing(least_share=1).narrow(space, configs, space)
    assert kept.configuration_space["kind"] == space.configuration_space["kind"]


def test_kept_choices_keep_their_weights():
    configs = ranked(40, kind="lamb")
    for config in configs[:4]:
        config["kind"] = "adamw"
    kind = Narrowing(good_share=0.01).narrow(whole_space(), configs, whole_space()).configuration_space["kind"]
    assert dict(zip(kind.choices, kind.probabilities, strict=True)) == pytest.approx({"sgd": 0.625, "adamw": 0.375})


def test_conditions_are_decided_by_what_is_left():
    deep = Narrowing(widening=0, least_share=0).narrow(whole_space(), ranked(16, depth=4), whole_space())
    assert "width" in deep.configuration_space.unconditional_hyperparameters
    assert "depth" in deep.parameters
    flat = Narrowing(widening=0, least_share=0).narrow(whole_space(), ranked(16, depth=1), whole_space())
    assert "width" not in flat.parameters
    both = part_of(whole_space(), {"depth": UniformIntegerHyperparameter("depth", 2, 4)})
    (condition,) = both.configuration_space.parent_conditions_of["width"]
    assert isinstance(condition, InCondition)
    assert set(condition.values) == {3, 4}
    assert all(("width" in config) == (config["depth"] > 2) for config in both.sample(50, 0))


@pytest.mark.parametrize("seed", range(10))
def test_every_good_configuration_lies_in_the_narrowed_space(seed):
    space = whole_space()
    configs = space.sample(24, seed)
    narrowed = Narrowing(widening=0, least_share=0).narrow(space, configs, space)
    for config in configs[:6]:
        narrowed.check(config)
    again = Narrowing().narrow(narrowed, configs[:6] * 2, space)
    for config in configs[:4]:
        again.check(config)


def test_too_few_good_configurations_narrow_nothing():
    space = whole_space()
    assert Narrowing().narrow(space, space.sample(7, 0), space) is space
    assert Narrowing(good_share=0.1).narrow(space, space.sample(8, 0), space) is not space


def test_a_continuous_parent_is_not_narrowed():
    space = ConfigurationSpace()
    x, y = UniformFloatHyperparameter("x", 0.0, 1.0), UniformFloatHyperparameter("y", 0.0, 1.0)
    space.add(x, y)
    space.add(GreaterThanCondition(y, x, 0.5))
    whole = SearchSpace(space)
    narrowed = Narrowing().narrow(whole, [{"x": 0.9, "y": 0.9}] * 8, whole)
    assert ranges(narrowed)["x"] == (0.0, 1.0)
    assert ranges(narrowed)["y"][0] > 0.7


def test_the_listed_configurations_that_lie_in_the_part_stay():
    grid = SearchSpace.from_name("se-resnext-50")
    space = SearchSpace(grid.configuration_space, "listed", grid.grid())
    narrowed = Narrowing().narrow(space, [c for c in grid.grid() if c["lr"] == 1e-4], space)
    assert {config["lr"] for config in narrowed.grid()} == {1e-4, 1e-3}


def test_what_was_narrowed_is_said_in_a_line():
    space = whole_space()
    narrowed = Narrowing(widening=0, least_share=0).narrow(space, ranked(16, depth=1, batch=8, kind="sgd"), space)
    text = narrowed_text(narrowed, space)
    assert "depth 1" in text
    assert "batch 8, 16" in text
    assert "no width any more" in text
    assert narrowed_text(space, space) == ""


@pytest.mark.parametrize("wrong", [{"good_share": 0}, {"widening": -0.1}, {"least_share": 2}, {"good_share": np.nan}])
def test_a_share_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(SearchError, match=f"{next(iter(wrong))} must be a share"):
        Narrowing(**wrong)
