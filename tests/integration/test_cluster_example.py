"""The script of docs/cluster.md, with as few options as the commands there give it."""

import runpy
import sys
from pathlib import Path

import pytest
import ray

SCRIPT = Path(__file__).parents[2] / "examples" / "cluster" / "run.py"
OFFLINE = ("--model", "torchvision/shufflenet_v2_x1_0", "--weights", "own")


@pytest.mark.integration
def test_the_script_runs_one_pass_and_submitted_again_finds_it_ended(
    ray_local, digits_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(ray, "init", lambda **_: None)  # the cluster is there already
    command = ["run.py", "--data", str(digits_folder), "--storage", str(tmp_path), "--max-epochs", "1", *OFFLINE]
    monkeypatch.setattr(sys, "argv", command)
    for _ in range(2):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr().out
    assert "budget 1 epochs" in said
    best = [line for line in said.splitlines() if line.startswith("best: ")]
    assert len(best) == 2
    assert best[0] == best[1]
