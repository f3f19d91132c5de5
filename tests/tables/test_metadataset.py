import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import ConfigurationSpace, EqualsCondition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.metrics import normalize_scores, similarity_matrix
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset

SPACE = SearchSpace.from_values({"lr": [0.01, 0.1, 1.0], "layers": ["head", "all"], "size": [1, 2]})
NAN = float("nan")


def task_rows(n, families=None):
    return pd.DataFrame(
        {
            "name": [f"task{i}" for i in range(n)],
            "family": families or [f"family{i}" for i in range(n)],
            "location": "",
            "classes": 3,
            "n_train": 30,
            "n_val": 20,
            "licence": "CC0",
            "image_hash": "",
        }
    )


def make_table(n_tasks=3, n_seeds=1, epochs=(1, 2, 4), seed=0, families=None, **changes):
    configs = SPACE.grid()
    shape = (n_tasks, len(configs), n_seeds, len(epochs), len(MetaDataset.objectives))
    parts = {
        "space": SPACE,
        "configs": configs,
        "epochs": np.array(epochs),
        "evaluations": np.random.default_rng(seed).uniform(0.1, 1, shape).astype(np.float32),
        "tasks": task_rows(n_tasks, families),
        "fingerprint": Fingerprint(space=SPACE.fingerprint, model="net", image_size=64, max_epochs=epochs[-1]),
    }
    return MetaDataset(**(parts | changes))


def same(one, other):
    return (
        one.configs == other.configs
        and np.array_equal(one.evaluations, other.evaluations, equal_nan=True)
        and np.array_equal(one.epochs, other.epochs)
        and one.tasks.equals(other.tasks)
        and one.fingerprint == other.fingerprint
        and not one.space.difference(other.space)
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n_tasks=st.integers(1, 4),
    n_seeds=st.integers(1, 3),
    epochs=st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True).map(sorted),
    missing=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_a_saved_table_loads_as_it_was(tmp_path, n_tasks, n_seeds, epochs, missing, seed):
    table = make_table(n_tasks, n_seeds, epochs, seed)
    gone = np.random.default_rng(seed).random(table.evaluations.shape[:3]) < missing
    table.evaluations[gone] = np.nan
    table.save(tmp_path / "table")
    assert same(MetaDataset.load(tmp_path / "table"), table)
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def table_with(objective, value):
    evaluations = make_table().evaluations.copy()
    evaluations[1, 0, 0, 0, MetaDataset.objectives.index(objective)] = value
    return make_table(evaluations=evaluations)


@pytest.mark.parametrize(
    ("objective", "value"),
    [("val_accuracy", 1.5), ("val_accuracy_b", -0.1), ("val_loss", np.inf), ("epoch_seconds", -1.0)],
)
def test_values_out_of_range_are_refused_with_their_task(objective, value):
    with pytest.raises(MetaDatasetError, match=rf"{objective} must be .*'task1'"):
        table_with(objective, value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": np.array([1, 1, 2])}, "epochs must rise"),
        ({"epochs": np.array([[1], [2], [4]])}, "epochs must rise"),
        ({"tasks": pd.concat([task_rows(2), task_rows(1)])}, "'task0' appears twice"),
        ({"tasks": task_rows(3).drop(columns="family")}, "'family' is missing"),
        ({"configs": [SPACE.grid()[0]] * 12}, "appears twice"),
        ({"fingerprint": Fingerprint(space="other")}, "own space"),
        *(
            ({"tasks": task_rows(3).assign(name=["a", name, "b"])}, "a task name must be a file name")
            for name in ("..", "../a", "/a", "a\\b", "", "a\0")
        ),
    ],
)
def test_parts_that_make_no_table_are_refused(changes, message):
    with pytest.raises(MetaDatasetError, match=message):
        make_table(**changes)


def test_score_is_the_last_accuracy_meaned_over_trained_seeds():
    table = make_table(n_seeds=2)
    table.evaluations[0, 0, 1] = np.nan
    last = table.evaluations[..., -1, 0]
    assert table.scores()[0, 0] == pytest.approx(last[0, 0, 0])
    assert table.scores()[1, 2] == pytest.approx(last[1, 2].mean())
    assert np.isnan(table.scores(seed=1)[0, 0])
    with pytest.raises(MetaDatasetError, match="seeds 0 to 1, but got 2"):
        table.scores(seed=2)


def test_a_diverged_cell_has_the_tasks_worst_score_and_an_untrained_one_none():
    table = make_table()
    table.evaluations[0, 0, 0, 1:, :5] = np.nan  # diverged in its second epoch
    table.evaluations[0, 1] = np.nan
    assert table.scores()[0, 0] == pytest.approx(table.scores()[0, 2:].min())
    assert np.isnan(table.scores()[0, 1])
    assert table.measured[0, 0]
    assert not table.measured[0, 1]


def test_normalized_scores_have_mean_0_and_deviation_1_over_trained_configurations():
    table = make_table()
    table.evaluations[1, 3:6] = np.nan
    normalized = normalize_scores(table.scores())
    assert np.nanmean(normalized, axis=1) == pytest.approx(np.zeros(3), abs=1e-9)
    assert np.nanstd(normalized, axis=1) == pytest.approx(np.ones(3))
    assert np.isnan(normalized[1, 3:6]).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), missing=st.floats(0, 0.9), k=st.integers(1, 5))
def test_similarity_is_symmetric_a_share_and_1_with_itself(seed, missing, k):
    table = make_table(4, seed=seed)
    table.evaluations[np.random.default_rng(seed).random((4, 12)) < missing] = np.nan
    similarity = similarity_matrix(table.scores(), k)
    known = np.isfinite(similarity)
    assert np.array_equal(similarity, similarity.T, equal_nan=True)
    assert ((similarity[known] >= 0) & (similarity[known] <= 1 + 1e-9)).all()
    trained = np.isfinite(table.scores()).sum(axis=1)
    assert np.array_equal(np.isfinite(np.diag(similarity)), trained >= k)
    assert np.diag(similarity)[trained >= k] == pytest.approx(1)


def test_a_missing_configuration_does_not_count_as_a_bad_one():
    table = make_table(2)
    table.evaluations[1] = table.evaluations[0]
    best = np.argsort(-table.scores()[0])[:2]
    table.evaluations[1, best] = np.nan
    assert similarity_matrix(table.scores(), 3)[0, 1] == pytest.approx(1)


def test_families_are_left_out_or_kept_as_a_whole():
    table = make_table(3, families=["a", "b", "a"])
    assert table.families == ("a", "b")
    assert table.without("a").tasks["name"].tolist() == ["task1"]
    assert table.only(["a"]).tasks["name"].tolist() == ["task0", "task2"]
    assert np.array_equal(table.only("a").evaluations, table.evaluations[[0, 2]])
    with pytest.raises(MetaDatasetError, match="one of a, b, but got 'c'"):
        table.without(["a", "c"])
    with pytest.raises(MetaDatasetError, match="at least one task"):
        table.without(["a", "b"])


def cell(config, seed=0, epochs=(1, 2), error=None, accuracy=0.5):
    about = {"config": config, "seed": seed, "epochs": list(epochs), "device": "cpu", "seconds": 1.0, "error": error}
    return about | dict.fromkeys(MetaDataset.objectives, [accuracy] * len(epochs))


def write_collection(directory, cells):
    (directory / "cells").mkdir(parents=True)
    about = {
        "space": SPACE.to_json(),
        "fingerprint": Fingerprint(space=SPACE.fingerprint).to_json(),
        "tasks": task_rows(len(cells)).to_dict("records"),
    }
    (directory / "collection.json").write_text(json.dumps(about))
    for task, finished in enumerate(cells):
        text = "".join(json.dumps(one) + "\n" for one in finished)
        (directory / "cells" / f"task{task}.jsonl").write_text(text)
    return directory


def test_a_collection_becomes_a_table_less_its_torn_and_failed_cells(tmp_path):
    grid = SPACE.grid()
    diverged = cell(grid[1], accuracy=0.25) | {"val_accuracy": [0.25, None], "val_loss": [1.0, None]}
    failed = cell(grid[2], error="out of memory") | {"epochs": [], "val_accuracy": []}
    directory = write_collection(tmp_path / "c", [[cell(grid[0]), diverged, failed], [cell(grid[0], seed=1)]])
    with (directory / "cells/task0.jsonl").open("a") as file:
        file.write(json.dumps(cell(grid[3]))[:-20])
    table = MetaDataset.from_collection(directory)
    assert table.evaluations.shape == (2, 12, 2, 2, 6)
    assert np.flatnonzero(table.measured[0, :, 0]).tolist() == [0, 1]
    assert np.flatnonzero(table.measured[1, :, 1]).tolist() == [0]
    assert table.curve("val_accuracy")[0, 1, 0, 0] == pytest.approx(0.25)
    assert np.isnan(table.curve("val_accuracy")[0, 1, 0, 1])
    table.save(tmp_path / "table")
    assert same(MetaDataset.load(tmp_path / "table"), table)


def test_incomplete_tasks_can_be_dropped(tmp_path):
    grid = SPACE.grid()
    directory = write_collection(tmp_path / "c", [[cell(config) for config in grid], [cell(grid[0])]])
    about = json.loads((directory / "collection.json").read_text())
    about["tasks"][1]["n_train"] = 300
    (directory / "collection.json").write_text(json.dumps(about))
    table = MetaDataset.from_collection(directory, complete_only=True)
    assert table.tasks["name"].tolist() == ["task0"]
    assert table.fingerprint.train_size == "30 to 30 images"
    assert MetaDataset.from_collection(directory).fingerprint.train_size == "30 to 300 images"
    (directory / "cells/task0.jsonl").unlink()
    with pytest.raises(MetaDatasetError, match=r"no task of .* is complete"):
        MetaDataset.from_collection(directory, complete_only=True)


def test_a_further_seed_counts_on_a_task_as_a_whole_or_not_at_all(tmp_path):
    def seed(number, accuracy=0.5, n=12):
        return [cell(config, number, accuracy=accuracy) for config in SPACE.grid()[:n]]

    cells = [
        seed(0),
        [*seed(0), *seed(1, 0.75)],
        [*seed(0), *seed(1, 0.75, n=11), *seed(2, n=1)],
        [*seed(0, n=1), *seed(1)],
    ]
    table = MetaDataset.from_collection(write_collection(tmp_path / "c", cells), complete_only=True)
    assert table.tasks["name"].tolist() == ["task0", "task1", "task2"]
    assert table.measured.sum(axis=1).tolist() == [[12, 0], [12, 12], [12, 0]]
    assert table.scores() == pytest.approx(np.repeat([[0.5], [0.625], [0.5]], 12, axis=1))


def test_a_further_seed_that_is_complete_nowhere_is_dropped(tmp_path):
    cells = [[*(cell(config) for config in SPACE.grid()), cell(SPACE.grid()[0], seed=1)]]
    table = MetaDataset.from_collection(write_collection(tmp_path / "c", cells), complete_only=True)
    assert table.evaluations.shape[2] == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{torn\n", "line 2"),
        (json.dumps(cell({"lr": 7})) + "\n", "space"),
        (json.dumps({"error": None, "epochs": [1], "config": {}, "seed": 0}) + "\n", "line 2.*val_accuracy"),
        (json.dumps(cell(SPACE.grid()[1]) | {"val_loss": [1.0]}) + "\n", "val_loss needs 2 epochs, but has 1"),
    ],
)
def test_a_damaged_journal_is_an_error_that_says_where(tmp_path, line, message):
    directory = write_collection(tmp_path / "c", [[cell(SPACE.grid()[0])]])
    with (directory / "cells/task0.jsonl").open("a") as file:
        file.write(line)
    with pytest.raises(MetaDatasetError, match=message):
        MetaDataset.from_collection(directory)


def test_a_collection_without_a_finished_cell_is_an_error(tmp_path):
    with pytest.raises(MetaDatasetError, match=r"collection\.json"):
        MetaDataset.from_collection(tmp_path)
    with pytest.raises(MetaDatasetError, match="none yet"):
        MetaDataset.from_collection(write_collection(tmp_path / "c", [[]]))


def test_a_cell_that_was_not_trained_to_the_end_has_no_score():
    table = make_table()
    evaluations = table.evaluations.copy()
    evaluations[0, 0, 0, -1] = np.nan  # stopped early
    evaluations[0, 1, 0, -1, :5] = np.nan  # diverged
    table = replace(table, evaluations=evaluations)
    scores = table.scores()
    assert np.isnan(scores[0, 0])
    assert scores[0, 1] == np.nanmin(scores[0])


def test_a_table_beyond_all_memory_is_refused(tmp_path, monkeypatch):
    write_collection(tmp_path, [[cell(SPACE.grid()[0])]])
    monkeypatch.setattr("hyperstar_tune.tables.building._MOST_VALUES", 10)
    with pytest.raises(MetaDatasetError, match="a table may hold 10 values"):
        MetaDataset.from_collection(tmp_path)


def test_a_table_of_a_conditional_space_comes_back_as_it_was(tmp_path):
    space = ConfigurationSpace({"layers": ["head", "all"], "depth": (1, 9), "decay": (0.5, 1.0)})
    space.add(*(EqualsCondition(space[name], space["layers"], "all") for name in ("depth", "decay")))
    configs = [
        {"layers": "head"},
        {"layers": "all", "depth": 3, "decay": 0.75},
        {"layers": "all", "depth": 9, "decay": 1.0},
    ]
    searched = SearchSpace(space, "conditional", configs)
    evaluations = np.full((1, 3, 1, 2, len(MetaDataset.objectives)), 0.5)
    table = MetaDataset(searched, configs, np.array([1, 2]), evaluations, task_rows(1), Fingerprint())
    table.save(tmp_path / "table")
    loaded = MetaDataset.load(tmp_path / "table")
    assert same(loaded, table)
    assert loaded.configs == configs
    assert type(loaded.configs[1]["depth"]) is int
