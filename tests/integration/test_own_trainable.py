"""Trainables of users under our scheduler: the template of the docs, and one that forgets its checkpoint."""

import runpy
import sys
from pathlib import Path

import pytest
from ray import tune

from hyperstar_tune import HyperBandPlan, PlanScheduler, RandomSearcher

pytestmark = pytest.mark.integration
EXAMPLE = Path(__file__).parents[2] / "examples" / "own_trainable.py"


def test_the_template_goes_on_from_its_checkpoints(ray_local, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    monkeypatch.setenv("HOME", str(tmp_path))  # where Tune keeps runs without a storage
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capsys.readouterr().out
    assert "best: " in said
    assert float(said.rsplit(" ", 1)[1]) > 0.8
    assert "21 of 21 epochs spent" in caplog.text
    assert "begins with epoch 1 again" not in caplog.text
    assert "trained again" not in caplog.text


def test_a_trainable_without_checkpoints_is_told_at_once(ray_local, tmp_path, caplog):
    def forgetful(config):
        epoch = 0
        while True:
            epoch += 1
            tune.report({"val_accuracy": config["x"] + epoch / 100, "epoch": epoch})

    plan = HyperBandPlan(3, 3, 6)
    tune.run(
        forgetful,
        search_alg=RandomSearcher({"x": tune.uniform(0, 1)}, plan=plan),
        scheduler=PlanScheduler(plan),
        metric="val_accuracy",
        mode="max",
        num_samples=-1,
        storage_path=str(tmp_path),
        reuse_actors=True,
        verbose=0,
    )
    assert caplog.text.count("begins with epoch 1 again") == 1
