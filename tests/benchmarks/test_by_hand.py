"""On which curves the things that a person does without a tuner are replayed."""

import numpy as np
from collect_table import listed
from made_up_table import make_table
from scoreboard.by_hand import BY_HAND, WITHOUT_US, replayed_by_hand, table_by_hand

from hyperstar_tune import MetaDataset, SearchSpace
from hyperstar_tune.fingerprint import Fingerprint

METHODS = ["hyperband", *WITHOUT_US]


def typed_table(tasks):
    """A table of the configurations alone."""
    small = make_table()
    space = listed(list(BY_HAND.values()), "by hand")
    evaluations = np.repeat(small.evaluations[:tasks, :1], len(BY_HAND), axis=1)
    return MetaDataset(space, space.grid(), small.epochs, evaluations, small.tasks[:tasks], Fingerprint())


def test_a_grid_with_the_usual_values_needs_no_second_table():
    values = {"optimizer": ["adamw", "sgd"], "lr": [1e-3, 1e-2], "layers": ["head", "last_stage", "all"]}
    space = SearchSpace.from_values({**values, "augmentation": ["basic"]})
    small = make_table()
    table = MetaDataset(space, space.grid(), small.epochs, small.evaluations[:, :12], small.tasks, Fingerprint())
    second, without = replayed_by_hand(METHODS, table, None, ["task0"])
    assert second == []
    assert set(without) == {name for name in WITHOUT_US if name.endswith("96px")}


def test_what_the_table_lacks_is_taken_from_the_second_one(tmp_path):
    table, path = make_table(), tmp_path / "mine-by-hand"
    assert table_by_hand(tmp_path / "mine") is None
    assert replayed_by_hand(["expert", "hyperband"], table, None, ["task0"]) == ([], ["expert"])
    typed_table(2).save(path)
    assert table_by_hand(tmp_path / "mine") == path
    second, without = replayed_by_hand(METHODS, table, path, ["task0", "task1"])
    assert {"expert", "expert_96px", "untuned_default_96px"} <= set(second)
    assert without == []
    assert replayed_by_hand(["expert"], table, path, ["task0", "task3"]) == ([], ["expert"])  # it lacks a task
