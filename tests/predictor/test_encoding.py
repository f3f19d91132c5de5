"""Configurations of several spaces in one encoding."""

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, InCondition

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.encoding import SharedEncoding
from hyperstar_tune.space import SearchSpace

GRID = SearchSpace.from_values({"lr": [1e-3, 1e-2, 1e-1], "layers": ["head", "all"], "size": [32, 64]}, "grid")


def conditional():
    space = ConfigurationSpace(name="conditional")
    layers, decay = Categorical("layers", ["head", "all", "last"]), Float("decay", (0.5, 1.0))
    space.add(layers, Float("lr", (1e-4, 1e-2), log=True), Constant("optimizer", "adamw"), decay)
    space.add(InCondition(decay, layers, ["all", "last"]))
    return SearchSpace(space)


ENCODING = SharedEncoding([GRID, conditional()], {"decay": 1.0, "size": 32, "elsewhere": 3})


def encoded(**config):
    return ENCODING.encode([{"lr": 1e-2, "layers": "all", "size": 64, "decay": 0.75} | config])[0]


def test_parameters_of_all_spaces_have_their_numbers_once():
    assert ENCODING.parameters == ("layers", "lr", "size", "optimizer", "decay")
    assert ENCODING.dim == 3 + 2 + 2 + (2 + 1) + 1
    assert ENCODING.held == {"decay": 1.0, "size": 32}


def test_a_number_has_a_place_by_its_logarithm_in_the_range_of_all_tables_together():
    places = ENCODING.encode([{"lr": lr} for lr in (1e-4, 10**-2.5, 1e-1, 7.0, 1e-9)])[:, 3:5]
    np.testing.assert_allclose(places, [[-1, 1], [0, 0], [1, 1], [1, 1], [-1, 1]], atol=1e-12)
    np.testing.assert_allclose(encoded(size=48)[5:7], [0, 0], atol=1e-12)


def test_a_category_is_one_hot_and_a_new_one_the_average():
    assert encoded(layers="last")[:3].tolist() == [0, 0, 1]
    np.testing.assert_allclose(encoded(layers="stem")[:3], 1 / 3)
    np.testing.assert_allclose(encoded(layers=True)[:3], 1 / 3)
    np.testing.assert_allclose(encoded(lr="fast")[3:5], encoded(lr=None)[3:5])


def test_what_means_nothing_has_an_indicator_and_what_is_left_out_is_held():
    assert encoded(layers="head")[8:11].tolist() == encoded(layers="head", decay=0.5)[8:11].tolist() == [0, 0, 1]
    left_out = ENCODING.encode([{"lr": 1e-2, "layers": "all", "size": 64}])[0]
    np.testing.assert_allclose(left_out, encoded(decay=1.0))
    assert encoded(layers="stem", decay=0.5)[10] == 0  # a new category may use it
    assert ENCODING.encode([{"decay": 0.5}])[0][10] == 0  # and so may layers that nobody has told
    own = ENCODING.encode([{"lr": 1e-2, "layers": "all", "decay": 1.0}], {"size": 64})[0]
    np.testing.assert_allclose(own, encoded(decay=1.0))


def test_what_nobody_has_told_counts_as_the_average_of_its_values():
    nothing = ENCODING.encode([{}])[0]
    np.testing.assert_allclose(nothing[:3], 1 / 3)
    assert abs(nothing[3]) < 0.5


@pytest.mark.parametrize("name", ["efficientnet-lite0", "cnn-from-scratch"])
def test_columns_and_dicts_are_encoded_alike(name):
    space = SearchSpace.from_name(name)
    whole = SearchSpace(space.configuration_space, name)
    encoding = SharedEncoding([whole, GRID], {"layers": "all"})
    columns, configs = whole.draw_columns(50, seed=1), whole.draw(50, seed=1)
    np.testing.assert_allclose(encoding.encode_columns(columns, 50), encoding.encode(configs), atol=1e-12)
    assert len(np.unique(encoding.encode(configs), axis=0)) == 50


def test_notes_say_what_lies_outside_and_what_is_held():
    space = SearchSpace.from_values({"lr": [1e-5, 1e-2], "layers": ["all", "stem"], "new": [1, 2]})
    assert ENCODING.notes(space, {"optimizer": "sgd"}) == [
        "Beyond what was measured: layers=stem counts as the average of its values; lr outside 0.0001 to 0.1 counts as "
        "the nearer of these; optimizer=sgd counts as the average of its values",
        "Held, because the space does not have them: size=32, decay=1.0",
    ]
    assert ENCODING.notes(conditional(), {"size": 64}) == []
    assert ENCODING.notes(conditional(), {}) == ["Held, because the space does not have them: size=32"]
    unknown = SharedEncoding([GRID], {})
    assert unknown.notes(SearchSpace.from_values({"lr": [1e-2], "layers": ["all"]}), {}) == [
        "Held, because the space does not have them: size (as on average)"
    ]


def test_a_space_that_is_too_wide_is_refused():
    wide = SearchSpace.from_values({"city": [f"city {i}" for i in range(1001)]})
    with pytest.raises(PredictorError, match="at most 1000 numbers, but here 1001"):
        SharedEncoding([wide], {})
