"""A race on real Tune and its replay do the same, to the digit; also if the driver is killed in between."""

import json
import time

import pytest
import race_driver
import ray
import table_trainable
from kills import start, stop_group

from hyperstar_tune.simulation import replay

pytestmark = pytest.mark.integration
ray.cloudpickle.register_pickle_by_value(table_trainable)


def replayed(task):
    curves, searcher, scheduler = race_driver.parts_of(task)
    run = replay(curves, searcher, scheduler)
    row = {trial.trial_id: trial.row for trial in run.trials}
    return {
        "trials": sorted(
            [t.row, t.epochs, curves.accuracy[t.row, : t.epochs].max(), curves.accuracy_b[t.row, t.epochs - 1]]
            for t in run.trials
            if t.epochs
        ),
        "rungs": [[r.bracket, r.rung, r.epochs, [row[i] for i in r.trial_ids]] for r in scheduler.rungs],
        "spent": run.epochs,
    }


def test_a_race_on_real_tune_is_its_replay(ray_local, tmp_path, caplog):
    live = race_driver.run(tmp_path, "task0")
    assert live.pop("restored") == 0
    assert live == replayed("task0")
    assert 2 in [epochs for _, epochs, *_ in live["trials"]]  # one of the two lost
    assert caplog.text.count("5 of the 34 epochs decide nothing") == 1


def test_a_race_whose_driver_is_killed_is_its_replay_too(tmp_path):
    saved, ended = tmp_path / "run", tmp_path / "ended.json"
    process = start(tmp_path, "task1", driver=race_driver.__file__)
    deadline = time.monotonic() + 120
    try:
        while not _results(saved) > 12 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        stop_group(process)
    assert not ended.exists(), "the run was over before it was killed"
    process = start(tmp_path, "task1", driver=race_driver.__file__)
    try:
        said = process.communicate(timeout=120)[0].decode()
    finally:
        stop_group(process)
    assert ended.exists(), said[-3000:]
    live = json.loads(ended.read_text())
    assert live.pop("restored") == 1
    assert live == replayed("task1")


def _results(saved):
    """Epochs that the last saved state of the run has."""
    states = sorted(saved.glob("experiment_state-*.json"))
    try:
        trials = json.loads(states[-1].read_text())["trial_data"] if states else []
    except (ValueError, OSError):  # in the middle of being written
        return 0
    return sum(json.loads(metadata).get("last_result", {}).get("training_iteration", 0) for _, metadata in trials)
