"""A finished model on disk, and the best epoch that a trial keeps for it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import torchvision
from digit_images import digit_pixels, write_digits
from PIL import Image
from safetensors.torch import load_file

from hyperstar_tune.errors import ModelError, TaskError
from hyperstar_tune.finetune import OWN_MODEL, FineTune, FineTuneSettings, trainable
from hyperstar_tune.finetune.finished import load_best, save_finished
from hyperstar_tune.finetune.trainable import read_best
from hyperstar_tune.tasks import ImageTask

SETTINGS = FineTuneSettings(model=OWN_MODEL, weights="own", image_size=32, max_epochs=4)
CONFIG = {"lr": 1e-2, "layers": "last_stage", "augmentation": "none", "optimizer": "sgd"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def run(folder):
    run = FineTune(ImageTask.from_folder(folder), CONFIG, SETTINGS)
    run.train_epoch()
    return run


@pytest.fixture(scope="module")
def saved(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "best"
    save_finished(
        path, run.whole_state(), run.settings, run.normalization, run.task, {"config": CONFIG, "readme": "Me."}
    )
    return path


def val_images(run):
    return list(run.task.sources["val"].paths)


def test_the_saved_model_gives_the_logits_of_training(run, saved):
    model = load_best(saved)
    assert model.classes == ("digit0", "digit1", "digit2")
    torch.testing.assert_close(model.logits(val_images(run)), run.predict("val"), atol=1e-4, rtol=0)
    assert load_best(saved.parent).card["config"] == CONFIG  # the folder of the run will do
    opened = [Image.open(path) for path in val_images(run)[:2]]
    torch.testing.assert_close(model.logits(opened), model.logits(val_images(run)[:2]))
    assert not model.module.training


def test_predictions_are_shares_and_a_damaged_image_says_so(run, saved, tmp_path):
    (tmp_path / "damaged.png").write_bytes(b"no image")
    images = [val_images(run)[0], tmp_path / "damaged.png", *val_images(run)[1:70]]
    predictions = list(load_best(saved).predict(images))
    assert [p.image for p in predictions] == [str(path) for path in images]
    assert [bool(p.error) for p in predictions] == [False, True, *[False] * (len(images) - 2)]
    logits = run.predict("val")
    assert [p.label for p in predictions if p.label] == [run.task.classes[i] for i in logits.argmax(1)]
    for p, shares in zip([p for p in predictions if p.label], logits.softmax(1), strict=True):
        assert list(p.probabilities.values()) == pytest.approx(shares.tolist(), abs=1e-4)
        assert p.probability == max(p.probabilities.values())
    with pytest.raises(TaskError, match=r"must be readable, but .*damaged"):
        load_best(saved).logits(images)


def test_a_labelled_folder_is_judged(run, saved, folder, tmp_path):
    pairs = list(load_best(saved).predict_folder(folder / "val"))
    assert [truth for truth, _ in pairs] == [run.task.classes[i] for i in run.task.val_labels]
    assert [p.label for _, p in pairs] == [run.task.classes[i] for i in run.predict("val").argmax(1)]
    (tmp_path / "cats").mkdir()
    with pytest.raises(TaskError, match="'cats'"):
        load_best(saved).predict_folder(tmp_path)


def test_the_weights_load_into_torchvision_alone(run, saved):
    network = torchvision.models.get_model("shufflenet_v2_x1_0", num_classes=3)
    network.load_state_dict(load_file(saved / "model.safetensors"))
    images = torch.stack([load_best(saved).transform(path) for path in val_images(run)])
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(images), run.predict("val"), atol=1e-4, rtol=0)
    assert "torchvision.models.get_model('shufflenet_v2_x1_0', num_classes=3)" in (saved / "README.md").read_text()


@pytest.mark.parametrize(("model", "arguments"), [("test_vit", {"img_size": 64}), ("timm/test_efficientnet", {})])
def test_networks_of_timm_are_built_again_as_they_were(folder, tmp_path, model, arguments):
    plain = model.removeprefix("timm/")
    settings = replace(SETTINGS, model=model, weights="hub", image_size=64)
    state = timm.create_model(plain, num_classes=3, **arguments).eval().state_dict()
    task = ImageTask.from_folder(folder)
    save_finished(tmp_path / "best", state, settings, {"mean": (0.5,) * 3, "std": (0.5,) * 3}, task, {})
    best = load_best(tmp_path / "best")
    assert best.card["network"] == {"library": "timm", "name": plain, "arguments": arguments}
    assert best.card["images"]["size"] == 64
    pixels = torch.from_numpy(task.images("val", 64)).float() / 255
    network = timm.create_model(plain, num_classes=3, **arguments).eval()
    network.load_state_dict(state)
    with torch.inference_mode():
        expected = network((pixels - 0.5) / 0.5)
    torch.testing.assert_close(best.logits(list(task.sources["val"].paths)), expected, atol=1e-4, rtol=1e-4)


def test_deep_images_keep_the_scale_of_the_task(tmp_path):
    rng = np.random.default_rng(0)
    for i, name in enumerate(["dark", "dark", "dark", "dark", "light", "light", "light", "light"]):
        (tmp_path / "deep" / name).mkdir(parents=True, exist_ok=True)
        values = rng.integers(0, 2000, (16, 16), dtype=np.uint16) + (2000 if name == "light" else 0)
        Image.fromarray(values.astype(np.uint16)).save(tmp_path / "deep" / name / f"{i}.png")
    task = ImageTask.from_folder(tmp_path / "deep")
    assert task.value_range == (0, 4095)
    run = FineTune(task, CONFIG, SETTINGS)
    save_finished(tmp_path / "best", run.whole_state(), run.settings, run.normalization, task, {})
    logits = load_best(tmp_path / "best").logits(list(task.sources["val"].paths))
    torch.testing.assert_close(logits, run.predict("val"), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "card.json").unlink(), "a finished model is a folder with a card.json"),
        (lambda f: (f / "card.json").write_text("{"), "must be JSON"),
        (lambda f: (f / "card.json").write_text("[]"), "of schema 1"),
        (lambda f: (f / "model.safetensors").write_bytes(b"cut"), "the file that its card describes"),
        (lambda f: (f / "model.safetensors").unlink(), "no sound model"),
        (lambda f: rewrite(f, network={"library": "timm", "name": "no_such_net", "arguments": {}}), "no_such_net"),
        (
            lambda f: rewrite(f, network={"library": "torchvision", "name": "resnet18", "arguments": {}}),
            "no sound model",
        ),
        (lambda f: rewrite(f, classes=["a", "b"]), "no sound model"),
        (lambda f: rewrite(f, weights={}), "no sound model"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(run, tmp_path, damage, reason):
    save_finished(tmp_path / "best", run.whole_state(), run.settings, run.normalization, run.task, {})
    damage(tmp_path / "best")
    with pytest.raises(ModelError, match=reason) as caught:
        load_best(tmp_path / "best")
    assert "\n" not in str(caught.value)


def rewrite(folder, **entries):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | entries))


class Scripted:
    """A run whose epochs have given results, and whose trained state is the number of its epoch."""

    stalled = False

    def __init__(self, results):
        self.results, self.epoch = results, 0

    def train_epoch(self):
        self.epoch += 1
        accuracy, loss = self.results[self.epoch - 1]
        return {"epoch": self.epoch, "val_accuracy": accuracy, "val_loss": loss}

    def trained_state(self):
        return {"w": torch.tensor(float(self.epoch))}

    def state_dict(self):
        return {"epoch": self.epoch, "trained": self.trained_state()}

    def load_state_dict(self, state, accept_changed_data):
        self.epoch = state["epoch"]

    def close(self):
        pass


NAN = float("nan")


@pytest.mark.parametrize(
    ("results", "best"),
    [
        ([(0.5, 1.0), (0.7, 0.9), (0.6, 0.5)], 2),
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 2),  # equal accuracies: the lower loss
        ([(0.5, 1.0), (0.5, 1.0)], 1),
        ([(0.5, 1.0), (NAN, NAN)], 1),
        ([(NAN, NAN), (0.1, 3.0)], 2),
        ([(0.2, 1.0), (0.3, 1.0), (0.4, 1.0)], 3),
    ],
)
@pytest.mark.parametrize("paused_after", [0, 1, 2])
def test_a_checkpoint_keeps_the_best_epoch_also_over_a_pause(monkeypatch, tmp_path, results, best, paused_after):
    pixels, labels = digit_pixels()
    made = trainable(ImageTask.from_arrays("digits", pixels, labels), SETTINGS)
    monkeypatch.setattr(made, "_begin", lambda self, config: setattr(self, "_fine_tune", Scripted(results)))
    monkeypatch.setattr(made, "_saved_at", 0.0, raising=False)
    trial = made(CONFIG)
    for epoch in range(1, len(results) + 1):
        trial.step()
        if epoch == paused_after:
            (tmp_path / "pause").mkdir()
            trial.save_checkpoint(str(tmp_path / "pause"))
            trial = made(CONFIG)
            trial.load_checkpoint(str(tmp_path / "pause"))
    trial.save_checkpoint(str(tmp_path))
    epoch, state = read_best(tmp_path)
    assert (epoch, float(state["w"])) == (best, best)


def test_a_checkpoint_of_diverged_epochs_alone_has_no_best_one(tmp_path):
    torch.save({"epoch": 1, "trained": {}}, tmp_path / "state.pt")
    with pytest.raises(ModelError, match="an epoch that did not diverge"):
        read_best(tmp_path)
