"""A collection goes on with the labels and images that it was begun with."""

import json
from pathlib import Path

import numpy as np
import pytest

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.finetune.wanted import wanted_cells
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.collection import Collection
from hyperstar_tune.tables.journal import Journal
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

COMMITTED = Path(__file__).parents[2] / "benchmarks/metadata"
IMAGES = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(20) % 2
SPACE = SearchSpace.from_values({"lr": [0.01], "layers": ["head"]}, "s")


@pytest.fixture(autouse=True)
def _no_networks(monkeypatch):
    monkeypatch.setattr(FineTuneSettings, "check_network", lambda *_: None)


def wanted(labels=LABELS, val=IMAGES):
    settings = FineTuneSettings(model="torchvision/shufflenet_v2_x1_0", weights="own", image_size=32, max_epochs=1)
    return wanted_cells([ImageTask.from_arrays("t", IMAGES, labels, val, labels)], SPACE, settings).collection


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": 1 - LABELS}, "task t: training and validation images have other labels or names"),
        ({"val": 255 - IMAGES}, "task t: the content of images is another"),
        ({"labels": np.arange(20) % 4}, "task t: classes added: 2, 3"),
    ],
)
def test_other_labels_and_validation_images_are_refused(tmp_path, change, said):
    Journal(tmp_path, wanted()).close()
    Journal(tmp_path, wanted()).close()
    with pytest.raises(MetaDatasetError, match=f"have changed: {said}; use another folder") as error:
        Journal(tmp_path, wanted(**change))
    assert "\n" not in str(error.value)
    Journal(tmp_path, wanted(**change), accept_changed_data=True).close()
    Journal(tmp_path, wanted(**change)).close()  # these are its data now


def test_a_collection_without_identity_goes_on_and_gets_one(tmp_path):
    collection = wanted()
    (row,) = collection.rows
    identity = row.pop("identity")
    collection.write(tmp_path)
    Journal(tmp_path, wanted()).close()
    assert json.loads((tmp_path / "collection.json").read_text())["tasks"][0]["identity"] == identity
    row["image_hash"] = "0"
    collection.write(tmp_path)
    with pytest.raises(MetaDatasetError, match=r"task t: image_hash: \w+ here, 0 there"):
        Journal(tmp_path, wanted())


@pytest.mark.parametrize("damaged", [None, {}, {"classes": 5}, "x"])
def test_a_damaged_identity_is_refused_in_one_line(tmp_path, damaged):
    collection = wanted()
    collection.rows[0]["identity"] = damaged
    collection.write(tmp_path)
    with pytest.raises(MetaDatasetError, match="task t: what was written of its data is damaged"):
        Journal(tmp_path, wanted())


def test_committed_collections_are_read_as_before():
    for path in sorted(COMMITTED.glob("*.collection")):
        collection = Collection.read(path)
        assert collection.differences(collection) == collection.changed_data(collection) == []


def test_a_table_does_not_hold_identities(tmp_path):
    collection = wanted()
    collection.write(tmp_path)
    (tmp_path / "cells").mkdir()
    curves = {name: [0.5] for name in MetaDataset.objectives}
    cell = {"config": SPACE.grid()[0], "seed": 0, "epochs": [1], "error": None, **curves}
    (tmp_path / "cells/t.jsonl").write_text(json.dumps(cell) + "\n")
    table = MetaDataset.from_collection(tmp_path)
    table.save(tmp_path / "table")
    assert "identity" not in MetaDataset.load(tmp_path / "table").tasks
