from hyperstar_tune.finetune.settings import RunSpec
from hyperstar_tune.fingerprint import Fingerprint


def settings(model, **changes):
    usual = {"weights": "own", "image_size": 32, "batch_size": 32, "max_epochs": None}
    return RunSpec.checked(model, **{**usual, "mean": None, "std": None, "model_kwargs": None, **changes})


def test_a_network_has_one_name_in_fingerprints():
    plain, full = settings("shufflenet_v2_x1_0"), settings("torchvision/shufflenet_v2_x1_0")
    assert plain.fingerprint() == full.fingerprint()
    assert full.fingerprint().model == "torchvision/shufflenet_v2_x1_0"


def test_an_open_number_of_epochs_differs_from_none():
    stated = settings("shufflenet_v2_x1_0", max_epochs=9).fingerprint()
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
