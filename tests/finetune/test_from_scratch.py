"""The network and the space ``cnn-from-scratch``, its penalties and its patience."""

from dataclasses import replace

import pytest
import torch
from digit_images import digit_pixels

from hyperstar_tune import SearchSpace
from hyperstar_tune.errors import ModelError, SpaceError
from hyperstar_tune.finetune import SHAPE, ConvolutionalNetwork, FineTune, FineTuneSettings, build_model, trainable
from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.finished import load_best, save_finished
from hyperstar_tune.finetune.knobs import check_config
from hyperstar_tune.tasks.task import ImageTask

SETTINGS = FineTuneSettings(model="cnn-from-scratch", image_size=16)
SPACE = SearchSpace.from_name("cnn-from-scratch")


@pytest.fixture(scope="module")
def task():
    pixels, labels = digit_pixels(n_classes=3, per_class=16)
    return ImageTask.from_arrays("digits", pixels, labels)


def fine_tune(task, settings=SETTINGS, **config):
    return FineTune(task, {"augmentation": "none", **config}, settings, cache=TensorCache())


def kinds(network):
    return [type(layer).__name__ for layer in network.modules() if not isinstance(layer, torch.nn.Sequential)]


def test_a_network_has_the_layers_of_its_configuration():
    network = ConvolutionalNetwork(5, 32, n_conv=3, n_fc=2, filters_2=11, filter_size_2=5, units_1=20, units_2=30)
    convolution = ["Conv2d", "MaxPool2d", "ReLU"]
    connected = ["Linear", "ReLU"]
    assert kinds(network) == convolution * 3 + ["AdaptiveAvgPool2d", "Flatten"] + connected * 2 + ["Linear"]
    second = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)][1]
    assert (second.out_channels, second.kernel_size) == (11, (5, 5))
    widths = [layer.out_features for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    assert widths == [20, 30, 5]


@pytest.mark.parametrize("size", [16, 32, 48, 64, 128])
@pytest.mark.parametrize("n_conv", [1, 4])
def test_every_size_is_taken_and_the_weights_do_not_grow_with_it(size, n_conv):
    network = ConvolutionalNetwork(3, size, n_conv=n_conv)
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 3)
    first = next(layer for layer in network.modules() if isinstance(layer, torch.nn.Linear))
    assert first.in_features <= 32 * 16


def test_all_configurations_of_the_space_are_known_and_train(task):
    assert {*SPACE.parameters} - {*SHAPE} == {"lr", "batch_size", "l1", "l2"}
    assert {*SHAPE} <= {*SPACE.parameters}
    for config in SPACE.sample(200, 0):
        assert ("filters_3" in config) == ("filter_size_3" in config) == (config["n_conv"] >= 3)
        assert ("units_2" in config) == (config["n_fc"] >= 2)
        check_config(config, SHAPE)
    for config in SPACE.sample(2, 1):
        row = fine_tune(task, **config).train_epoch()
        assert 0 <= row["val_accuracy"] <= 1


def test_the_network_learns(task):
    run = fine_tune(task, lr=3e-3, optimizer="adamw", n_conv=2, filters_1=16, filters_2=32)
    rows = [run.train_epoch() for _ in range(12)]
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert rows[-1]["val_accuracy"] > 0.5


def test_a_shape_belongs_to_its_own_network_only(task):
    with pytest.raises(SpaceError, match=r"knows the parameters .*n_conv.* but got 'n_conf'"):
        fine_tune(task, n_conf=2)
    with pytest.raises(SpaceError, match="filters_3 is only for n_conv of at least 3"):
        fine_tune(task, n_conv=2, filters_3=16)
    with pytest.raises(SpaceError, match="but got 'n_conv'"):
        check_config({"n_conv": 2})


def test_images_that_are_too_small_and_weights_are_refused_at_once(task):
    with pytest.raises(ModelError, match=r"at least 16 pixels.*got 8; pass image_size=32"):
        trainable(task, model="cnn-from-scratch", image_size=32, image_sizes=(8, 32))
    with pytest.raises(ModelError, match="has new weights, but got weights='own'"):
        FineTuneSettings(model="cnn-from-scratch", weights="own")
    with pytest.raises(ModelError, match="model_kwargs must be known"):
        build_model("cnn-from-scratch", 3, image_size=32, kwargs={"depth": 3})


def test_any_network_can_begin_with_new_weights():
    torch.manual_seed(0)
    one = build_model("torchvision/shufflenet_v2_x0_5", 3, "none").state_dict()
    torch.manual_seed(1)
    other = build_model("torchvision/shufflenet_v2_x0_5", 3, "none").state_dict()
    assert not torch.equal(one["conv1.0.weight"], other["conv1.0.weight"])
    assert FineTuneSettings(weights="none").fingerprint().weights == "none" == SETTINGS.fingerprint().weights


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_a_penalty_makes_weights_small_and_its_loss_is_counted(task, penalty):
    free, bound = (fine_tune(task, lr=1e-2, **{penalty: factor}) for factor in (0.0, 0.02))

    def size(run):
        return float(sum(p.abs().sum() for p in run.whole_state().values() if p.ndim > 1))

    before = size(free)
    weights = [p for p in bound.whole_state().values() if p.ndim > 1]
    total = sum(p.abs().sum() if penalty == "l1" else p.square().sum() for p in weights)
    assert bound._penalty().item() == pytest.approx(0.02 * float(total), rel=1e-5)
    assert free._penalty() == 0.0
    for run in (free, bound):
        for _ in range(3):
            run.train_epoch()
    assert size(bound) < size(free)
    assert size(bound) < before


def test_training_ends_after_epochs_without_improvement_and_the_values_hold(task):
    settings = replace(SETTINGS, patience=3)
    run = fine_tune(task, settings, lr=1e-12)  # it learns nothing
    rows = [run.train_epoch() for _ in range(7)]
    assert run.stalled
    assert [row["epoch"] for row in rows] == list(range(1, 8))
    held = [{k: v for k, v in row.items() if k not in ("epoch", "epoch_seconds")} for row in rows[3:]]
    assert held == [held[0]] * 4
    assert [row["epoch_seconds"] > 0 for row in rows] == [True] * 4 + [False] * 3
    state = run.state_dict()
    again = fine_tune(task, settings, lr=1e-12)
    again.load_state_dict(state)
    assert again.stalled
    assert again.train_epoch()["train_loss"] == held[0]["train_loss"]


def test_patience_goes_on_where_a_checkpoint_was(task):
    settings = replace(SETTINGS, patience=3)
    run, again = (fine_tune(task, settings, lr=1e-12) for _ in range(2))
    run.train_epoch()
    run.train_epoch()
    again.load_state_dict(run.state_dict())
    again.train_epoch()
    assert not again.stalled
    again.train_epoch()
    assert again.stalled


def test_a_stalled_trial_reports_done(task):
    trial = trainable(task, model="cnn-from-scratch", image_size=16, patience=1)({"lr": 1e-12})
    results = [trial.train() for _ in range(2)]
    assert [bool(result["done"]) for result in results] == [False, True]
    trial.stop()


def test_a_finished_model_of_it_can_be_used(task, tmp_path):
    run = fine_tune(task, n_conv=3, filters_3=12)
    run.train_epoch()
    save_finished(tmp_path / "best", run.whole_state(), run.settings, run.normalization, task, {})
    model = load_best(tmp_path / "best")
    logits = model.module(torch.zeros(1, 3, 16, 16))
    assert logits.shape == (1, 3)
    assert "ConvolutionalNetwork(3, image_size=16" in (tmp_path / "best" / "README.md").read_text()
