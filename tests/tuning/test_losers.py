from types import SimpleNamespace

import pyarrow.fs
import pytest
from test_history import report

from hyperstar_tune.tuning.history import RunHistory
from hyperstar_tune.tuning.losers import RemoveLosers


@pytest.fixture
def run(tmp_path):
    return RunHistory(), tmp_path


def trial(run, name, status="RUNNING"):
    path = run[1] / name / "checkpoint_000003"
    path.mkdir(parents=True)
    (path / "state.pt").write_text("weights")
    (run[1] / name / "result.json").write_text("{}")
    storage = SimpleNamespace(storage_filesystem=pyarrow.fs.LocalFileSystem(), trial_fs_path=str(run[1] / name))
    newest = SimpleNamespace(checkpoint=SimpleNamespace(path=str(path)), metrics={"training_iteration": 1})
    return SimpleNamespace(trial_id=name, status=status, storage=storage, config={}, latest_checkpoint_result=newest)


def kept(run):
    assert all((folder / "result.json").exists() for folder in run[1].iterdir())
    return sorted(path.parents[1].name for path in run[1].glob("*/*/state.pt"))


def test_only_the_best_of_the_ended_trials_keeps_its_checkpoints(run):
    losers = RemoveLosers(run[0], "val_accuracy")
    trials = [trial(run, name) for name in ("a", "b", "c", "paused")]
    for name, accuracy in (("a", 0.5), ("b", 0.7), ("c", 0.6), ("paused", 0.1)):
        report(run[0], name, 1, accuracy)
    expected = [["a", "b", "c", "paused"], ["b", "c", "paused"], ["b", "paused"]]
    for ended, left in zip(trials, expected, strict=False):
        losers.on_trial_complete(0, trials, ended)
        ended.status = "TERMINATED"
        assert kept(run) == left


def test_trials_that_ended_before_a_restored_run_are_compared_too(run):
    before, best = trial(run, "before", "TERMINATED"), trial(run, "best")
    report(run[0], "before", 1, 0.5)
    report(run[0], "best", 1, 0.9)
    RemoveLosers(run[0], "val_accuracy").on_trial_complete(0, [before, best], best)
    assert kept(run) == ["best"]


def test_a_trial_that_failed_for_good_or_never_reported_loses(run):
    losers = RemoveLosers(run[0], "val_accuracy")
    best, failed, retried = trial(run, "best", "TERMINATED"), trial(run, "failed", "ERROR"), trial(run, "retried")
    report(run[0], "best", 1, 0.1)
    losers.on_trial_error(0, [best, failed, retried], retried)
    assert kept(run) == ["best", "failed", "retried"]
    losers.on_trial_error(0, [best, failed, retried], failed)
    assert kept(run) == ["best", "retried"]


def test_a_trial_without_checkpoints_is_no_error(run):
    losers = RemoveLosers(run[0], "val_accuracy")
    trials = [trial(run, "a", "TERMINATED"), trial(run, "b", "TERMINATED")]
    trials[0].storage.trial_fs_path = str(run[1] / "gone")
    report(run[0], "b", 1, 0.5)
    losers.on_trial_complete(0, trials, trials[1])
    assert kept(run) == ["a", "b"]


def test_a_trial_whose_checkpoint_was_lost_cannot_win(run):
    losers = RemoveLosers(run[0], "val_accuracy")
    lucky, other = trial(run, "lucky", "TERMINATED"), trial(run, "other")
    lucky.latest_checkpoint_result = None  # the run was interrupted while it was written
    report(run[0], "lucky", 1, 0.9)
    report(run[0], "other", 1, 0.5)
    losers.on_trial_complete(0, [lucky, other], other)
    assert kept(run) == ["other"]
