import math
from dataclasses import replace

import pytest

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.fingerprint import Fingerprint


def test_differences_name_the_field_and_both_values():
    lines = Fingerprint(model="a", image_size=64).differences(Fingerprint(model="b", image_size=64))
    assert lines == ["model: a here, b there"]


def test_a_field_left_open_differs_from_nothing():
    assert Fingerprint(model="a", space="x").differences(Fingerprint(max_epochs=32, space="")) == []


def test_json_round_trip():
    fingerprint = Fingerprint(space="s", model="m", max_epochs=32, train_size="92 to 159 images")
    assert Fingerprint.from_json(fingerprint.to_json()) == fingerprint
    assert Fingerprint.from_json({"model": "m", "train_size": None}) == Fingerprint(model="m")  # as older files have it


@pytest.mark.parametrize("data", [{"colour": "red"}, {"image_size": "64"}, {"model": 3}, {"batch_size": True}])
def test_foreign_fields_are_refused(data):
    with pytest.raises(MetaDatasetError, match="but got"):
        Fingerprint.from_json(data)


@pytest.mark.parametrize(
    ("schedule", "epochs"),
    [
        ("", math.inf),
        ("constant, one warm-up epoch", math.inf),
        ("cosine, one warm-up epoch", 0),
        ("settling over the last 3/8, one warm-up epoch", 20),
        ("settling over the last 1, one warm-up epoch", 0),
        ("a staircase of somebody's own", 0),
    ],
)
def test_it_tells_how_long_the_learning_rate_stays_constant(schedule, epochs):
    assert Fingerprint(schedule=schedule).constant_epochs(32) == epochs
    assert Fingerprint(schedule=schedule, max_epochs=64).constant_epochs(32) == 2 * epochs


def test_it_understands_every_schedule_that_the_trainable_states():
    from hyperstar_tune.finetune.schedule import SCHEDULES, Schedule

    told = {name: Fingerprint(schedule=str(Schedule(name, 32, 1 / 3))).constant_epochs(32) for name in SCHEDULES}
    assert told == {"constant": math.inf, "cosine": 0, "settle": pytest.approx(64 / 3)}


def test_a_difference_says_in_the_callers_words_where_each_value_stands():
    made, run = Fingerprint(max_epochs=16, protocol=1), Fingerprint(max_epochs=8, protocol=2)
    assert made.differences(run, "in the predictor", "in this run") == [
        "max epochs: 16 in the predictor, 8 in this run",
        "version of the protocol: 1 in the predictor, 2 in this run",
    ]


def test_networks_differ_where_both_are_stated():
    one, other, open_one = Fingerprint(model="a"), Fingerprint(model="b", weights="w"), Fingerprint(weights="w")
    assert one.has_other_network(other)
    assert not one.has_other_network(replace(one, weights="w"))
    assert not one.has_other_network(open_one)
    assert not open_one.has_other_network(other)
