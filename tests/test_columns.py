"""Configurations as columns are the very ones that are drawn as dicts."""

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    GreaterThanCondition,
    InCondition,
    Integer,
    LessThanCondition,
    NotEqualsCondition,
    OrConjunction,
)
from ray import tune

from hyperstar_tune.columns import Column, columns_of, holds
from hyperstar_tune.search import from_ray
from hyperstar_tune.space import SearchSpace

RANGES = {
    "lr": tune.loguniform(1e-4, 1e-1),
    "step": tune.quniform(0, 1, 0.1),
    "n": tune.randint(1, 9),
    "log_n": tune.qlograndint(8, 512, 8),
    "kind": tune.choice(["a", "a", "b", None]),
    "sizes": tune.choice([[1, 2], [3]]),
}


def conditional():
    space = ConfigurationSpace(name="conditional")
    kind, rate, n = Categorical("kind", ["a", "b", "c"]), Float("rate", (0.0, 1.0)), Integer("n", (1, 9))
    children = {name: Float(name, (0.0, 1.0)) for name in ("u", "v", "w", "x", "y")}
    space.add(kind, rate, n, *children.values())
    space.add(
        InCondition(children["u"], kind, ["a", "b"]),
        AndConjunction(LessThanCondition(children["v"], rate, 0.6), GreaterThanCondition(children["v"], n, 3)),
        OrConjunction(EqualsCondition(children["w"], n, 2), NotEqualsCondition(children["w"], kind, "a")),
        LessThanCondition(children["x"], children["u"], 0.5),  # a grandchild
        EqualsCondition(children["y"], kind, "c"),
    )
    return SearchSpace(space)


def whole(name):
    return SearchSpace(SearchSpace.from_name(name).configuration_space, name)


SPACES = {
    "ranges": lambda: from_ray(RANGES).space,
    "conditional": conditional,
    "tuning": lambda: whole("efficientnet-lite0"),
    "listed": lambda: SearchSpace.from_name("efficientnet-lite0"),
    "from scratch": lambda: whole("cnn-from-scratch"),
    "grid": lambda: SearchSpace.from_name("mobilenet-v2"),
}


@pytest.mark.parametrize("kind", SPACES)
def test_columns_hold_what_is_drawn_as_dicts(kind):
    space = SPACES[kind]()
    drawn, columns = space.draw(200, seed=3), space.draw_columns(200, seed=3)
    rows = [{name: c.value(i) for name, c in columns.items() if c.present[i]} for i in range(200)]
    assert rows == drawn
    assert [list(map(type, row.values())) for row in rows] == [list(map(type, config.values())) for config in drawn]
    again = columns_of(drawn, space.parameters)
    assert [{name: c.value(i) for name, c in again.items() if c.present[i]} for i in range(200)] == drawn
    first = columns["lr"].rows(5, 7) if "lr" in columns else None
    assert first is None or [first.value(0), first.value(1)] == [config["lr"] for config in drawn[5:7]]


def test_a_condition_on_what_is_left_out_fails_and_on_a_value_that_is_not_listed_it_holds():
    kind, child = Categorical("kind", ["a", "b"]), Float("x", (0.0, 1.0))
    condition = EqualsCondition(child, kind, "a")
    assert holds(condition, {}, 2).tolist() == [False, False]
    column = Column(np.array([0, 1, 2, 0]), ["a", "b", "new"], np.array([True, True, True, False]))
    assert holds(condition, {"kind": column}, 4).tolist() == [True, False, True, False]
