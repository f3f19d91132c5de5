"""Cells that a GPU trains beside each other are the cells of fine-tuning, and images travel unchanged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from collect_on_gpu import _packed, _unpacked
from digit_images import write_digits
from graphed import GraphedCell, Images, Lane

from hyperstar_tune.finetune import FineTune, FineTuneSettings
from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.tasks import ImageTask

SETTINGS = FineTuneSettings(
    model="torchvision/shufflenet_v2_x1_0", weights="own", image_size=32, max_epochs=3, evaluate_at=(1, 3), device="cpu"
)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks") / "digits"
    write_digits(folder)
    return ImageTask.from_folder(folder, name="digits")


@pytest.mark.parametrize(
    "config",
    [
        {"layers": "head", "optimizer": "sgd", "lr": 0.01, "augmentation": "basic", "batch_size": 16},
        {"layers": "last_stage", "optimizer": "adamw", "lr": 1e-3, "augmentation": "strong", "label_smoothing": 0.1},
        {
            **{"layers": "all", "optimizer": "adamw", "lr": 1e-3, "augmentation": "none", "mixup": 0.3},
            **{"layer_decay": 0.8, "head_lr_multiplier": 3.0, "weight_decay": 0.05},
        },
        {"layers": "all", "optimizer": "sgd", "lr": 0.003, "augmentation": "basic", "batch_norm": "frozen"},
    ],
    ids=lambda config: f"{config['layers']}-{config['optimizer']}",
)
def test_a_graphed_cell_has_the_curve_of_fine_tuning(task, config):
    run = FineTune(task, config, SETTINGS, seed=5)
    expected = [run.train_epoch() for _ in range(3)][::2]
    cpu = torch.device("cpu")
    images = Images(task, SETTINGS, 5, cpu)
    cell = GraphedCell(images, config, SETTINGS, Lane.on(cpu), TensorCache(), set())
    list(cell.steps())
    found = cell.result()
    for name in ("val_loss", "val_loss_b", "train_loss"):
        np.testing.assert_allclose(found[name], [epoch[name] for epoch in expected], rtol=0.02)
    for name in ("val_accuracy", "val_accuracy_b"):
        np.testing.assert_allclose(found[name], [epoch[name] for epoch in expected], atol=0.03)


def test_dropout_of_a_graphed_cell_changes_training_and_not_evaluation(task):
    cpu, settings = torch.device("cpu"), replace(SETTINGS, max_epochs=1, evaluate_at=(1,))
    images, found = Images(task, settings, 0, cpu), {}
    for dropout in (0.0, 0.5):
        config = {"layers": "head", "optimizer": "sgd", "lr": 1e-9, "augmentation": "none", "dropout": dropout}
        cell = GraphedCell(images, config, settings, Lane.on(cpu), TensorCache(), set())
        list(cell.steps())
        found[dropout] = cell.result()
    assert found[0.0]["val_loss"] == pytest.approx(found[0.5]["val_loss"], abs=1e-4)
    assert found[0.0]["train_loss"] != pytest.approx(found[0.5]["train_loss"], abs=1e-3)


def test_what_diverged_stays_lost(task):
    cpu = torch.device("cpu")
    config = {"layers": "head", "optimizer": "sgd", "lr": 1e30, "augmentation": "none"}
    cell = GraphedCell(Images(task, SETTINGS, 0, cpu), config, SETTINGS, Lane.on(cpu), TensorCache(), set())
    list(cell.steps())
    assert cell.result()["val_accuracy"][-1] is None


def test_packed_images_are_those_of_the_task(task, tmp_path):

    about = _packed(task, Path(task.location).parent, tmp_path / "bundle")
    back = _unpacked(task.name, about, tmp_path / "bundle")
    assert back.classes == task.classes
    for split in ("train", "val"):
        assert (back.labels(split) == task.labels(split)).all()
        assert (back.images(split, 24) == task.images(split, 24)).all()
