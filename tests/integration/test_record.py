"""A run of Tune that knows nothing of us, recorded and learned from."""

import pytest
from digit_images import write_digits
from ray import tune
from ray.tune.logger import JsonLoggerCallback

from hyperstar_tune.predictor import Predictor
from hyperstar_tune.tables import MetaDataset

pytestmark = pytest.mark.integration


def test_a_run_of_tune_is_recorded_and_a_predictor_learns_from_it(ray_local, hyperstar, tmp_path, caplog):
    def theirs(config):  # in here, as workers cannot import from the folder of tests
        for step in range(1, 4):
            tune.report({"mean_accuracy": min(1.0, config["net"]["width"] / 10 + step / 100), "steps": step})

    named = ("--into", tmp_path / "table", "--metric", "mean_accuracy", "--time-attr", "steps")
    for task in ("bright", "dark"):
        images = write_digits(tmp_path / "images" / task)
        tune.run(
            theirs,
            config={"net": {"width": tune.grid_search([1, 2, 5])}, "where": str(tmp_path)},
            storage_path=str(tmp_path / "runs"),
            name=task,
            callbacks=[JsonLoggerCallback()],
            verbose=0,
        )
        status, out, err = hyperstar("record", tmp_path / "runs" / task, *named, "--images", images)
        assert status == 0, err
    assert out.startswith("2 tasks x 3 configurations written to ")
    assert "its tasks: bright, dark" in out
    shown = ("report", tmp_path / "runs" / "dark", "--metric", "mean_accuracy", "--time-attr", "steps")
    assert hyperstar(*shown)[0] == 0
    assert "<b>width=5</b>, after epoch 3 of 3" in (tmp_path / "runs" / "dark" / "report.html").read_text()
    table = MetaDataset.load(tmp_path / "table")
    assert sorted(table.scores()[0]) == pytest.approx([0.13, 0.23, 0.53])
    assert table.tasks["n_train"].tolist() == [36, 36]
    trained = ("meta-train", tmp_path / "table", "--tasks", tmp_path / "images", "--out", tmp_path / "mine")
    assert hyperstar(*trained)[0] == 0
    assert "2 tasks of 2 families x 3 configurations are little to learn from" in caplog.text
    ranking = Predictor.load(tmp_path / "mine").rank(tmp_path / "images" / "dark")
    assert [config["width"] for config in ranking.configs] == [5, 2, 1]
