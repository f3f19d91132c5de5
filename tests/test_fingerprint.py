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
