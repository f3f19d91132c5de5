"""From a folder of images to a model in use, by the command."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from digit_images import write_digits

from hyperstar_tune.finetune import FineTune, FineTuneSettings
from hyperstar_tune.finetune.finished import load_best
from hyperstar_tune.finetune.trainable import read_best
from hyperstar_tune.report.page import write_page
from hyperstar_tune.tasks import ImageTask

COMMAND = [sys.executable, "-c", "from hyperstar_tune.cli import main; main()"]
ENVIRONMENT = {**os.environ, "COLUMNS": "160", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
SMALL = ("--weights", "own", "--image-size", "32")


def start(folder, *arguments):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.integration
def test_an_interrupted_run_goes_on_and_leaves_a_model_that_predicts_as_it_was_trained(tmp_path):
    write_digits(tmp_path / "images")
    (tmp_path / "images" / "val").rename(tmp_path / "images" / "test")
    first = start(tmp_path, "tune", "images", "--epochs", 8, "--max-epochs", 4, *SMALL, "--out", "run")
    said = []
    for line in first.stdout:
        said.append(line)
        if "of 8 epochs, best accuracy" in line:
            os.killpg(first.pid, signal.SIGINT)
    assert first.wait(60) == 130, "".join(said)
    assert any("test/ is held out" in line for line in said)
    assert any("Go on with: hyperstar tune images --out run --resume" in line for line in said)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"

    second = start(tmp_path, "tune", "images", "--resume", "--out", "run", "--epochs", 8)
    text, _ = second.communicate(timeout=200)
    assert second.returncode == 0, text
    assert "8 of 8 epochs spent" in text
    assert "test images, which chose nothing" in text
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["spent"]["epochs"]) == ("finished", 8)
    assert sum(len(trial["curve"]) for trial in record["trials"]) == 8
    kept = list((tmp_path / "run").rglob("state.pt"))
    assert len({path.parents[1] for path in kept}) == 1  # the winner's alone

    winner, best = record["winner"], load_best(tmp_path / "run")
    task = ImageTask.from_folder(tmp_path / "images")
    settings = FineTuneSettings(model="torchvision/shufflenet_v2_x1_0", weights="own", image_size=32, max_epochs=4)
    run = FineTune(task, winner["config"], settings)
    epoch, parameters = read_best(max(kept).parent)
    run.load_trained_state(parameters)
    assert epoch == winner["epoch"] == best.card["epoch"]
    logits = best.logits(list(task.sources["val"].paths))
    torch.testing.assert_close(logits, run.predict("val"), atol=1e-4, rtol=0)
    right = (logits.argmax(1).numpy() == task.val_labels).mean()
    assert winner["metrics"]["val_accuracy"] == pytest.approx(right)
    assert record["test"]["scores"]["n"] == 24
    write_page(record, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg") >= 3 * 4
    assert f"{record['winner']['expected']['corrected']:.3f}" in page
