import argparse
import json

import pytest
import torch
from safetensors.torch import save_file

from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune import OWN_MODEL, FineTuneSettings, build_model
from hyperstar_tune.finetune.models import check_image_size, check_model_name, normalization, weights_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ("timm", "resnet18")),
        ("torchvision/resnet18", ("torchvision", "resnet18")),
        ("timm/resnet18.a1_in1k", ("timm", "resnet18.a1_in1k")),
        ("shufflenet_v2_x1_0", ("torchvision", "shufflenet_v2_x1_0")),
    ],
)
def test_timm_comes_first(name, expected):
    assert check_model_name(name) == expected


@pytest.mark.parametrize("name", ["resnet18000", "torchvision/mobilenetv2_100", "", "timm/shufflenet_v2_x1_0"])
def test_unknown_model_is_named(name):
    with pytest.raises(ModelError, match=repr(name)):
        build_model(name, 3)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mobilenet_v2_100", "near are mobilenetv2_100,"),
        ("ResNet-18", "resnet18"),
        ("vit_tiny", "vit_tiny_patch16_224"),
        ("resnet18.a9_in1k", "resnet18 must have a tag .* resnet18.a1_in1k"),
        ("timm/resnet18.", "timm/resnet18.a1_in1k"),
        ("resnet_18.a1_in1k", "resnet18"),
        ("torchvision/mobilenetv2", "torchvision/mobilenet_v2"),
        ("qqqq", "list_models"),
    ],
)
def test_the_nearest_names_are_given(name, near):
    with pytest.raises(ModelError, match=near) as caught:
        check_model_name(name)
    assert "\n" not in str(caught.value)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
@pytest.mark.parametrize("from_hub", [True, False])
def test_auxiliary_heads_are_left_out(tmp_path, monkeypatch, name, from_hub):
    import torchvision

    source = torchvision.models.get_model(name, weights=None, init_weights=False, num_classes=11)
    assert any(k.startswith(("aux1.", "AuxLogits.")) for k in source.state_dict())
    torch.save(source.state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: source.state_dict())
    model = build_model(f"torchvision/{name}", 3, weights="hub" if from_hub else tmp_path / "w.pth").train()
    assert model(torch.zeros(2, 3, 96, 96)).shape == (2, 3)
    convolution = next(k for k in source.state_dict() if k.endswith("conv.weight"))
    assert torch.equal(model.state_dict()[convolution], source.state_dict()[convolution])
    assert model.transform_input


def test_own_backbone_is_shipped_and_loaded():
    torch.manual_seed(0)
    model = build_model(OWN_MODEL, 7, weights="own").eval()
    plain = build_model(OWN_MODEL, 7, weights="own").eval()
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)
    assert torch.equal(model.conv1[0].weight, plain.conv1[0].weight)
    assert not torch.equal(model.fc.weight, plain.fc.weight)
    assert 1e-3 < model.stage4[0].branch1[0].weight.std() < 1


def test_own_weights_need_their_network():
    with pytest.raises(ModelError, match="'resnet18'"):
        build_model("resnet18", 3, weights="own")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("name", ["resnet18", "torchvision/resnet18"])
def test_local_file_is_loaded_without_its_head(tmp_path, suffix, name):
    import timm
    import torchvision

    make = (
        torchvision.models.resnet18
        if name.startswith("torchvision")
        else lambda **k: timm.create_model("resnet18", **k)
    )
    source = make(num_classes=11)
    path = tmp_path / f"w.{suffix}"
    save_file(source.state_dict(), path) if suffix == "safetensors" else torch.save(
        {"state_dict": {f"module.{k}": v for k, v in source.state_dict().items()}}, path
    )
    model = build_model(name, 3, weights=path)
    assert torch.equal(model.layer1[0].conv1.weight, source.layer1[0].conv1.weight)
    assert model.fc.weight.shape == (3, 512)
    assert len(weights_id(name, path)) == 16


def test_file_of_another_network_is_refused(tmp_path):
    save_file(build_model(OWN_MODEL, 3, weights="own").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"must fit ResNet, but .* lacks bn1"):
        build_model("resnet18", 3, weights=tmp_path / "w.safetensors")


def _renamed(state, prefix):
    return {f"{prefix}{k}": v for k, v in state.items()}


CHECKPOINTS = {
    "timm": lambda s: {"state_dict": s, "arch": "resnet18", "args": argparse.Namespace(lr=0.1), "epoch": 3},
    "timm with EMA": lambda s: {
        "state_dict": {k: v + 1 for k, v in s.items()},
        "state_dict_ema": s,
        "args": argparse.Namespace(lr=0.1),
    },
    "torchvision with EMA": lambda s: {
        "model": {k: v + 1 for k, v in s.items()},
        "model_ema": {"n_averaged": torch.tensor(4), **_renamed(s, "module.")},
        "optimizer": {"state": {}, "param_groups": []},
        "args": argparse.Namespace(lr=0.1),
    },
    "DDP": lambda s: _renamed(s, "module."),
    "compiled": lambda s: _renamed(s, "_orig_mod."),
    "DDP of compiled": lambda s: {"model": _renamed(s, "module._orig_mod.")},
    "compiled DDP": lambda s: _renamed(s, "_orig_mod.module."),
    "Lightning": lambda s: {"state_dict": {**_renamed(s, "model."), "loss.weight": torch.ones(3)}, "epoch": 3},
    "compiled Lightning": lambda s: {"state_dict": _renamed(s, "model._orig_mod.")},
    "another attribute": lambda s: {"state_dict": _renamed(s, "net.backbone.")},
    "another wrapper": lambda s: {"weights": s, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}},
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_checkpoints_of_training_programs_are_loaded(tmp_path, caplog, kind):
    import timm

    state = timm.create_model("resnet18", num_classes=5).state_dict()
    torch.save(CHECKPOINTS[kind](state), tmp_path / "best.pth")
    with caplog.at_level("INFO", logger="hyperstar_tune"):
        model = build_model("resnet18", 3, weights=tmp_path / "best.pth")
    loaded = model.state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in state.items() if not k.startswith("fc."))
    (record,) = caplog.records
    assert "best.pth: " in record.getMessage()


def test_a_plain_file_is_loaded_without_a_word(tmp_path, caplog):
    save_file(build_model(OWN_MODEL, 5, weights="own").state_dict(), tmp_path / "w.safetensors")
    with caplog.at_level("INFO", logger="hyperstar_tune"):
        build_model(OWN_MODEL, 3, weights=tmp_path / "w.safetensors")
    assert not caplog.records


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds an empty dict"),
        ({"epoch": 3, "state_dict": {}}, "no dict of them under epoch, state_dict"),
        ([torch.zeros(2)], "holds a list"),
        (torch.zeros(2), "holds a Tensor"),
        (torch.nn.Linear(2, 2), r"it holds torch\.nn\.modules\.linear\.Linear, which could run code; write torch.save"),
    ],
)
def test_files_without_named_tensors_are_refused_in_one_line(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=message) as caught:
        build_model("resnet18", 3, weights=tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_transformer_takes_weights_of_another_size(tmp_path, name):
    import timm

    source = timm.create_model(name, num_classes=5)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    model = build_model(name, 3, weights=tmp_path / "w.pth", image_size=64).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    if hasattr(source, "pos_embed"):
        expected = timm.layers.resample_abs_pos_embed(source.pos_embed, (4, 4))
        torch.testing.assert_close(model.pos_embed, expected)
    assert torch.equal(model.patch_embed.proj.weight, source.patch_embed.proj.weight)


@pytest.mark.parametrize(
    ("name", "size", "works"),
    [
        ("inception_v4", 64, 96),
        ("torchvision/alexnet", 32, 64),
    ],
)
def test_a_size_that_a_network_cannot_take_is_refused_with_one_that_works(name, size, works):
    settings = FineTuneSettings(model=name, image_size=size)
    with pytest.raises(ModelError, match=rf"images of {size} pixels, but: .*; pass image_size={works}$") as caught:
        settings.check_network()
    assert "\n" not in str(caught.value)
    check_image_size(name, works)


def test_a_network_that_answers_twice_is_refused(monkeypatch):
    class Twice(torch.nn.Module):
        def forward(self, images):
            return images, images

    monkeypatch.setattr("hyperstar_tune.finetune.models._construct", lambda *_: Twice())
    with pytest.raises(ModelError, match=r"answers with a tuple while it trains, not with logits$"):
        check_image_size("torchvision/googlenet", 96, {"aux_logits": True})


@pytest.mark.parametrize("where", ["constructor", "forward pass", "backward pass"])
def test_the_size_is_tried_in_a_whole_step(monkeypatch, where):
    def construct(*arguments):
        size = arguments[4]

        class Picky(torch.nn.Linear):
            def __init__(self):
                assert where != "constructor" or size >= 128, "too small"
                super().__init__(3, 2)

            def forward(self, images):
                assert where != "forward pass" or size >= 128, "too small"
                logits = super().forward(images.mean((2, 3)))
                return logits.detach() if where == "backward pass" and size < 128 else logits

        return Picky()

    monkeypatch.setattr("hyperstar_tune.finetune.models._construct", construct)
    with pytest.raises(ModelError, match=r"images of 48 pixels, but: .*; pass image_size=128$"):
        check_image_size("resnet18", 48)
    check_image_size("resnet18", 128)


def test_an_unknown_argument_is_told_before_the_size():
    with pytest.raises(ModelError, match=r"model_kwargs .*no_such"):
        FineTuneSettings(model=OWN_MODEL, weights="own", model_kwargs={"no_such": 1}).check_network()


def test_a_network_is_checked_without_a_trace():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    check_image_size(OWN_MODEL, 32)
    assert torch.equal(torch.rand(3), expected)


def test_broken_missing_and_unsafe_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match="there is no file"):
        build_model("resnet18", 3, weights=tmp_path / "none.pth")
    (tmp_path / "w.safetensors").write_bytes(b"12345678broken")
    with pytest.raises(ModelError, match="safetensors or torch file"):
        build_model("resnet18", 3, weights=tmp_path / "w.safetensors")
    torch.save({"weight": pytest.raises}, tmp_path / "code.pth")
    with pytest.raises(ModelError, match="safetensors or torch file"):
        build_model("resnet18", 3, weights=tmp_path / "code.pth")


@pytest.mark.parametrize("name", ["resnet18", "torchvision/resnet18"])
def test_hub_without_network_says_what_to_do(name, monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr("timm.models._builder.load_pretrained", unreachable)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(ModelError, match=r"no route\); pass weights= a local") as caught:
        build_model(name, 3)
    assert "\n" not in str(caught.value)


def test_unknown_model_argument():
    with pytest.raises(ModelError, match=r"model_kwargs .*no_such"):
        build_model(OWN_MODEL, 3, weights="own", kwargs={"no_such": 1})


def test_normalization_is_the_networks():
    import timm

    assert normalization(timm.create_model("vit_tiny_patch16_224"))[0] == (0.5, 0.5, 0.5)
    assert normalization(build_model(OWN_MODEL, 3, weights="own"))[0] == (0.485, 0.456, 0.406)


def test_weights_id_tells_hub_tags_apart():
    ids = [weights_id(n, "hub") for n in ("resnet18.a1_in1k", "resnet18.tv_in1k", "torchvision/resnet18")]
    assert len(set(ids)) == 3
    assert json.loads(json.dumps(ids))[0] == "hub:a1_in1k"
