"""The commands that look at tables and at folders of images."""

import json
from contextlib import closing

from made_up_table import make_table

from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.collection import Collection
from hyperstar_tune.tables.journal import Journal
from hyperstar_tune.tables.objectives import OBJECTIVES


def test_a_table_is_described(hyperstar, tmp_path):
    make_table(n_tasks=3).save(tmp_path / "table")
    status, out, _ = hyperstar("metadataset", "describe", tmp_path / "table", "--figures", tmp_path / "figures")
    assert status == 0
    assert out.startswith("3 tasks (3 parents, 0 sub-tasks) of 2 families x 48 configurations")
    assert "half A judged on half B of the same seed, 3 tasks" in out
    assert (tmp_path / "figures" / "similarity.png").exists()
    status, out, _ = hyperstar("metadataset", "describe", tmp_path / "table", "--json")
    assert json.loads(out)["configurations"] == 48
    status, _, err = hyperstar("metadataset", "describe", tmp_path)
    assert (status, err.count("\n")) == (2, 1)


def test_a_folder_is_checked_and_a_hopeless_one_ends_with_status_two(hyperstar, digits_folder):
    status, out, _ = hyperstar("tasks", "check", digits_folder)
    assert status == 0
    assert "ready for training" in out
    status, out, _ = hyperstar("tasks", "check", digits_folder, "--published", "ip102")
    assert status == 0
    assert "3 classes, but ip102 has 102" in out
    for path in (digits_folder / "val/digit2").iterdir():
        path.unlink()
    status, out, _ = hyperstar("tasks", "check", digits_folder)
    assert status == 2
    assert "training would be refused: every class needs" in out
    status, out, _ = hyperstar("tasks", "check", digits_folder, "--json")
    assert status == 2
    assert "digit2" in json.loads(out)["refused"]


def test_an_unknown_order_of_collecting_is_one_line(hyperstar, digits_folder, tmp_path):
    status, out, err = hyperstar("collect", digits_folder, "--out", tmp_path / "out", "--order", "sideways")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "by-task, cheap-first, round-robin, but got 'sideways'" in err
    assert not (tmp_path / "out").exists()


def test_an_export_counts_the_cells_that_are_not_there(hyperstar, tmp_path):
    space = SearchSpace.from_values({"lr": [0.1, 0.2, 0.3]}, "tiny")
    rows = [{"name": name, "family": name, "location": "", "classes": 2, "n_train": 9, "n_val": 9} for name in "ab"]
    collection = Collection(Fingerprint(space=space.fingerprint), space, {}, [row | {"image_hash": ""} for row in rows])
    with closing(Journal(tmp_path / "begun", collection)) as journal:
        for task, lr in (("a", 0.1), ("a", 0.2), ("a", 0.3), ("b", 0.2)):
            curves = {name: [0.5] for name in OBJECTIVES}
            cell = {"config": {"lr": lr}, "seed": 0, "epochs": [1], **curves, "device": "cpu", "seconds": 1.0}
            journal.append(task, cell | {"error": None})
    export = ("export", tmp_path / "begun", "--out", tmp_path / "table")
    status, out, _ = hyperstar(*export, "--no-complete-only")
    assert status == 0
    assert out.startswith("2 tasks x 3 configurations written to ")
    assert "; 2 of 6 cells (33%) are not measured, and 1 tasks are complete" in out
    assert "not measured" not in hyperstar(*export)[1]  # the complete task alone


def test_a_dry_run_says_hours_and_measures_nothing(hyperstar, digits_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("hyperstar_tune.finetune.estimate.probe_cell", lambda *_: 1800.0)
    common = ("collect", digits_folder, "--out", tmp_path / "out", "--weights", "own", "--workers", 2, "--dry-run")
    status, out, _ = hyperstar(*common, "--model", "torchvision/shufflenet_v2_x1_0", "--configs", 6)
    assert status == 0
    assert "6 of 6 cells left: about 1.5 h with 2 at a time (3.0 h one after the other)" in out
    assert not (tmp_path / "out").exists()
