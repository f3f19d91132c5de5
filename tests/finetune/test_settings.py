import pytest

from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune import FineTuneSettings
from hyperstar_tune.fingerprint import Fingerprint


def settings(model, **changes):
    return FineTuneSettings(model=model, **{"weights": "own", "image_size": 32, **changes})


def test_a_network_has_one_name_in_fingerprints():
    plain, full = settings("shufflenet_v2_x1_0"), settings("torchvision/shufflenet_v2_x1_0")
    assert plain.fingerprint() == full.fingerprint()
    assert full.fingerprint().model == "torchvision/shufflenet_v2_x1_0"


def test_an_open_number_of_epochs_differs_from_none():
    stated = settings("shufflenet_v2_x1_0", max_epochs=9, schedule="constant").fingerprint()
    assert stated.max_epochs == 9
    assert stated.differences(settings("shufflenet_v2_x1_0").fingerprint()) == []


def test_normalization_and_arguments_that_are_not_the_networks_own_are_told():
    plain, other = (
        settings("torchvision/shufflenet_v2_x1_0", weights="own", **changes).fingerprint()
        for changes in ({}, {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
    )
    assert plain.preprocessing == "the network's own"
    (difference,) = plain.differences(other)
    assert "mean (0.5, 0.5, 0.5), std (0.5, 0.5, 0.5) there" in difference
    assert Fingerprint.from_json({}).differences(other) == []  # written before it was told


def test_changes_go_before_the_settings_given():
    given = settings("shufflenet_v2_x1_0", batch_size=8, max_epochs=4)
    changed = FineTuneSettings.of(given, {"batch_size": 16})
    assert (changed.batch_size, changed.max_epochs, changed.weights) == (16, 4, "own")
    assert FineTuneSettings.of(None, {}) == FineTuneSettings()
    with pytest.raises(ModelError, match="got 'batchsize'"):
        FineTuneSettings.of(given, {"batchsize": 16})


def test_a_relative_path_of_weights_becomes_absolute_once():
    found = settings("resnet18", weights="here.pth")
    assert found.weights.endswith("/here.pth")
    assert FineTuneSettings.of(found, {}).weights == found.weights
