"""tune, predict and export-model: arguments and mistakes. Whole runs are in tests/integration."""

import json

import numpy as np
import pytest
from digit_images import write_digits

from hyperstar_tune.cli import network_options
from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune import OWN_MODEL, FineTune, FineTuneSettings
from hyperstar_tune.finetune.finished import save_finished
from hyperstar_tune.tasks import ImageTask
from hyperstar_tune.tuning import TuneOptions


@pytest.fixture(scope="module")
def best(tmp_path_factory):
    """A run with a finished model, and the folder of its images."""
    folder = write_digits(tmp_path_factory.mktemp("digits"))
    settings = FineTuneSettings(model=OWN_MODEL, weights="own", image_size=32)
    run = FineTune(ImageTask.from_folder(folder), {"lr": 0.01, "layers": "head"}, settings)
    run.train_epoch()
    where = tmp_path_factory.mktemp("run")
    save_finished(where / "best", run.whole_state(), run.settings, run.normalization, run.task, {})
    return where, folder


def test_predict_says_the_class_of_each_image_in_files_and_folders(hyperstar, best):
    run, images = best
    status, out, _ = hyperstar("predict", run / "best", images / "val" / "digit0", images / "val" / "digit1" / "0.png")
    assert status == 0
    assert len(out.splitlines()) == 9
    status, out, _ = hyperstar("predict", run, images / "val")
    assert status == 0
    assert len(out.splitlines()) == 24
    path, label, share = out.splitlines()[0].split("  ")
    assert path == str(images / "val" / "digit0" / "0.png")
    assert label in ("digit0", "digit1", "digit2")
    assert 1 / 3 <= float(share) <= 1


def test_predict_as_json_has_all_classes_and_names_what_cannot_be_read(hyperstar, best, tmp_path):
    run, images = best
    (tmp_path / "damaged.png").write_bytes(b"no image")
    status, out, _ = hyperstar("predict", run, images / "val" / "digit0" / "0.png", tmp_path / "damaged.png", "--json")
    assert status == 1
    good, bad = map(json.loads, out.splitlines())
    assert set(good) == {"image", "label", "probability", "probabilities"}
    assert sum(good["probabilities"].values()) == pytest.approx(1)
    assert bad["image"] == str(tmp_path / "damaged.png")
    assert set(bad) == {"image", "error"}


def test_the_exported_model_gives_the_same_logits(hyperstar, best, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from hyperstar_tune.finetune.finished import load_best

    run, images = best
    status, out, _ = hyperstar("export-model", run, "--onnx", tmp_path / "model.onnx")
    assert status == 0
    assert "differ from those of PyTorch by at most" in out
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    model = load_best(run)
    paths = sorted((images / "val" / "digit2").iterdir())
    inputs = np.stack([model.transform(path).numpy() for path in paths])
    (logits,) = session.run(None, {"images": inputs})
    assert logits == pytest.approx(model.logits(paths).numpy(), abs=1e-3)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == ["digit0", "digit1", "digit2"]
    assert json.loads(about["images"])["size"] == 32


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("tune", "FOLDER"), "a run needs one budget: --hours 2, or --epochs 136"),
        (("tune", "FOLDER", "--hours", 1, "--epochs", 3), "a run needs one budget"),
        (("tune", "nowhere", "--epochs", 3), "'nowhere'"),
        (("tune", "FOLDER", "--epochs", 3, "--metric", "auc"), "got 'auc'"),
        (("tune", "FOLDER", "--epochs", 3, "--model", "resnet_of_mine"), "'resnet_of_mine'"),
        (("tune", "FOLDER", "--epochs", 3, "--weights", "own", "--predictor", "no-such"), "no-such"),
        (("tune", "FOLDER", "--epochs", 3, "--weights", "no-such.pth"), "needs --mean R,G,B and --std R,G,B"),
        (("tune", "FOLDER", "--epochs", 3, "--mean", "0,0,0"), "go together"),
        (("tune", "FOLDER", "--epochs", 3, "--mean", "0,0", "--std", "1,1,1"), "--mean is three numbers"),
        (("tune", "FOLDER", "--epochs", 3, "--model-arg", "drop"), "NAME=VALUE"),
        (("tune", "FOLDER", "--epochs", 3, "--weights", "own", "--max-epochs", 0), "max_epochs"),
        (("predict", "nowhere", "FOLDER"), "has none to read"),
        (("predict", "FOLDER", "nowhere"), "'nowhere'"),
        (("export-model", "FOLDER"), "has none to read"),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(hyperstar, digits_folder, monkeypatch, arguments, reason):
    monkeypatch.chdir(digits_folder.parent)
    arguments = [str(digits_folder) if a == "FOLDER" else a for a in arguments]
    status, _, err = hyperstar(*arguments)
    own = [line for line in err.splitlines() if not line.startswith("hyperstar_tune: ")]  # remarks on the images
    assert status == 2
    assert len(own) == 1
    assert own[0].startswith("hyperstar: ")
    assert reason in own[0]
    assert not (digits_folder.parent / "runs").exists()


def test_a_run_is_not_begun_anew_or_changed_by_chance(hyperstar, digits_folder, tmp_path):
    other = write_digits(tmp_path / "others")
    (other / "train" / "digit0" / "0.png").unlink()
    identity = ImageTask.from_folder(other).identity()
    TuneOptions(task=str(digits_folder), epochs=9, weights="own").save(tmp_path / "run", identity=identity)
    status, _, err = hyperstar("tune", digits_folder, "--epochs", 9, "--out", tmp_path / "run")
    assert status == 2
    assert "holds a run already; add --resume" in err
    status, _, err = hyperstar("tune", digits_folder, "--epochs", 12, "--resume", "--out", tmp_path / "run")
    assert status == 2
    assert "--epochs 12 is another than its 9" in err
    (tmp_path / "space.json").write_text('{"lr": [0.1, 0.2]}')
    searched = ("tune", digits_folder, "--space", tmp_path / "space.json", "--resume", "--out", tmp_path / "run")
    assert "space.json is another than its predictor's" in hyperstar(*searched)[2]
    status, _, err = hyperstar("tune", digits_folder, "--epochs", 9, "--resume", "--out", tmp_path / "run")
    assert status == 2
    assert "the data may not change under the run" in err


def test_resume_finds_the_newest_run_of_the_folder(tmp_path, monkeypatch):
    from hyperstar_tune.tuning import find_run

    monkeypatch.chdir(tmp_path)
    assert find_run("images") is None
    for name, task in (("a", "images"), ("b", "others"), ("damaged", "images")):
        TuneOptions(task=task, epochs=9, weights="own").save(tmp_path / "runs" / name)
    (tmp_path / "runs" / "damaged" / "tune.json").write_text("{")
    assert find_run(str(tmp_path / "images")).name == "a"


@pytest.mark.parametrize("answer", ["imagenet", "half", "none"])
def test_a_terminal_is_asked_how_the_images_of_a_file_were_normalized(monkeypatch, answer):
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(network_options.typer, "prompt", lambda text, default: asked.append(text) or answer)
    mean, std = network_options.normalization("mine.pth", None, None)
    assert "How were the images normalized that mine.pth was trained on?" in asked[0]
    assert (len(mean), len(std)) == (3, 3)
    assert network_options.normalization("hub", None, None) == (None, None)
    assert len(asked) == 1
    monkeypatch.setattr(network_options.typer, "prompt", lambda text, default: "whatever")
    with pytest.raises(ModelError, match="the answer is one of imagenet"):
        network_options.normalization("mine.pth", None, None)


def test_arguments_of_a_network_are_literals_or_text():
    assert network_options.model_arguments(["drop_rate=0.1", "act=gelu", "sizes=(1, 2)", "flag=True"]) == {
        "drop_rate": 0.1,
        "act": "gelu",
        "sizes": (1, 2),
        "flag": True,
    }
