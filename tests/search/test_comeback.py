"""Trials that a user restarts or resumes with a run: back in their places, or as they were."""

from types import SimpleNamespace

import pytest
from ray import tune
from ray.tune.result import EXPR_ERROR_FILE, EXPR_ERROR_PICKLE_FILE
from virtual_run import VirtualRun, choices

from hyperstar_tune import HyperBandPlan, PlanScheduler, RandomSearcher
from hyperstar_tune.errors import SearchError
from hyperstar_tune.simulation import faults
from hyperstar_tune.simulation.trial import ERROR, PENDING, TERMINATED, ReplayTrial

PLAN = HyperBandPlan(9, 3)
SPACES = {"choices": choices(200), "range": tune.uniform(0, 100)}


class WithMetadata(ReplayTrial):
    """A trial with Ray's record of its error."""


class Repeating(RandomSearcher):
    def next_config(self):
        return {"x": 0.5}


def with_a_failure(space, steps):
    """A run whose third report is an error: of a trial in the first rung."""
    run = VirtualRun(PlanScheduler(PLAN), RandomSearcher({"x": SPACES[space]}), workers=1, faults={3: faults.error})
    run.run() if steps is None else run.play(steps)
    (failed,) = [trial for trial in run.trials if trial.status == ERROR]
    return run, run.save(), failed


def restored(run, saved, space):
    return run.restored(saved, PlanScheduler(PLAN), RandomSearcher({"x": SPACES[space]}))


def resume(saved):
    """As Ray with ``resume_errored``."""
    for place, trial in enumerate(saved.trials):
        if trial.status == ERROR:
            saved.trials[place] = resumed = WithMetadata(trial.trial_id, trial.config, trial.row, PENDING)
            resumed.run_metadata = SimpleNamespace(error_filename=None, pickled_error_filename=None)


def restart(saved, which=(ERROR,)):
    """As Ray with ``restart_errored``: trials of the same configurations under new ids, in another order."""
    fresh = []
    for trial in reversed(saved.trials):
        is_meant = trial.status in which
        fresh.append(ReplayTrial(f"new-{trial.trial_id}", trial.config, trial.row) if is_meant else trial)
    saved.trials[:] = fresh


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("begin", [resume, restart])
def test_a_failed_trial_whose_rung_goes_on_is_trained_in_its_place(space, begin):
    run, saved, failed = with_a_failure(space, steps=6)
    begin(saved)
    again = restored(run, saved, space).run()
    assert (failed.trial_id, 1) in again.trained
    assert {trial.trial_id for trial in saved.trials} <= {trial.trial_id for trial in again.trials}
    assert not any(trial.trial_id.startswith("new-") for trial in again.trials)
    assert {trial.status for trial in again.trials} == {TERMINATED}
    assert not again.search_alg.searcher.gate.faults
    assert again.scheduler.spent_epochs == 69
    assert [len(record.trial_ids) for record in again.scheduler.rungs] == [9, 3, 1, 5, 1, 3]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("steps", [25, None], ids=["unfinished", "finished"])
def test_a_failed_trial_whose_rung_has_ended_keeps_its_error_when_it_is_resumed(space, steps, caplog):
    run, saved, failed = with_a_failure(space, steps)
    resume(saved)
    again = restored(run, saved, space).run()
    (kept,) = [trial for trial in again.trials if trial.status == ERROR]
    assert kept.trial_id == failed.trial_id
    assert kept.run_metadata.error_filename == EXPR_ERROR_FILE
    assert kept.run_metadata.pickled_error_filename == EXPR_ERROR_PICKLE_FILE
    assert failed.trial_id not in {trial_id for trial_id, _ in again.trained}
    assert f"trial {failed.trial_id} stays failed: its rung has ended without it" in caplog.text
    assert again.scheduler.spent_epochs == 69
    assert failed.trial_id in again.scheduler.summary()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("steps", [25, None], ids=["unfinished", "finished"])
def test_a_failed_trial_whose_rung_has_ended_is_not_restarted(space, steps):
    run, saved, failed = with_a_failure(space, steps)
    restart(saved)
    with pytest.raises(SearchError, match=f"trial {failed.trial_id} cannot be restarted") as caught:
        restored(run, saved, space).run()
    assert "\n" not in str(caught.value)


def test_finished_trials_are_not_restarted():
    run, saved, _ = with_a_failure("choices", None)
    restart(saved, which=(TERMINATED,))
    with pytest.raises(SearchError, match="cannot be restarted"):
        restored(run, saved, "choices").run()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("steps", [2, 6, 25, 40])
def test_unfinished_trials_that_are_restarted_begin_again_in_their_places(space, steps):
    run = VirtualRun(PlanScheduler(PLAN), RandomSearcher({"x": SPACES[space]}), workers=2).play(steps)
    saved = run.save()
    restart(saved, which=("PENDING", "RUNNING", "PAUSED"))
    again = restored(run, saved, space).run()
    assert again.scheduler.spent_epochs == 69
    assert not any(trial.trial_id.startswith("new-") for trial in again.trials)
    assert [len(record.trial_ids) for record in again.scheduler.rungs] == [9, 3, 1, 5, 1, 3]


def test_of_two_trials_of_one_configuration_each_gets_its_own_id():
    searcher = Repeating({"x": tune.uniform(0, 1)})
    run = VirtualRun(PlanScheduler(PLAN), searcher, workers=1, faults={2: faults.error, 3: faults.error}).play(5)
    saved = run.save()
    ids = {trial.trial_id for trial in saved.trials}
    restart(saved)
    again = run.restored(saved, PlanScheduler(PLAN), Repeating({"x": tune.uniform(0, 1)})).run()
    assert again.scheduler.spent_epochs == 69
    assert ids <= {trial.trial_id for trial in again.trials}
    assert len({trial.trial_id for trial in again.trials}) == len(again.trials)
