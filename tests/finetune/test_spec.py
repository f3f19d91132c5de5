from hyperstar_tune.finetune._spec import RunSpec


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
