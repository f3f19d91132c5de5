"""What the knobs of a configuration do."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from digit_images import digit_pixels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperstar_tune.errors import ModelError, SpaceError
from hyperstar_tune.finetune import KNOBS, OWN_MODEL, FineTune, FineTuneSettings
from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.knobs import OPTIMIZERS, check_config
from hyperstar_tune.tasks.task import ImageTask

SETTINGS = FineTuneSettings(model=OWN_MODEL, weights="own", image_size=32, max_epochs=6)
CACHE = TensorCache()
HEAD = {"layers": "head", "augmentation": "none"}


@pytest.fixture(scope="module")
def task():
    pixels, labels = digit_pixels(n_classes=3, per_class=20)
    uneven = np.r_[np.arange(20), np.arange(20, 30), np.arange(40, 45)]
    return ImageTask.from_arrays("digits", pixels[uneven], labels[uneven], pixels, labels)


def curve(run, epochs):
    rows = [run.train_epoch() for _ in range(epochs)]
    return [{k: v for k, v in row.items() if k != "epoch_seconds"} for row in rows]


def fine_tune(task, **config):
    return FineTune(task, config, SETTINGS, cache=CACHE)


# One strategy per knob; momentum, layer_decay and head_lr_multiplier are taken where they mean something.
VALUES = {
    "optimizer": st.sampled_from(["sgd", "adamw", "rmsprop", "lamb", "lion", "adan", "nadamw", "muon"]),
    "layers": st.sampled_from(["head", "last_stage", "all"]),
    "augmentation": st.sampled_from(["none", "basic", "strong"]),
    "weight_decay": st.sampled_from([0.0, 1e-3]),
    "momentum": st.sampled_from([0.0, 0.5]),
    "batch_size": st.sampled_from([5, 16]),
    "label_smoothing": st.sampled_from([0.0, 0.1]),
    "dropout": st.sampled_from([0.0, 0.3]),
    "mixup": st.sampled_from([0.0, 0.4]),
    "head_lr_multiplier": st.sampled_from([1.0, 5.0]),
    "layer_decay": st.sampled_from([1.0, 0.7]),
    "class_weights": st.sampled_from(["none", "balanced"]),
    "batch_norm": st.sampled_from(["train", "frozen"]),
    "grad_clip": st.sampled_from([0.0, 0.5]),
    "schedule": st.sampled_from(["constant", "cosine", "settle"]),
    "image_size": st.sampled_from([32, 40]),
}


@given(st.fixed_dictionaries(VALUES))
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_run_continued_from_a_checkpoint_is_exact_whatever_the_knobs(task, config):
    full = {name: knob.default for name, knob in KNOBS.items()} | config
    config = {k: v for k, v in config.items() if not KNOBS[k].applies or KNOBS[k].applies(full)} | {"lr": 1e-3}
    first = fine_tune(task, **config)
    curve(first, 2)
    second = FineTune(task, config, SETTINGS, cache=TensorCache())
    second.load_state_dict(first.state_dict())
    assert repr(curve(second, 2)) == repr(curve(first, 2))  # as text, in which NaN is NaN


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if not n.startswith("c")])  # c...: the cautious ones
def test_every_optimizer_takes_steps(task, name):
    run = fine_tune(task, optimizer=name, lr=1e-3, **HEAD)
    before = {k: v.clone() for k, v in run._network.trained_state().items()}
    assert math.isfinite(run.train_epoch()["train_loss"])
    assert any(not torch.equal(v, before[k]) for k, v in run._network.trained_state().items())


def test_weight_decay_reaches_every_parameter(task):
    usual = {"sgd": 1e-4, "adamw": 1e-2, "rmsprop": 1e-5, "lamb": 1e-2, "nadam": 0}
    for name, expected in usual.items():
        groups = fine_tune(task, optimizer=name)._optimizer.param_groups
        assert [group["weight_decay"] for group in groups] == [expected]
    run = fine_tune(task, optimizer="adamw", weight_decay=0.3, layer_decay=0.5)
    assert {group["weight_decay"] for group in run._optimizer.param_groups} == {0.3}
    assert sum(len(g["params"]) for g in run._optimizer.param_groups) == len(list(run._network.model.parameters()))


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.5, True), (0.0, False)])
def test_momentum_is_the_optimizers(task, momentum, nesterov):
    (group,) = fine_tune(task, momentum=momentum)._optimizer.param_groups
    assert (group["momentum"], group["nesterov"]) == (momentum, nesterov)


def test_batch_size_goes_before_that_of_the_settings(task, monkeypatch):
    sizes = []
    run = fine_tune(task, batch_size=10, **HEAD)
    training = run._inputs.training
    monkeypatch.setattr(
        run._inputs, "training", lambda batches, epoch: sizes.extend(map(len, batches)) or training(batches, epoch)
    )
    run.train_epoch()
    assert sizes == [10, 10, 10, 5]


@torch.no_grad()
def test_label_smoothing_mixup_and_class_weights_change_the_loss_and_not_validation(task):
    plain = fine_tune(task, **HEAD)
    inputs, labels = torch.rand(4, 3, 32, 32), torch.tensor([0, 0, 1, 2])
    features = plain._network.features(inputs)
    log_p = plain._network(features).log_softmax(1)
    own = -log_p[range(4), labels]
    assert plain._loss(features, labels, 1.0) == pytest.approx(float(own.mean()), rel=1e-5)

    smooth = fine_tune(task, label_smoothing=0.3, **HEAD)
    expected = 0.7 * own.mean() - 0.3 * log_p.mean()
    assert smooth._loss(features, labels, 1.0) == pytest.approx(float(expected), rel=1e-5)

    weighted = fine_tune(task, class_weights="balanced", **HEAD)
    assert weighted._class_weights.tolist() == pytest.approx([35 / 60, 35 / 30, 35 / 15])
    weights = weighted._class_weights[labels]
    expected = (weights * own).sum() / weights.sum()
    assert weighted._loss(features, labels, 1.0) == pytest.approx(float(expected), rel=1e-5)

    mixed = 0.8 * features + 0.2 * features.flip(0)
    log_p = plain._network(mixed).log_softmax(1)
    expected = -(0.8 * log_p[range(4), labels] + 0.2 * log_p[range(4), labels.flip(0)]).mean()
    assert plain._loss(features, labels, 0.8) == pytest.approx(float(expected), rel=1e-5)
    for run in (smooth, weighted):
        assert run.evaluate() == plain.evaluate()


@pytest.mark.parametrize("layers", ["last_stage", "all"])
def test_frozen_batch_norm_keeps_its_statistics_and_trains_the_rest(task, layers):
    statistics = {}
    for batch_norm in ("train", "frozen"):
        run = fine_tune(task, layers=layers, batch_norm=batch_norm, lr=1e-3)
        before = run.trained_state()
        run.train_epoch()
        after = run.trained_state()
        same = {name: torch.equal(before[name], after[name]) for name in before}
        statistics[batch_norm] = [value for name, value in same.items() if "running" in name]
        assert not any(value for name, value in same.items() if name.endswith(".weight"))
    assert not any(statistics["train"])
    assert all(statistics["frozen"])
    assert statistics["frozen"]


def test_what_has_no_batch_norm_cannot_freeze_it(task):
    settings = replace(SETTINGS, model="vit_tiny_patch16_224", weights="none", image_size=32)
    with pytest.raises(
        ModelError, match=r"batch_norm='frozen' needs batch normalization.*vit_tiny.*leave batch_norm out"
    ):
        FineTune(task, {"layers": "all", "batch_norm": "frozen"}, settings, cache=CACHE)
    with pytest.raises(SpaceError, match="batch_norm is only for layers other than head"):
        fine_tune(task, layers="head", batch_norm="frozen")


def test_mixup_draws_a_share_for_every_batch(task, monkeypatch):
    shares = []
    run = fine_tune(task, mixup=0.4, batch_size=8, **HEAD)
    loss = run._loss
    monkeypatch.setattr(run, "_loss", lambda inputs, labels, share: shares.append(share) or loss(inputs, labels, share))
    run.train_epoch()
    assert len(set(shares)) == len(shares) > 2
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize("layers", ["head", "last_stage", "all"])
def test_dropout_acts_on_the_heads_input_in_training_only(task, layers):
    run = fine_tune(task, layers=layers, augmentation="none", dropout=0.5)
    network, seen = run._network, []
    head = network.model.get_submodule(network._groups.head[0])
    head.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    features = network.features(torch.rand(6, 3, 32, 32))
    network.eval()
    network(features)
    network.train()
    network(features)
    kept = [(inputs != 0).float().mean().item() for inputs in seen]
    assert kept[1] < 0.7 * kept[0]
    assert math.isfinite(run.train_epoch()["train_loss"])


def test_learning_rates_fall_away_from_the_head(task):
    run = fine_tune(task, layer_decay=0.5, head_lr_multiplier=4.0, lr=0.1, schedule="constant")
    run.train_epoch()
    groups = run._optimizer.param_groups
    names = {id(p): name for name, p in run._network.model.named_parameters()}
    assert {names[id(p)] for p in groups[0]["params"]} == {"fc.weight", "fc.bias"}
    assert {names[id(p)].split(".")[0] for p in groups[-1]["params"]} == {"conv1"}
    assert [group["lr"] for group in groups] == pytest.approx([0.4, *(0.1 * 0.5**n for n in range(1, len(groups)))])
    trained = [fine_tune(task, layers="last_stage", layer_decay=d)._optimizer.param_groups for d in (1.0, 0.5)]
    assert [sum(len(g["params"]) for g in groups) for groups in trained] == [len(trained[0][0]["params"])] * 2


def test_gradients_are_clipped_to_a_norm(task, monkeypatch):
    norms = []
    for clip in (0.0, 0.01):
        run = fine_tune(task, grad_clip=clip, optimizer="adamw", **HEAD)

        def step(run, step, *_, **__):
            norms[-1].append(torch.cat([p.grad.flatten() for p in run._network.parameters]).norm().item())
            return step()

        norms.append([])
        monkeypatch.setattr(run._optimizer, "step", partial(step, run, run._optimizer.step))
        run.train_epoch()
    assert min(norms[0]) > 0.02
    assert max(norms[1]) <= 0.01001


def test_another_image_size_has_pixels_and_features_of_its_own(task):
    cache = TensorCache()
    curves = [curve(FineTune(task, {**HEAD, "image_size": s}, SETTINGS, cache=cache), 2) for s in (32, 48, 32)]
    assert curves[0] == curves[2] != curves[1]
    sizes = [key[3] for key in cache._entries if key[0] == "pixels" and key[4] == "train"]
    assert sorted(sizes) == [32, 48]
    alone = FineTune(task, HEAD, replace(SETTINGS, image_size=48), cache=TensorCache())
    assert curve(alone, 2) == curves[1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nesterov": 0.9}, "'nesterov'"),
        ({"optimizer": "lionn"}, "optimizer is one of sgd, adamw, rmsprop or another .*'lionn'"),
        ({"optimizer": "fusedadam"}, "'fusedadam'"),
        ({"layers": "tail"}, "layers is one of head, last_stage, all, but got 'tail'"),
        ({"augmentation": None}, "augmentation is one of"),
        ({"lr": 0}, r"lr must be a number in \(0, inf\), but got 0"),
        ({"lr": float("nan")}, r"\(0, inf\)"),
        ({"lr": float("inf")}, r"\(0, inf\)"),
        ({"lr": "fast"}, r"\(0, inf\)"),
        ({"label_smoothing": 1}, r"label_smoothing must be a number in \[0, 1\), but got 1"),
        ({"batch_size": 16.0}, r"batch_size must be a whole number in \[2, inf\), but got 16.0"),
        ({"image_size": True}, "image_size must be a whole number"),
        ({"schedule": "step"}, "schedule is one of constant, cosine, settle, but got 'step'"),
        ({"momentum": 0.5, "optimizer": "adamw"}, "momentum is only for optimizers that have .* got 0.5.*leave it out"),
        ({"layer_decay": 0.5, "layers": "head"}, "layer_decay is only for layers other than head, but got 0.5"),
        ({"head_lr_multiplier": 2, "layers": "head"}, "head_lr_multiplier is only for layers other than head"),
    ],
)
def test_bad_configurations(wrong, message):
    with pytest.raises(SpaceError, match=message) as caught:
        check_config(wrong)
    assert "\n" not in str(caught.value)


def test_a_knob_without_meaning_may_have_its_default_or_none():
    bare = check_config({"layers": "head", "optimizer": "adamw"})
    for value in (None, 1.0):
        assert check_config({"layers": "head", "optimizer": "adamw", "layer_decay": value, "momentum": None}) == bare


def test_scalars_of_numpy_are_plain_in_a_configuration():
    given = {"lr": np.float64(0.01), "optimizer": np.str_("sgd"), "batch_size": np.int64(8), "mixup": np.float32(1)}
    found = check_config(given)
    assert [type(found[name]) for name in given] == [float, str, int, float]


def test_every_knob_says_what_it_means():
    assert all(knob.meaning.endswith(".") and bool(knob.choices) != bool(knob.within) for knob in KNOBS.values())
    assert check_config({}) == {name: knob.default for name, knob in KNOBS.items()}
