"""How long a collection is said to take, held against what its cells take."""

import pytest
import torch
from digit_images import digit_pixels

from hyperstar_tune.finetune import FineTuneSettings, estimate_collection
from hyperstar_tune.finetune import estimate as module
from hyperstar_tune.finetune.cells import failed_cell, measure_cell
from hyperstar_tune.finetune.wanted import wanted_cells
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.journal import Journal
from hyperstar_tune.tasks.task import ImageTask

SETTINGS = {"model": "torchvision/shufflenet_v2_x1_0", "weights": "own", "image_size": 32, "max_epochs": 8}
SPACE = SearchSpace.from_values({"lr": [1e-3, 1e-2, 1e-1], "layers": ["head", "all"]}, "tiny")


@pytest.fixture(scope="module")
def task():
    pixels, labels = digit_pixels(n_classes=4, per_class=60)
    return ImageTask.from_arrays("digits", pixels, labels)


def test_a_probe_tells_what_a_whole_cell_takes(task):
    whole = wanted_cells([task], SPACE, FineTuneSettings(**SETTINGS)).settings
    config = {"lr": 1e-2, "layers": "last_stage"}
    promised = module.probe_cell(task, config, whole)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a cell, whose seconds are those of the processor
    try:
        taken = measure_cell(whole, task, config, 0)["seconds"]
    finally:
        torch.set_num_threads(threads)
    assert taken / 2 < promised < taken * 2


def test_hours_are_those_of_the_cells_that_are_left(task, tmp_path, monkeypatch):
    probed = []

    def probe(of, config, settings, alone):
        probed.append((of.name, config["layers"], alone))
        return {"head": 36.0, "all": 360.0}[config["layers"]]

    monkeypatch.setattr(module, "probe_cell", probe)
    told = []
    arguments = {"seeds": (0, 1), "workers": 2, "progress": told.append, **SETTINGS}
    estimate = estimate_collection([task], SPACE, tmp_path / "out", **arguments)
    assert probed == [("digits", "all", pytest.approx(2 / 3)), ("digits", "head", pytest.approx(2 / 3))]
    assert (estimate.total, estimate.left) == (12, 12)
    assert estimate.hours == pytest.approx(6 * (36 + 360) / 2 / 3600, rel=0.1)
    assert told == ["all: about 360 s a cell on digits", "head: about 36 s a cell on digits"]
    assert not (tmp_path / "out").exists()

    wanted = wanted_cells([task], SPACE, FineTuneSettings(**SETTINGS), seeds=(0, 1))
    journal = Journal(tmp_path / "out", wanted.collection)
    for _, config, seed in wanted.cells:
        if config["layers"] == "all":
            curves = {name: [] for name in ("val_accuracy", "val_loss", "val_accuracy_b", "val_loss_b", "train_loss")}
            line = {"config": config, "seed": seed, "epochs": [], **curves, "epoch_seconds": [], "device": "cpu"}
            journal.append("digits", {**line, "seconds": 900.0, "error": None})
        elif seed == 0:
            journal.append("digits", failed_cell(config, seed, "it failed"))  # which says nothing of its seconds
    journal.close()
    probed.clear()
    estimate = estimate_collection([task], SPACE, tmp_path / "out", **arguments)
    assert [layers for _, layers, _ in probed] == ["head"]  # the other kind was measured
    assert (estimate.total, estimate.left) == (12, 6)
    assert estimate.seconds == pytest.approx(6 * 36, rel=0.2)
    assert str(estimate).startswith("6 of 12 cells left: about 0.0 h with 2 at a time")
