"""Our tables in Syne Tune's own loader, and nothing lost on the way."""

import numpy as np
import pytest
from made_up_table import make_table

from hyperstar_tune.tables.metadataset import MetaDataset

pytest.importorskip("fastparquet")  # its reader of Parquet files


@pytest.fixture
def deserialize(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path / "syne-tune"))  # read at import
    return pytest.importorskip("syne_tune.blackbox_repository.blackbox_tabular").deserialize


def test_a_table_loads_as_blackboxes(tmp_path, deserialize):
    table = make_table(n_tasks=3, diverged=[(1, 5)])
    table.evaluations[2, 7] = np.nan  # not measured
    table.save(tmp_path / "table")
    blackboxes = deserialize(str(tmp_path / "table"))
    assert list(blackboxes) == table.tasks["name"].tolist()
    for row, name in enumerate(blackboxes):
        blackbox = blackboxes[name]
        assert blackbox.objectives_names == list(table.objectives)
        assert np.array_equal(blackbox.fidelity_values, table.epochs)
        assert blackbox.all_configurations() == table.configs
        for column, config in enumerate(table.configs):
            for place, epoch in enumerate(table.epochs):
                values = blackbox.objective_function(config, fidelity={"epoch": int(epoch)})
                expected = table.evaluations[row, column, 0, place]
                assert np.array_equal(list(values.values()), expected, equal_nan=True)


def test_a_space_of_ours_is_one_of_theirs(tmp_path, deserialize):
    table = make_table(n_tasks=2)
    table.save(tmp_path / "table")
    space = deserialize(str(tmp_path / "table"))["task0"].configuration_space
    assert {name: tuple(domain.categories) for name, domain in space.items()} == {
        "lr": (1e-4, 1e-3, 1e-2, 1e-1),
        "optimizer": ("sgd", "adamw", "rmsprop"),
        "layers": ("head", "all"),
        "augmentation": ("none", "basic"),
    }
    assert MetaDataset.load(tmp_path / "table").space.fingerprint == table.space.fingerprint
