"""Experiments of Ray Tune that become cells of a table; the files are as Tune's JSON logger writes them."""

import json

import numpy as np
import pytest

from hyperstar_tune.errors import MetaDatasetError, SpaceError
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables import MetaDataset, record

CONFIGS = [{"lr": 0.1, "opt": "sgd"}, {"lr": 0.01, "opt": "adam"}, {"lr": 0.1, "opt": "adam"}]


def write_run(folder, trials, config=lambda config: {"train": config, "data": "/data"}, metric="acc", epoch="it"):
    """``trials``: configuration and accuracy after each epoch; Tune writes NaN as null."""
    for number, (own, curve) in enumerate(trials):
        path = folder / f"trial_{number:05d}"
        path.mkdir(parents=True)
        lines = [
            {metric: value, epoch: n, "time_this_iter_s": 2.0, "config": config(own), "trial_id": str(number)}
            for n, value in enumerate(curve, 1)
        ]
        (path / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def run(tmp_path):
    curves = [[0.3, 0.5, 0.6], [0.4, 0.6, 0.8], [0.2]]  # the last was stopped early
    return write_run(tmp_path / "flowers", list(zip(CONFIGS, curves, strict=True)))


NAMED = {"metric": "acc", "time_attr": "it"}


def test_a_run_of_anybody_becomes_a_table_of_one_task(run):
    table = record(run, None, **NAMED)
    assert table.tasks["name"].tolist() == ["flowers"]
    assert set(table.space.parameters) == {"lr", "opt"}  # what all trials share is no parameter
    assert table.epochs.tolist() == [1, 2, 3]
    scores = dict(zip(map(str, table.configs), table.scores()[0], strict=True))
    own = {str(config): config for config in table.configs}
    by_config = {(own[text]["lr"], own[text]["opt"]): score for text, score in scores.items()}
    assert by_config[0.1, "sgd"] == pytest.approx(0.6)
    assert by_config[0.01, "adam"] == pytest.approx(0.8)
    assert np.isnan(by_config[0.1, "adam"])
    assert float(table.curve("epoch_seconds")[0, 0, 0, 0]) == 2.0
    assert table.fingerprint.max_epochs == 3


def test_a_table_grows_by_runs_of_other_tasks_and_values(run, tmp_path):
    record(run, None, **NAMED).save(tmp_path / "table")
    other = write_run(tmp_path / "beans", [({"lr": 1.0, "opt": "sgd"}, [0.1, 0.2, 0.3])])
    table = record(other, MetaDataset.load(tmp_path / "table"), **NAMED)
    table.save(tmp_path / "table")
    table = MetaDataset.load(tmp_path / "table")
    assert table.tasks["name"].tolist() == ["flowers", "beans"]
    assert len(table.configs) == 4
    assert np.count_nonzero(np.isfinite(table.scores()), axis=1).tolist() == [2, 1]
    again = record(run, table, **NAMED)  # the same run once more changes nothing
    assert sorted(again.tasks["name"]) == ["beans", "flowers"]
    assert np.nansum(again.scores()) == pytest.approx(np.nansum(table.scores()))
    assert again.evaluations.shape == table.evaluations.shape


def test_the_space_of_a_table_is_kept_and_what_it_lacks_is_left_out(run, tmp_path):
    space = SearchSpace.from_values({"lr": [0.01, 0.1]}, "rates")
    table = record(run, None, space=space, **NAMED)
    assert table.space.name == "rates"
    assert [config["lr"] for config in table.configs] == [0.1, 0.01]
    assert table.evaluations.shape[2] == 2  # two trials of one configuration are two seeds
    other = write_run(tmp_path / "beans", [({"lr": 1.0}, [0.1])])
    with pytest.raises(SpaceError, match="lr"):
        record(other, table, **NAMED)


def test_seeds_repeats_resumed_epochs_and_divergence(tmp_path):
    seeded = [({"lr": lr, "seed": seed}, [0.1 * seed, 0.2 * seed]) for lr in (0.1, 0.2) for seed in (1, 3)]
    table = record(write_run(tmp_path / "seeded", seeded), None, **NAMED)
    assert table.evaluations.shape[:3] == (1, 2, 2)
    folder = write_run(tmp_path / "odd", [({"lr": 0.1}, [0.5, None]), ({"lr": 0.2}, [0.1, 0.2, 0.3])])
    path = folder / "trial_00001" / "result.json"
    again = {"acc": 0.9, "it": 3, "config": {"lr": 0.2}}  # trained again; then a line cut off by a kill
    path.write_text(path.read_text() + json.dumps(again) + '\n{"acc": 0.')
    table = record(folder, None, **NAMED)
    lrs = [config["lr"] for config in table.configs]
    assert table.scores()[0, lrs.index(0.2)] == pytest.approx(0.9)
    assert table.measured[0, lrs.index(0.1), 0]  # it diverged: it was trained, and is the worst
    assert np.isnan(table.curve("val_accuracy")[0, lrs.index(0.1), 0, 1:]).all()


def test_an_error_rate_is_turned_round_and_our_own_objectives_are_kept(tmp_path):
    table = record(write_run(tmp_path / "t", [({"lr": lr}, [0.4, lr]) for lr in (0.1, 0.2)]), None, mode="min", **NAMED)
    assert sorted(table.scores()[0]) == pytest.approx([0.8, 0.9])
    ours = write_run(tmp_path / "ours", [({"lr": lr}, [lr]) for lr in (0.1, 0.2)], metric="val_accuracy")
    for path in ours.glob("*/result.json"):
        line = json.loads(path.read_text()) | {"val_accuracy_b": 0.7, "training_iteration": 1, "epoch_seconds": 5.0}
        path.write_text(json.dumps(line) + "\n")
    table = record(ours, None)
    assert table.curve("val_accuracy_b").max() == pytest.approx(0.7)
    assert table.curve("epoch_seconds").max() == 5.0


def test_lists_nulls_and_truth_values_are_values_too(tmp_path):
    configs = [{"sizes": [64, 64], "decay": None, "nest": True}, {"sizes": [32], "decay": "l2", "nest": False}]
    table = record(write_run(tmp_path / "t", [(config, [0.1, 0.2]) for config in configs]), None, **NAMED)
    table.save(tmp_path / "table")
    assert MetaDataset.load(tmp_path / "table").configs == [
        {"decay": "null", "nest": True, "sizes": "[64, 64]"},
        {"decay": "l2", "nest": False, "sizes": "[32]"},
    ]


def test_what_cannot_be_recorded_is_one_line(run, tmp_path):
    table = record(run, None, **NAMED)
    longer = write_run(tmp_path / "longer", [(CONFIGS[0], [0.1] * 4)])
    percent = write_run(tmp_path / "percent", [({"lr": lr}, [100 * lr]) for lr in (0.5, 0.6)])
    alike = write_run(tmp_path / "alike", [(CONFIGS[0], [0.1])])
    fewer = write_run(tmp_path / "fewer", [({"lr": lr}, [0.1]) for lr in (0.1, 0.2)])
    torn = write_run(tmp_path / "torn", [(CONFIGS[0], [0.1, 0.2])])
    path = torn / "trial_00000" / "result.json"
    path.write_text("{\n" + path.read_text())
    for folder, into, named, reason in (
        (tmp_path / "nowhere", None, NAMED, "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"),
        (run, None, {}, "must have 'val_accuracy', but one of 'flowers' has only acc, config, it"),
        (longer, table, NAMED, "end at epoch 3, but the run has trained 4"),
        (percent, None, NAMED, "percent divided by 100"),
        (alike, None, NAMED, "must differ in a parameter"),
        (torn, None, NAMED, "damaged in line 1"),
        (fewer, table, NAMED, "must have the parameter 'opt'"),
        (run, None, {**NAMED, "time_attr": "trial_id"}, "whole number of epochs from 1 on, but is '0'"),
        (run, None, {**NAMED, "time_attr": "acc"}, "whole number of epochs from 1 on, but is 0.3"),
        (run, None, {**NAMED, "mode": "best"}, "'max' or 'min'"),
    ):
        with pytest.raises(MetaDatasetError, match=reason) as refused:
            record(folder, into, **named)
        assert "\n" not in str(refused.value)
