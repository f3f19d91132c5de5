"""Collecting learning curves through real Tune."""

import importlib
import json
import math
from collections import Counter
from contextlib import nullcontext

import pytest
from digit_images import digit_pixels
from ray.tune.search import Searcher

from hyperstar_tune.cluster import requests
from hyperstar_tune.errors import MetaDatasetError, SpaceError
from hyperstar_tune.finetune import FineTune, FineTuneSettings, collect
from hyperstar_tune.finetune.cell_searcher import CellSearcher, Progress
from hyperstar_tune.finetune.cells import failed_cell
from hyperstar_tune.finetune.expected import ExpectedSeconds
from hyperstar_tune.finetune.wanted import ORDERS, in_order
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace, config_key
from hyperstar_tune.tables.collection import Collection
from hyperstar_tune.tables.journal import Journal
from hyperstar_tune.tasks.task import ImageTask

pytestmark = pytest.mark.integration
SETTINGS = {"model": "torchvision/shufflenet_v2_x1_0", "weights": "own", "image_size": 32, "max_epochs": 3}


@pytest.fixture(scope="module")
def tasks():
    pixels, labels = digit_pixels(n_classes=4, per_class=20)
    first = ImageTask.from_arrays("digits", pixels, labels)
    return [first, ImageTask.from_arrays("inverse", 255 - pixels, labels)]


def space(lrs=(1e-3, 1e-2)):
    return SearchSpace.from_values(
        {"lr": list(lrs), "optimizer": ["sgd"], "layers": ["head", "last_stage"], "augmentation": ["none"]}, name="tiny"
    )


def lines(folder, task):
    return [json.loads(line) for line in (folder / "cells" / f"{task}.jsonl").read_text().splitlines()]


def test_cells_are_measured_once_and_as_fine_tuning_alone_gives_them(ray_local, tasks, tmp_path):
    told = []
    summary = collect(
        tasks, space(), tmp_path, seeds=(0, 1), families={"inverse": "digits"}, progress=told.append, **SETTINGS
    )
    assert (summary.total, summary.measured, summary.failed, summary.left) == (16, 16, 0, 0)
    assert any("16/16 cells" in line and "inverse finished" in line for line in told)
    cells = lines(tmp_path, "digits")
    assert len({json.dumps([c["config"], c["seed"]], sort_keys=True) for c in cells}) == 8
    cell = next(
        c for c in cells if c["seed"] == 1 and c["config"]["layers"] == "last_stage" and c["config"]["lr"] == 1e-2
    )
    run = FineTune(tasks[0], cell["config"], FineTuneSettings(**SETTINGS), seed=1)
    alone = [run.train_epoch() for _ in range(3)]
    assert cell["epochs"] == [1, 2, 3]
    for name in ("val_accuracy", "val_loss_b", "train_loss"):
        assert cell[name] == pytest.approx([row[name] for row in alone], rel=1e-3)
    about = json.loads((tmp_path / "collection.json").read_text())
    assert [(row["name"], row["family"], row["location"]) for row in about["tasks"]] == [
        ("digits", "digits", "arrays"), ("inverse", "digits", "arrays")]  # fmt: skip
    assert about["fingerprint"]["space"] == space().fingerprint

    again = collect(tasks, space(), tmp_path, seeds=(0, 1), progress=told.append, **SETTINGS)
    assert (again.before, again.measured) == (16, 0)

    path = tmp_path / "cells" / "inverse.jsonl"  # as after a kill in the middle of a line
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:6]) + '{"config": {"lr": 0.')
    mended = collect(tasks, space(), tmp_path, seeds=(0, 1), progress=told.append, **SETTINGS)
    assert (mended.before, mended.measured) == (14, 2)
    assert len(lines(tmp_path, "inverse")) == 8


def test_other_settings_are_refused_by_name(ray_local, tasks, tmp_path):
    settings = {**SETTINGS, "max_hours": 0.0, "progress": lambda _: None}
    collect(tasks[:1], space(), tmp_path, **settings)
    for change, message in (
        ({"image_size": 40}, "image size: 40 here, 32 there"),
        ({"max_epochs": 2}, "max epochs: 2 here, 3 there"),
        ({"mean": (0.5, 0.5, 0.5)}, "mean"),
    ):
        with pytest.raises(MetaDatasetError, match=message):
            collect(tasks[:1], space(), tmp_path, **{**settings, **change})
    with pytest.raises(MetaDatasetError, match="lr"):
        collect(tasks[:1], space((1e-3, 1e-1)), tmp_path, **settings)
    renamed = ImageTask.from_arrays("digits", 255 - tasks[0].images("train", 8)[:, 0], tasks[0].train_labels)
    with pytest.raises(MetaDatasetError, match="task digits: "):
        collect([renamed], space(), tmp_path, **settings)


def test_orders_measure_the_same_cells(tasks):
    values = {"lr": [1e-3, 1e-2], "optimizer": ["sgd"], "layers": ["head", "last_stage", "all"]}
    configs = SearchSpace.from_values(values, name="t").grid()
    pixels, labels = digit_pixels(n_classes=2, per_class=20)
    three = [*tasks, ImageTask.from_arrays("smallest", pixels, labels)]
    cells = {order: in_order(three, configs, (0, 1), order, 3) for order in ORDERS}
    keys = {order: [(task, config_key(config), seed) for task, config, seed in cells[order]] for order in ORDERS}
    assert len(set(keys["by-task"])) == 36
    assert set(keys["cheap-first"]) == set(keys["round-robin"]) == set(keys["by-task"])
    assert [task for task, _, _ in cells["by-task"]] == ["digits"] * 12 + ["inverse"] * 12 + ["smallest"] * 12
    layers = ["head", "head", "last_stage", "last_stage", "all", "all"]
    assert [config["layers"] for _, config, _ in cells["cheap-first"]] == layers * 6
    assert [task for task, _, _ in cells["cheap-first"][:6]] == ["smallest"] * 6
    for n in range(1, 37):  # any prefix has as many of each task
        counts = Counter(task for task, _, _ in cells["round-robin"][:n])
        assert max(counts.values()) - min(counts[task.name] for task in three) <= 1
    assert [seed for _, _, seed in cells["round-robin"]] == [0] * 18 + [1] * 18


def test_many_cells_take_several_runs_and_stop_together(tasks, tmp_path, monkeypatch):
    module = importlib.import_module("hyperstar_tune.finetune.collect")  # the function hides it
    sizes, seen = [], []

    def measure(cell, searcher, *_):
        sizes.append(0)
        while len(seen) < 7 and isinstance(trial := searcher.suggest("trial"), dict):
            sizes[-1] += 1
            seen.append((trial["task"], json.dumps(trial["config"])))
            cell = {**failed_cell(trial["config"], trial["seed"], ""), "error": None}
            searcher.on_trial_complete("trial", {"cell": json.dumps(cell)})

    monkeypatch.setattr(module, "_RUN_CELLS", 3)
    monkeypatch.setattr(module, "_ray", lambda *_: nullcontext())
    monkeypatch.setattr(module, "check_request", lambda _: None)
    monkeypatch.setattr(module, "_measure", measure)
    summary = collect(tasks, space(), tmp_path, order="round-robin", progress=lambda _: None, **SETTINGS)
    assert sizes == [3, 3, 1]
    assert (summary.measured, summary.left) == (7, 1)
    assert len(set(seen)) == 7
    assert (len(lines(tmp_path, "digits")), len(lines(tmp_path, "inverse"))) == (4, 3)


def test_an_unknown_order_is_refused(tasks, tmp_path):
    with pytest.raises(MetaDatasetError, match="by-task, cheap-first, round-robin, but got 'random'"):
        collect(tasks, space(), tmp_path, order="random", **SETTINGS)


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_at_all_is_refused(tasks, tmp_path, workers):
    with pytest.raises(MetaDatasetError, match=f"at least one worker, but got {workers}"):
        collect(tasks, space(), tmp_path, workers=workers, **SETTINGS)


def test_no_cell_begins_after_the_time_is_up(ray_local, tasks, tmp_path):
    summary = collect(tasks, space(), tmp_path, max_hours=0.0, progress=lambda _: None, **SETTINGS)
    assert (summary.measured, summary.left) == (0, 8)


def test_time_is_up_although_no_cell_could_begin_and_the_wait_is_told(ray_local, tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "is_autoscaling", lambda: True)  # a node with a GPU may come
    monkeypatch.setattr(requests, "_SAY_SECONDS", 1.0)
    told = []
    summary = collect(tasks, space(), tmp_path, max_hours=4 / 3600, gpus_per_cell=0.5, progress=told.append, **SETTINGS)
    assert (summary.measured, summary.left, summary.interrupted) == (0, 8, False)
    assert summary.seconds < 30
    assert any("no trial could start for" in line and "1 CPU and 0.5 GPU" in line for line in told)
    assert "time left is not known yet  8 cells left" in told[-1]


def test_a_failing_cell_is_tried_twice_and_recorded(ray_local, tmp_path):
    pixels, labels = digit_pixels(n_classes=2, per_class=20)
    task = ImageTask.from_arrays("broken", pixels, labels)
    task.sample_hash()
    task.identity()
    task.sources["train"].source.images = pixels[:3]  # decoding fails in the worker
    told = []
    summary = collect([task], space((1e-3,)), tmp_path, progress=told.append, **SETTINGS)
    assert (summary.measured, summary.failed) == (2, 2)
    cells = lines(tmp_path, "broken")
    assert all("IndexError" in cell["error"] and cell["epochs"] == [] for cell in cells)
    assert sum("failed: IndexError" in line for line in told) == 2
    again = collect([task], space((1e-3,)), tmp_path, progress=told.append, **SETTINGS)
    assert (again.before, again.measured, again.failed) == (0, 2, 2)  # whatever broke them may have passed


def about(rows):
    return Collection(Fingerprint(space=space().fingerprint), space(), {}, rows)


def test_cells_lost_with_their_process_or_an_interruption(tmp_path):
    journal = Journal(tmp_path, about([{"name": "t"}]))
    cells = [("t", config, 0) for config in space().grid()[:2]]
    searcher = CellSearcher(cells, journal, math.inf, Progress(2, cells, lambda _: None, ExpectedSeconds([], 1)))
    first = searcher.suggest("a")
    searcher.suggest("b")
    assert searcher.suggest("c") is None  # one of the two may come back
    searcher.on_trial_complete("a", error=True)
    assert searcher.suggest("c") == first
    searcher.on_trial_complete("c", error=True)  # the second time it is recorded
    assert [cell["error"] for cell in lines(tmp_path, "t")] == ["the worker process died"]
    searcher.on_trial_complete("b", result=None)  # stopped from outside: neither measured nor failed
    assert searcher.left == 1
    assert searcher.suggest("d")["config"] == cells[1][1]
    searcher.on_trial_complete("d", result={"cell": json.dumps(failed_cell(*cells[1][1:], "x") | {"error": None})})
    assert searcher.suggest("e") == Searcher.FINISHED
    journal.close()


def test_a_space_of_other_parameters_is_refused(tasks, tmp_path):
    other = SearchSpace.from_values({"lr": [0.1], "gamma": [0.9]}, name="other")
    with pytest.raises(SpaceError, match="'gamma'"):
        collect(tasks, other, tmp_path, **SETTINGS)


def test_one_writer_at_a_time_and_no_strange_lines(tmp_path):
    wanted = about([{"name": "t"}])
    journal = Journal(tmp_path, wanted)
    with pytest.raises(MetaDatasetError, match="one process at a time"):
        Journal(tmp_path, wanted)
    journal.close()
    (tmp_path / "cells" / "t.jsonl").write_text('{"config": {}, "seed": 0, "error": "failed"}\nnonsense\n')
    journal = Journal(tmp_path, wanted)
    with pytest.raises(MetaDatasetError, match="line 2"):
        journal.finished("t")
    journal.close()
    with pytest.raises(MetaDatasetError, match=r"'a/b'"):
        about([{"name": "a/b"}])


def test_what_a_later_call_leaves_open_stays_as_it_was(tmp_path):
    def rows(**given):
        return [{"name": "pacs_photo@small", "family": "", "licence": ""} | given]

    for given in ({"family": "pacs", "licence": "CC"}, {}, {"family": "other"}):
        Journal(tmp_path, about(rows(**given))).close()
        (row,) = json.loads((tmp_path / "collection.json").read_text())["tasks"]
        assert (row["family"], row["licence"]) == (given.get("family", "pacs"), "CC")
    fresh = tmp_path / "fresh"
    Journal(fresh, about(rows())).close()
    assert json.loads((fresh / "collection.json").read_text())["tasks"][0]["family"] == "pacs_photo"
