import json
import os
import pickle
from types import SimpleNamespace

import pytest
from pyarrow import fs
from ray.tune.trainable.metadata import _TrainingRunMetadata

from hyperstar_tune import HyperBandPlan
from hyperstar_tune.search import Gate, KeepRestorable, make_restorable
from hyperstar_tune.search.restore import SNAPSHOT, SnapshotKeeper

FIRST, SECOND = "2026-01-01_00-00-00", "2026-01-01_00-00-07"


def metadata(epochs, checkpoint):
    """Ray's own, of a trial that reported each epoch up to the last, then started again from a checkpoint if any."""
    kept = _TrainingRunMetadata()
    for epoch in range(1, epochs + 1):
        kept.last_result = {"training_iteration": epoch}
        kept.update_metric("training_iteration", epoch, epoch)
    if checkpoint is not None:
        kept.last_result = {"training_iteration": checkpoint}
    return kept.get_json_state()


def write_state(folder, session, epochs, saved=None, checkpoint=None):
    """What Ray writes; ``saved``: epochs as the searcher knows them, where they differ."""
    gate = Gate(HyperBandPlan(9, 3))
    for trial, epoch in (epochs if saved is None else saved).items():
        gate.admit(trial, trial)
        gate.result(trial, epoch, 0.5)
    trials = [(json.dumps({"trial_id": trial}), metadata(epoch, checkpoint)) for trial, epoch in epochs.items()]
    folder.mkdir(exist_ok=True)
    for name, content in (
        (f"experiment_state-{session}.json", json.dumps({"trial_data": trials}).encode()),
        (f"searcher-state-{session}.pkl", pickle.dumps({"gate": gate})),
        (f"search_gen_state-{session}.json", pickle.dumps({"counter": len(epochs)})),
    ):
        (folder / ".tmp").write_bytes(content)
        (folder / ".tmp").replace(folder / name)


def state(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if "-2026-" in path.name}


@pytest.fixture
def place(tmp_path):
    """Where Ray prepares its state, where it stores it, and what the scheduler keeps beside it."""
    staging, stored = tmp_path / "staging", tmp_path / "stored"
    staging.mkdir()
    stored.mkdir()
    storage = SimpleNamespace(
        experiment_driver_staging_path=str(staging),
        experiment_fs_path=str(stored),
        storage_filesystem=fs.LocalFileSystem(),
    )
    return SimpleNamespace(staging=staging, stored=stored, storage=storage, keeper=SnapshotKeeper(storage))


def look(place):
    place.keeper._next_s = 0.0
    os.utime(place.staging)
    place.keeper.look()


def keep(place, session, epochs):
    write_state(place.staging, session, epochs)
    look(place)


def test_a_whole_state_stays_as_it_is(place):
    keep(place, FIRST, {"a": 1})
    write_state(place.stored, FIRST, {"a": 2, "b": 1})
    before = state(place.stored)
    assert make_restorable(place.stored)
    assert state(place.stored) == before


def test_a_callback_keeps_the_state_under_any_scheduler(place):
    trials = [SimpleNamespace(storage=place.storage)]
    callback = KeepRestorable()
    callback.on_step_end(1, [])
    callback.on_step_end(2, trials)
    write_state(place.staging, FIRST, {"a": 1})
    os.utime(place.staging)
    callback.on_step_end(3, trials)
    assert pickle.loads(pickle.dumps(callback))._keeper is None  # Ray pickles callbacks with the run
    write_state(place.stored, FIRST, {"a": 2})
    next(place.stored.glob("experiment_state-*")).write_bytes(b"")
    assert make_restorable(place.stored)
    assert state(place.stored) == state(place.staging)


KINDS = ["experiment_state", "searcher-state", "search_gen_state"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_file_cut_short_brings_the_last_whole_state_back(place, kind, share):
    keep(place, FIRST, {"a": 1})
    write_state(place.stored, FIRST, {"a": 2, "b": 1})
    path = next(place.stored.glob(f"{kind}-*"))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert make_restorable(place.stored)
    assert state(place.stored) == state(place.staging)
    assert make_restorable(place.stored)


def test_a_cut_tuner_is_put_back(place):
    whole = pickle.dumps({"_tune_config": 1})
    (place.stored / "tuner.pkl").write_bytes(whole)
    place.keeper = SnapshotKeeper(place.storage)
    keep(place, FIRST, {"a": 1})
    write_state(place.stored, FIRST, {"a": 1})
    (place.stored / "tuner.pkl").write_bytes(b"")
    assert make_restorable(place.stored)
    assert (place.stored / "tuner.pkl").read_bytes() == whole


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_not_yet_written_brings_the_last_whole_state_back(place, kind):
    keep(place, FIRST, {"a": 1})
    write_state(place.stored, FIRST, {"a": 2})
    next(place.stored.glob(f"{kind}-*")).unlink()
    assert make_restorable(place.stored)
    assert state(place.stored) == state(place.staging)


@pytest.mark.parametrize("checkpoint", [0, 1])
def test_a_trial_that_starts_again_from_its_checkpoint_does_not_make_a_state_torn(place, checkpoint):
    keep(place, FIRST, {"a": 1})
    write_state(place.stored, FIRST, {"a": 2, "b": 3}, checkpoint=checkpoint)
    before = state(place.stored)
    assert make_restorable(place.stored)
    assert state(place.stored) == before


def test_a_state_without_trials_is_none(place):
    write_state(place.stored, FIRST, {})
    assert not make_restorable(place.stored)  # Ray's restore would raise


@pytest.mark.parametrize("checkpoint", [None, 0, 1])
@pytest.mark.parametrize("saved", [{"a": 1}, {"a": 3}, {"a": 2, "b": 1}])
def test_trials_and_searcher_of_different_moments_bring_the_last_whole_state_back(place, saved, checkpoint):
    keep(place, FIRST, {"a": 1})
    write_state(place.stored, FIRST, {"a": 2}, saved, checkpoint)
    assert make_restorable(place.stored)
    assert state(place.stored) == state(place.staging)


def test_a_torn_state_of_a_later_driver_does_not_hide_the_one_put_back(place):
    keep(place, FIRST, {"a": 1})
    write_state(place.stored, SECOND, {"a": 2})
    (place.stored / f"experiment_state-{SECOND}.json").write_bytes(b"")
    assert make_restorable(str(place.stored))

    assert not list(place.stored.glob(f"*{SECOND}*"))


@pytest.mark.parametrize("damage", [lambda b: b[:-30], lambda b: b[:60] + b"????" + b[64:], lambda b: b""])
def test_a_damaged_snapshot_is_not_used(place, damage):
    keep(place, FIRST, {"a": 1})
    content = (place.stored / SNAPSHOT).read_bytes()
    (place.stored / SNAPSHOT).write_bytes(damage(content))
    (place.stored / f"experiment_state-{FIRST}.json").write_bytes(b"")
    assert not make_restorable(place.stored)


def test_without_anything_saved_the_run_starts_anew(tmp_path):
    assert not make_restorable(tmp_path)
    assert not make_restorable(tmp_path / "absent")


def test_what_an_earlier_run_left_is_not_kept_again(place):
    write_state(place.staging, FIRST, {"a": 1})
    place.keeper = SnapshotKeeper(place.storage)
    look(place)
    assert not (place.stored / SNAPSHOT).exists()
    keep(place, SECOND, {"a": 3})
    assert (place.stored / SNAPSHOT).exists()


def test_a_storage_that_is_gone_is_told_once_and_the_run_goes_on(place, caplog):
    place.stored.rmdir()
    place.stored.write_text("not a folder")
    keep(place, FIRST, {"a": 1})
    keep(place, SECOND, {"a": 2})
    assert caplog.text.count("no snapshot of the run could be kept") == 1


def test_an_older_run_without_snapshot_is_left_as_it_can_be_read(place):
    write_state(place.stored, FIRST, {"a": 2}, {"a": 1})
    before = state(place.stored)
    assert make_restorable(place.stored)
    assert state(place.stored) == before


def test_the_same_on_a_filesystem_of_pyarrow(place):
    keep(place, FIRST, {"a": 1})
    (place.stored / f"experiment_state-{FIRST}.json").write_bytes(b"{")
    assert make_restorable("stored", fs.SubTreeFileSystem(str(place.stored.parent), fs.LocalFileSystem()))
    assert state(place.stored) == state(place.staging)
