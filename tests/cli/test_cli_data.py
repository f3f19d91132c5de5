"""The commands that look at tables and at folders of images."""

import json

from made_up_table import make_table


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
