"""Fine-tuning on real Tune."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from digit_images import digit_pixels
from ray import cloudpickle, tune
from ray.tune.logger import JsonLoggerCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from hyperstar_tune.errors import ModelError, TaskError
from hyperstar_tune.finetune import FineTune, FineTuneSettings, trainable
from hyperstar_tune.report.run import accuracy_of_winner, history_of
from hyperstar_tune.tasks.task import ImageTask

pytestmark = pytest.mark.integration
trainable_module = sys.modules["hyperstar_tune.finetune.trainable"]  # the name in its package is the function's
SETTINGS = {"model": "torchvision/shufflenet_v2_x1_0", "weights": "own", "image_size": 32, "max_epochs": 4}
CONFIG = {"lr": 1e-2, "optimizer": "sgd", "layers": "last_stage", "augmentation": "basic"}


@pytest.fixture(scope="module")
def task():
    pixels, labels = digit_pixels(n_classes=3, per_class=30)
    return ImageTask.from_arrays("digits", pixels, labels)


def expected_curve(task, config, epochs):
    run = FineTune(task, config, FineTuneSettings(**SETTINGS), validation="whole")
    return [run.train_epoch()["val_loss"] for _ in range(epochs)]


class PauseEachEpoch(FIFOScheduler):
    """Pauses a trial after every epoch but the last, so that each epoch starts from a checkpoint."""

    def __init__(self, epochs):
        super().__init__()
        self._epochs = epochs
        self.losses = {}

    def on_trial_result(self, tune_controller, trial, result):
        self.losses.setdefault(trial.config["lr"], []).append(result["val_loss"])
        return TrialScheduler.PAUSE if result["training_iteration"] < self._epochs else TrialScheduler.STOP


def test_pausing_and_reusing_processes_leaves_curves_alone(ray_local, task, tmp_path):
    scheduler = PauseEachEpoch(3)
    tune.run(
        trainable(task, **SETTINGS),
        config={**CONFIG, "lr": tune.grid_search([1e-3, 1e-2])},
        scheduler=scheduler,
        reuse_actors=True,
        storage_path=str(tmp_path),
        resources_per_trial={"cpu": 2},  # one process for both
        verbose=0,
    )
    assert set(scheduler.losses) == {1e-3, 1e-2}
    for lr, losses in scheduler.losses.items():
        assert losses == pytest.approx(expected_curve(task, {**CONFIG, "lr": lr}, 3), rel=1e-3)


def test_checkpoint_at_the_last_epoch_without_asking(ray_local, task, tmp_path):
    made = trainable(task, **{**SETTINGS, "max_epochs": 2})
    results = tune.run(
        made, config=CONFIG, stop={"training_iteration": 2}, storage_path=str(tmp_path), verbose=0,
        callbacks=[JsonLoggerCallback()],
    )  # fmt: skip
    (trial,) = results.trials
    assert trial.checkpoint is not None
    run = FineTune(task, CONFIG, FineTuneSettings(**SETTINGS), validation="whole")
    run.load_state_dict(torch.load(f"{trial.checkpoint.path}/state.pt", weights_only=True))
    assert run.epoch == 2
    assert run.evaluate()["val_accuracy"] == pytest.approx(trial.last_result["val_accuracy"])
    history = history_of(results)  # from the logs on disk
    assert [row["epoch"] for row in history] == [1, 2]
    assert history[0]["config"] == CONFIG
    assert accuracy_of_winner(history).plain == pytest.approx(max(row["val_accuracy"] for row in history))


def test_large_tasks_travel_through_the_object_store(ray_local, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)  # 6 MB
    task = ImageTask.from_arrays("noise", images, np.arange(2000) % 2)
    made = trainable(task, **SETTINGS)
    assert len(cloudpickle.dumps(made)) < 1 << 20
    results = tune.run(
        made, config={**CONFIG, "layers": "head", "augmentation": "none"}, stop={"training_iteration": 1},
        storage_path=str(tmp_path), verbose=0,
    )  # fmt: skip
    assert results.trials[0].last_result["epoch"] == 1


def test_trainable_carries_its_fingerprint_and_survives_pickling(task):
    made = trainable(task, **SETTINGS, space_name="mine")
    again = cloudpickle.loads(cloudpickle.dumps(made))
    for cls in (made, again):
        assert cls.__name__ == "FineTune"
        assert cls.space_name == "mine"
        assert (cls.fingerprint.space, cls.fingerprint.image_size, cls.fingerprint.max_epochs) == ("", 32, 4)
    assert made.fingerprint.differences(trainable(task, **{**SETTINGS, "image_size": 64}).fingerprint) != []


def test_all_that_a_trial_does_is_under_the_time_limit(task, tmp_path, monkeypatch):
    limits, seen = [], {}

    @contextmanager
    def time_limit(seconds):
        limits.append(seconds)
        yield
        limits.pop()

    class Run:
        """Notes under which limit each of its methods is called."""

        def __getattr__(self, name):
            def act(*_):
                seen[name] = list(limits)
                return {"epoch": 1, "val_accuracy": 0.5, "val_loss": 1.0, "trained": {}}

            return act

    def begin(*_, **__):
        seen["begin"] = list(limits)
        return Run()

    monkeypatch.setattr(trainable_module, "time_limit", time_limit)
    monkeypatch.setattr(trainable_module, "FineTune", begin)
    trial = trainable(task, **SETTINGS, epoch_seconds_limit=7)(CONFIG)
    trial.step()
    trial.save_checkpoint(str(tmp_path))
    trial.load_checkpoint(str(tmp_path))
    trial.reset_config(CONFIG)
    assert seen == {
        name: [7] for name in ("begin", "train_epoch", "trained_state", "state_dict", "load_state_dict", "close")
    }


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "no_such_net"}, ModelError, "'no_such_net'"),
        ({"weights": "nowhere.pth"}, ModelError, "nowhere.pth"),
        ({"image_size": 0}, ModelError, "image_size .* got 0"),
        ({"batch_size": 1}, ModelError, "batch_size .* got 1"),
        ({"max_epochs": 2.5}, ModelError, "max_epochs .* got 2.5"),
        ({"task": "/no/such/folder"}, TaskError, "/no/such/folder"),
        ({"validation": "all"}, ModelError, "validation must be one of whole, halves, but got 'all'"),
        ({"batchsize": 16}, ModelError, "settings of fine-tuning are model, .* got 'batchsize'"),
        ({"keep_best_by": "auc"}, ModelError, "keep_best_by is one of val_accuracy, .* got 'auc'"),
        ({"settings": "resnet18"}, ModelError, "got 'resnet18'; name the model as model="),
    ],
)
def test_what_cannot_work_fails_before_any_trial(task, change, error, message):
    with pytest.raises(error, match=message) as caught:
        trainable(**{"task": task, **SETTINGS, **change})
    assert "\n" not in str(caught.value)
