"""How a run ends before its budget is spent: the summary says why, and whether and how it can go on."""

from contextlib import suppress
from types import SimpleNamespace

import pytest
from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.stopper import CombinedStopper, NoopStopper, Stopper, TimeoutStopper
from virtual_run import VirtualRun, choices, random_run

from hyperstar_tune import HyperBandPlan, PlanScheduler, RandomSearcher
from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.takeover import lift_stop, take_over
from hyperstar_tune.simulation.trial import TERMINATED, ReplayTrial

PLAN = HyperBandPlan(9, 3)


class EnoughStopper(Stopper):
    def __call__(self, trial_id, result):
        return False

    def stop_all(self):
        return True


def over(seconds):
    stopper = TimeoutStopper(seconds)
    stopper._budget = -0.1
    return stopper


def controller(stopper=None, fail_fast=False, has_errored=False, unfinished=0, **more):
    """A controller of Ray at the end of a run."""
    made = object.__new__(TuneController)
    made._stopper = stopper or NoopStopper()
    made._fail_fast, made._has_errored = fail_fast, has_errored
    made._trials = [SimpleNamespace(is_finished=lambda: False)] * unfinished
    made._cleanup_trials = made.end_experiment_callbacks = lambda: None
    made.__dict__.update(more)
    return made


def said_at_end(ended, error=None):
    said = []
    take_over(SimpleNamespace(_tune_controller=ended), said.append)
    if error is None:
        ended.cleanup()
    else:
        with suppress(type(error)):
            try:
                raise error
            except type(error):
                ended.cleanup()  # as tune.run does
                raise
    (why,) = said
    return why


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (controller(over(60)), "time_budget_s=60 is over; restore the run to go on"),
        (controller(CombinedStopper(EnoughStopper(), over(1.5))), "time_budget_s=1.5 is over; restore"),
        (controller(CombinedStopper(EnoughStopper(), TimeoutStopper(60))), "its CombinedStopper stopped it; restore"),
        (controller(EnoughStopper()), "its EnoughStopper stopped it; restore the run to go on"),
        (controller(fail_fast=True, has_errored=True), "a trial failed, and fail_fast ends a run then; restore"),
        (controller(has_errored=True, unfinished=2), "it was interrupted; restore the run to go on"),
        (controller(fail_fast=True, unfinished=2), "it was interrupted; restore"),
    ],
)
def test_the_reason_is_what_ray_ended_it_for(ended, why):
    assert said_at_end(ended).startswith(why)


def test_an_error_is_named_unless_it_says_so_itself():
    assert said_at_end(controller(unfinished=1), KeyError("x")).startswith("KeyError ended it; restore")
    failed = controller(fail_fast="RAISE", has_errored=True, unfinished=1)
    assert said_at_end(failed, RuntimeError("of a trial")).startswith("a trial failed, and fail_fast")
    assert said_at_end(controller(), SearchError("as said")) == ""


def cut_off(plan=PLAN, steps=30, **options):
    """A run that Ray has stopped from outside: no scheduler and no searcher hears of it."""
    run = random_run(plan, **options).play(steps)
    run.search_alg.set_finished()
    for trial in run.trials:
        if not trial.is_finished():
            trial.status = TERMINATED
    run._events.clear()
    return run


def test_the_summary_has_the_reason_and_no_second_one_follows(caplog):
    run = cut_off()
    run.scheduler._snapshot = SimpleNamespace(look=lambda: None)  # as with real Tune
    run.scheduler._at_end("time_budget_s=60 is over; restore the run to go on")
    run.scheduler._at_end("again")
    (message,) = caplog.messages
    lines = message.splitlines()
    assert lines[0] == f"{run.scheduler.spent_epochs} of 69 epochs spent on {len(run.trials)} trials"
    assert lines[1] == "ended before its budget was spent: time_budget_s=60 is over; restore the run to go on"


def test_a_run_that_spent_its_budget_has_no_other_reason(caplog):
    run = random_run(PLAN).run()
    run.scheduler._snapshot = SimpleNamespace(look=lambda: None)
    run.scheduler._at_end("its NoopStopper stopped it")
    assert "ended before" not in run.scheduler.summary()


@pytest.mark.parametrize("steps", [1, 5, 30, 60])
@pytest.mark.parametrize("space", [choices(200), choices(20), tune.uniform(0, 100)])
def test_a_run_that_was_stopped_from_outside_goes_on_to_its_budget(steps, space):
    run = VirtualRun(PlanScheduler(PLAN), RandomSearcher({"x": space})).play(steps)
    run.search_alg.set_finished()
    for trial in run.trials:
        trial.status = trial.status if trial.is_finished() else TERMINATED
    saved = run.save()
    again = run.restored(saved, PlanScheduler(PLAN), RandomSearcher({"x": space})).run()
    assert again.scheduler.spent_epochs == 69
    assert {trial.trial_id for trial in saved.trials} <= {trial.trial_id for trial in again.trials}
    assert {trial.status for trial in again.trials} == {TERMINATED}
    sizes = [len(record.trial_ids) for record in again.scheduler.rungs]
    assert sizes == [9, 3, 1, 5, 1, 3]


def test_a_run_that_had_ended_is_not_begun_again():
    run = random_run(PLAN).run()
    again = run.restored(run.save(), PlanScheduler(PLAN), RandomSearcher({"x": choices(200)}))
    n_trained = len(again.trained)
    again.run()
    assert len(again.trained) == n_trained == 0


def test_trials_that_a_user_skips_are_not_gone_on_with():
    run = random_run(PLAN).play(30)  # killed, not stopped: its search has not finished
    saved = run.save()
    skipped = [trial.trial_id for trial in saved.trials if not trial.is_finished()]
    for trial in saved.trials:
        trial.status = TERMINATED
    again = run.restored(saved, PlanScheduler(PLAN), RandomSearcher({"x": choices(200)})).run()
    assert skipped
    assert not {trial_id for trial_id, _ in again.trained} & set(skipped)


def test_what_ray_would_stop_a_restored_run_for_is_taken_back():
    used_up, running = over(60), TimeoutStopper(60)
    running._budget = 20.0
    ray = controller(CombinedStopper(used_up, CombinedStopper(running)), fail_fast=True, has_errored=True)
    search_alg = SimpleNamespace(_finished=True)
    assert lift_stop(SimpleNamespace(search_alg=search_alg, _tune_controller=ray))
    assert (search_alg._finished, ray._has_errored) == (False, False)
    assert (used_up._budget, running._budget) == (60, 20.0)
    assert not lift_stop(SimpleNamespace(search_alg=search_alg, _tune_controller=ray))


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_samples_that_are_used_up_are_the_reason_also_where_configurations_may_come_again(n):
    run = random_run(PLAN, n=200, num_samples=n)
    run.scheduler.set_search_properties("acc", "max", num_samples=n)
    run.run()
    assert f"before its budget was spent: num_samples={n} is used up; it cannot go on" in run.scheduler.summary()


@pytest.mark.parametrize(("n", "num_samples"), [(3, None), (3, 50), (1, 7)])
def test_configurations_that_are_all_trained_are_the_reason_where_samples_are_left(n, num_samples):
    run = random_run(PLAN, n=n, num_samples=num_samples)
    run.scheduler.set_search_properties("acc", "max", num_samples=num_samples or 10**9)
    run.run()
    assert "all that comes up is trained as far as the plan asks; nothing is left" in run.scheduler.summary()


def test_an_error_of_the_last_trial_is_logged_where_ray_asks_for_no_other(caplog):
    scheduler = PlanScheduler(PLAN)
    run = VirtualRun(scheduler, RandomSearcher({"x": choices(9)}))
    run.add(ReplayTrial("t", run.search_alg.searcher.suggest("t"), 0))
    scheduler.on_trial_complete(run, run.trials[0], {"training_iteration": 1, "acc": "0.5"})
    scheduler._at_end("its NoopStopper stopped it")
    assert "metric 'acc' must be a number, but is a str" in caplog.text
