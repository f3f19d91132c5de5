"""Tables of curves that were measured elsewhere."""

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import ConfigurationSpace, Float
from test_metadataset import SPACE, make_table, same

from hyperstar_tune.errors import HyperStarError, MetaDatasetError, SpaceError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset


def frame_of(table):
    """The table as a long frame, less the cells that were not measured."""
    rows = []
    for task, name in enumerate(table.tasks["name"]):
        for (row, seed, epoch), _ in np.ndenumerate(table.evaluations[task, ..., 0]):
            values = dict(zip(table.objectives, table.evaluations[task, row, seed, epoch], strict=True))
            if np.isfinite(values["epoch_seconds"]):
                about = {
                    "task": name,
                    "family": table.tasks["family"][task],
                    "seed": seed,
                    "epoch": table.epochs[epoch],
                }
                rows.append({**about, **table.configs[row], **values})
    return pd.DataFrame(rows)


def curves(**changes):
    """Two tasks of two configurations of one parameter, over two epochs."""
    rows = [(task, lr, epoch) for task in ("a", "b") for lr in (0.1, 0.01) for epoch in (1, 2)]
    frame = pd.DataFrame(rows, columns=["task", "lr", "epoch"])
    return frame.assign(seed=0, val_accuracy=np.linspace(0.1, 0.8, 8)).assign(**changes)


def test_a_table_written_as_a_frame_comes_back_as_it_was():
    table = make_table(n_tasks=3, n_seeds=2, families=["x", "y", "x"])
    table.evaluations[0, 3, 0, 1:, :5] = np.nan  # diverged
    table.evaluations[1, 4, 1] = np.nan  # not measured
    back = MetaDataset.from_frame(frame_of(table), SPACE, tasks=table.tasks, fingerprint=table.fingerprint)
    assert same(back, table)
    shuffled = frame_of(table).sample(frac=1, random_state=0)
    again = MetaDataset.from_frame(shuffled, SPACE)
    order = [again.configs.index(config) for config in table.configs]
    names = again.tasks["name"].tolist()
    rows = [names.index(name) for name in table.tasks["name"]]
    assert np.array_equal(again.evaluations[rows][:, order], table.evaluations, equal_nan=True)


def test_by_default_further_columns_are_parameters_and_their_values_the_space():
    table = MetaDataset.from_frame(curves(optimizer=["sgd", "adamw"] * 4, size=64.0))
    assert table.space.grid()[0] == {"lr": 0.01, "optimizer": "sgd", "size": 64.0}
    assert len(table.configs) == 4
    assert table.families == ("a", "b")
    assert table.tasks["classes"].tolist() == [0, 0]
    assert table.epochs.tolist() == [1, 2]
    assert (table.fingerprint.max_epochs, table.fingerprint.protocol) == (2, None)


def test_what_the_frame_does_not_have_is_open_and_an_epoch_takes_a_second():
    table = MetaDataset.from_frame(curves())
    assert np.isnan(table.curve("val_accuracy_b")).all()
    assert table.measured.all()
    assert (table.curve("epoch_seconds") == 1).all()
    assert table.scores() == pytest.approx(np.array([[0.2, 0.4], [0.6, 0.8]]))


def test_a_cell_whose_rows_end_early_was_not_trained_to_the_end():
    table = MetaDataset.from_frame(curves().drop(index=3))
    assert table.measured[..., 0].tolist() == [[True, False], [True, True]]


def test_values_take_the_form_they_have_in_the_space():
    space = SearchSpace.from_values({"lr": [1, 2], "batch": [16, 32]})
    table = MetaDataset.from_frame(curves(lr=[1.0, 1.0, 2.0, 2.0] * 2, batch=32.0), space)
    assert table.configs == [{"batch": 32, "lr": 1}, {"batch": 32, "lr": 2}]
    assert all(type(value) is int for config in table.configs for value in config.values())


def test_a_continuous_space_holds_the_configurations_that_appear():
    space = ConfigurationSpace()
    space.add(Float("lr", (1e-3, 1.0), log=True))
    table = MetaDataset.from_frame(curves(), SearchSpace(space))
    assert table.configs == [{"lr": 0.1}, {"lr": 0.01}]


def test_a_subtask_belongs_to_its_parent_and_families_can_be_stated():
    assert MetaDataset.from_frame(curves(task=["a@small"] * 4 + ["a"] * 4)).families == ("a",)
    assert MetaDataset.from_frame(curves(family="both")).families == ("both",)
    about = pd.DataFrame({"name": ["b"], "family": ["other"], "n_train": [7]})
    tasks = MetaDataset.from_frame(curves(), tasks=about).tasks
    assert tasks[["family", "n_train"]].to_numpy().tolist() == [["a", 0], ["other", 7]]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (curves().drop(columns="epoch"), "'epoch' is missing"),
        (curves().drop(columns="seed"), "'seed' is missing"),
        (curves().head(0), "there is none"),
        (pd.concat([curves(), curves().tail(1)]), "'b', .*'lr': 0.01.*, seed 0, epoch 2 has two"),
        (curves(val_accuracy=70.0), r"in \[0, 1\], but is 70.0 on task 'a'; divide percentages by 100"),
        (curves(val_accuracy="high"), "'val_accuracy' must hold numbers"),
        (curves(epoch=1.5), "'epoch' must hold whole numbers of at least 1, but row 0 has 1.5"),
        (curves(epoch=0), "'epoch' must hold whole numbers of at least 1"),
        (curves(epoch=1e30), "'epoch' must hold whole numbers"),
        (curves(lr=[0.1] * 7 + [np.nan]), "'lr' needs a value in every row, but row 7 has none"),
        (curves(task=["a"] * 7 + [None]), "'task' needs a value in every row"),
        (curves(family=["x", "y"] * 4), "'a' has several"),
        (curves(task="../a", epoch=range(1, 9)), "a task name must be a file name"),
        (curves().drop(columns="lr"), "at least one parameter"),
        (curves().rename(columns={"lr": "epoch"}), "'epoch' is there twice"),
    ],
)
def test_curves_that_make_no_table_are_refused_in_one_line(frame, message):
    with pytest.raises(HyperStarError, match=message) as error:
        MetaDataset.from_frame(frame)
    assert "\n" not in str(error.value)


def test_curves_outside_the_space_are_refused():
    with pytest.raises(SpaceError, match=r"'lr' must be one of \[0.1, 0.2\], but got 0.01"):
        MetaDataset.from_frame(curves(), SearchSpace.from_values({"lr": [0.1, 0.2]}))
    with pytest.raises(MetaDatasetError, match="'momentum' is missing"):
        MetaDataset.from_frame(curves(), SearchSpace.from_values({"lr": [0.01, 0.1], "momentum": [0.9]}))
    with pytest.raises(MetaDatasetError, match="but got 'notes'; drop"):
        MetaDataset.from_frame(curves(notes="x"), SearchSpace.from_values({"lr": [0.01, 0.1]}))
    with pytest.raises(MetaDatasetError, match="own space"):
        MetaDataset.from_frame(curves(), fingerprint=Fingerprint(space="another"))
    with pytest.raises(MetaDatasetError, match="need the column 'name'"):
        MetaDataset.from_frame(curves(), tasks=pd.DataFrame({"task": ["a"]}))


def test_a_table_beyond_all_memory_is_refused(monkeypatch):
    monkeypatch.setattr("hyperstar_tune.tables.building._MOST_VALUES", 10)
    with pytest.raises(MetaDatasetError, match="a table may hold 10 values"):
        MetaDataset.from_frame(curves())
