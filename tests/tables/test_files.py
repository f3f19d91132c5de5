"""The files of a meta-dataset: their schema, their checksums and what damage to them is answered with."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from test_metadataset import SPACE, make_table, same

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables import files as files
from hyperstar_tune.tables.metadataset import MetaDataset


def test_files_are_those_of_syne_tunes_tabular_blackboxes(tmp_path):
    make_table().save(tmp_path / "table")
    assert {path.name for path in (tmp_path / "table").iterdir()} == {
        "hyperparameters.parquet",
        "objectives_evaluations.npy",
        "fidelities_values.npy",
        "configspace.json",
        "fidelityspace.json",
        "metadata.json",
        "tasks.parquet",
    }
    metadata = json.loads((tmp_path / "table/metadata.json").read_text())
    assert metadata["task_names"] == ["task0", "task1", "task2"]
    assert metadata["objectives_names"] == list(MetaDataset.objectives)
    assert json.loads((tmp_path / "table/configspace.json").read_text())["lr"] == {
        "domain_cls": "Categorical",
        "domain_kwargs": {"categories": [0.01, 0.1, 1.0]},
        "sampler_cls": "Uniform",
        "sampler_kwargs": {},
    }
    fidelity = json.loads((tmp_path / "table/fidelityspace.json").read_text())["epoch"]
    assert (fidelity["domain_cls"], fidelity["domain_kwargs"]) == ("Integer", {"lower": 1, "upper": 4})
    hyperparameters = pd.read_parquet(tmp_path / "table/hyperparameters.parquet")
    assert set(hyperparameters.columns) == set(SPACE.parameters)


def test_continuous_parameters_keep_bounds_and_scale_for_syne_tune():
    from ConfigSpace import ConfigurationSpace, Float, Integer

    space = ConfigurationSpace()
    space.add(Float("lr", (1e-4, 0.1), log=True), Integer("depth", (1, 9)))
    domains = files.syne_space(SearchSpace(space))
    assert (domains["lr"]["domain_cls"], domains["lr"]["sampler_cls"]) == ("Float", "LogUniform")
    assert domains["lr"]["domain_kwargs"] == {"lower": 1e-4, "upper": 0.1}
    assert (domains["depth"]["domain_cls"], domains["depth"]["sampler_cls"]) == ("Integer", "Uniform")


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "name", ["hyperparameters.parquet", "objectives_evaluations.npy", "metadata.json", "tasks.parquet"]
)
@pytest.mark.parametrize("damage", [truncate, lambda path: path.unlink(), lambda path: path.write_bytes(b"no table")])
def test_a_damaged_file_is_named_in_one_line(tmp_path, name, damage):
    make_table().save(tmp_path / "table")
    damage(tmp_path / "table" / name)
    with pytest.raises(MetaDatasetError, match=name) as error:
        MetaDataset.load(tmp_path / "table")
    assert "\n" not in str(error.value)


def without_checksums(directory):
    path = directory / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["hyperstar"]["sha256"]
    path.write_text(json.dumps(metadata))


def test_one_flipped_bit_of_any_file_is_refused_in_one_line(tmp_path):
    make_table().save(tmp_path / "table")
    others = sorted({path.name for path in (tmp_path / "table").iterdir()} - {"metadata.json"})
    assert "objectives_evaluations.npy" in others
    for name in others:
        path = tmp_path / "table" / name
        sound = path.read_bytes()
        path.write_bytes(sound[:-5] + bytes([sound[-5] ^ 1]) + sound[-4:])
        with pytest.raises(MetaDatasetError, match=rf"{name} is damaged: its SHA-256") as error:
            MetaDataset.load(tmp_path / "table")
        assert "\n" not in str(error.value)
        path.write_bytes(sound)
    assert same(MetaDataset.load(tmp_path / "table"), make_table())


def test_a_table_without_checksums_is_read_as_it_is(tmp_path):
    make_table().save(tmp_path / "table")
    without_checksums(tmp_path / "table")
    assert same(MetaDataset.load(tmp_path / "table"), make_table())


@pytest.mark.parametrize("stated", [None, {}, [], {"tasks.parquet": 1}])
def test_checksums_that_lack_a_file_are_refused(tmp_path, stated):
    make_table().save(tmp_path / "table")
    path = tmp_path / "table/metadata.json"
    metadata = json.loads(path.read_text())
    metadata["hyperstar"]["sha256"] = stated
    path.write_text(json.dumps(metadata))
    with pytest.raises(MetaDatasetError, match="its SHA-256 must be as in"):
        MetaDataset.load(tmp_path / "table")


def test_a_pickle_is_refused(tmp_path):
    make_table().save(tmp_path / "table")
    without_checksums(tmp_path / "table")
    np.save(tmp_path / "table/objectives_evaluations.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(MetaDatasetError, match="pickle"):
        MetaDataset.load(tmp_path / "table")


def test_what_does_not_fit_together_is_refused_on_loading(tmp_path):
    make_table().save(tmp_path / "table")
    without_checksums(tmp_path / "table")
    np.save(tmp_path / "table/objectives_evaluations.npy", np.zeros((3, 11, 1, 3, 6), dtype=np.float32))
    with pytest.raises(MetaDatasetError, match="shape"):
        MetaDataset.load(tmp_path / "table")


def test_another_schema_version_is_refused(tmp_path):
    make_table().save(tmp_path / "table")
    path = tmp_path / "table/metadata.json"
    metadata = json.loads(path.read_text())
    metadata["hyperstar"]["schema"] = 99
    path.write_text(json.dumps(metadata))
    with pytest.raises(MetaDatasetError, match="schema 1, but states 99"):
        MetaDataset.load(tmp_path / "table")


def test_saving_replaces_the_old_table_and_a_kill_between_the_renames_loses_nothing(tmp_path):
    old, new = make_table(seed=1), make_table(n_tasks=2, seed=2)
    old.save(tmp_path / "table")
    shutil.move(tmp_path / "table", tmp_path / ".table.old")  # what a kill after the first rename leaves
    assert same(MetaDataset.load(tmp_path / "table"), old)
    new.save(tmp_path / "table")
    assert same(MetaDataset.load(tmp_path / "table"), new)


def test_a_save_that_fails_leaves_the_old_table(tmp_path, monkeypatch):
    old = make_table(seed=1)
    old.save(tmp_path / "table")
    with monkeypatch.context() as patch:
        patch.setattr("hyperstar_tune._files.os.fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            make_table(seed=2).save(tmp_path / "table")
    assert same(MetaDataset.load(tmp_path / "table"), old)
    assert [path.name for path in tmp_path.iterdir()] == ["table"]
