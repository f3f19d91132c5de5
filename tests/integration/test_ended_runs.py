"""Runs that Ray ends early or finishes with a failed trial, and what comes of them when they are restored."""

import pytest
from noop import Table
from ray import tune

from hyperstar_tune import HyperBandPlan, PlanScheduler, RandomSearcher
from hyperstar_tune.errors import SearchError

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_local")]
PLAN = HyperBandPlan(9, 3, 21)
SPACE = {"x": tune.choice(list(range(200)))}
FIRST = RandomSearcher(SPACE).suggest("t")["x"]  # of the first trial


def run(storage, config=None, **options):
    scheduler = PlanScheduler(PLAN)
    trials = tune.run(
        Table,
        config=config,
        search_alg=RandomSearcher(SPACE),
        scheduler=scheduler,
        metric="acc",
        mode="max",
        num_samples=-1,
        storage_path=str(storage),
        name="run",
        verbose=0,
        raise_on_failed_trial=False,
        reuse_actors=True,
        **options,
    ).trials
    return scheduler, trials


def test_a_run_that_fail_fast_ended_goes_on_and_restarts_the_failed_trial_in_its_place(tmp_path, caplog):
    config = {"fault": "once", "fault_x": FIRST, "log": str(tmp_path)}
    scheduler, trials = run(tmp_path, config, fail_fast=True)
    (failed,) = [trial for trial in trials if trial.status == "ERROR"]
    assert scheduler.spent_epochs < 21
    assert "a trial failed, and fail_fast ends a run then; restore the run to go on" in scheduler.summary()
    assert scheduler.summary() in caplog.text
    again, trials = run(tmp_path, resume="AUTO+RESTART_ERRORED")
    assert again.spent_epochs == 21
    assert [len(record.trial_ids) for record in again.rungs] == [9, 3, 1]
    assert {trial.status for trial in trials} == {"TERMINATED"}
    assert failed.trial_id in again.rungs[0].trial_ids
    assert [trial.config["x"] for trial in trials if trial.trial_id == failed.trial_id] == [FIRST]


def test_a_failed_trial_of_a_finished_run_keeps_its_error(tmp_path):
    _, trials = run(tmp_path, {"fault": "error", "fault_x": FIRST})
    (failed,) = [trial for trial in trials if trial.status == "ERROR"]
    n_before = len(trials)
    with pytest.raises(SearchError, match=f"trial {failed.trial_id} cannot be restarted, because its rung has ended"):
        run(tmp_path, resume="AUTO+RESTART_ERRORED")
    _, trials = run(tmp_path, resume="AUTO+ERRORED")
    assert len(trials) == n_before
    (kept,) = [trial for trial in trials if trial.status == "ERROR"]
    assert kept.trial_id == failed.trial_id
    assert "as ordered" in kept.get_error()
    assert "as ordered" in str(kept.get_pickled_error())
