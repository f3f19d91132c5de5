"""Faults of one trial on real Tune, and what of a run's promises did not hold. Used by tests and by the soak."""

import io
import logging
import random
import signal
from contextlib import contextmanager

from noop import Table
from ray import tune

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, Ranking, SearchSpace
from hyperstar_tune.errors import SearchError

PLAN = HyperBandPlan(9, 3, 42)
RUNGS = [9, 3, 1, 5, 1]
FAULTS = {  # fault -> trials that end in an error
    "error": 1,
    "once": 0,
    "exit": 1,
    "killed": 1,
    "killed once": 0,
    "out of memory": 1,
    "hang": 1,
    "nan": 0,
    "reset": 1,
    "done": 0,
    "disk full": 1,
}
SAID = {  # fault -> what the summary that the run logs at its end says of it
    "error": "stands with the worst score: RuntimeError: as ordered",
    "once": "failed attempts that were tried again: 1",
    "exit": "stands with the worst score: ",
    "killed": "stands with the worst score: ",
    "killed once": "failed attempts that were tried again: 1",
    "out of memory": "stands with the worst score: MemoryError: as ordered",
    "hang": "stands with the worst score: ",
    "nan": "stands with the worst score: diverged",
    "reset": "stands with the worst score: ",
    "done": "42 of 42 epochs spent",
    "disk full": "no space left on device",
}
SPACE = SearchSpace.from_values({"x": list(range(100))})
RANKING = Ranking.of(SPACE.grid(), [-x for x in range(100)])


class HangError(BaseException):
    """A run that does not end."""


@contextmanager
def ends_within(seconds):
    def stop(*_):
        raise HangError(f"the run did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def messages_to(stream):
    """Writes the library's messages to a stream too."""
    handler = logging.StreamHandler(stream)
    logging.getLogger("hyperstar_tune").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("hyperstar_tune").removeHandler(handler)


def run(storage, config, searcher, scheduler, **options):
    """The trials of one run."""
    return tune.run(
        Table,
        config=config,
        search_alg=searcher,
        scheduler=scheduler,
        metric="acc",
        mode="max",
        num_samples=-1,
        reuse_actors=True,
        raise_on_failed_trial=False,
        storage_path=str(storage),
        name="run",
        verbose=0,
        **options,
    ).trials


def run_with_fault(storage, log, fault, seed):
    """One run in which a trial, drawn by the seed, meets a fault; it is tried again if that comes only once.

    Returns:
        What of the promises did not hold, a line each, and what was counted.
    """
    chance = random.Random(f"{fault} {seed}")
    searcher, scheduler = HyperStarSearcher(ranking=RANKING), PlanScheduler(PLAN)
    is_tried_again = fault in ("once", "killed once")
    fault_x = chance.choice((6, 7, 8))  # the best of the first bracket: it is in every rung
    config = {
        "fault": fault,
        "fault_x": fault_x,
        "fault_epoch": 3 if is_tried_again else chance.choice((1, 2, 3, 5)),
        "limit_s": 1.0,
        "log": str(log),
        "storage": str(storage),
    }
    if fault_x != 8:
        config["fault_epoch"] = min(config["fault_epoch"], 3)
    said = io.StringIO()
    try:
        with ends_within(180), messages_to(said):
            trials = run(storage, config, searcher, scheduler, max_failures=2 if is_tried_again else 0)
    except HangError as error:
        return [str(error)], {"hangs": 1}
    wrong = []
    statuses = [trial.status for trial in trials]
    if not set(statuses) <= {"TERMINATED", "ERROR"} or statuses.count("ERROR") != FAULTS[fault]:
        wrong.append(f"{FAULTS[fault]} trials must fail and none stay, but they are {sorted(statuses)}")
    kept = {trial.trial_id: (trial.last_result or {}).get("training_iteration", 0) for trial in trials}
    lost = sum(max(0, known.epochs - kept.get(known.id, 0)) for known in searcher.gate.trials.values())
    if lost:
        wrong.append(f"{lost} reported epochs are not in the trials' results")
    is_exact = scheduler.spent_epochs == PLAN.epoch_budget
    if not is_exact:
        wrong.append(f"{scheduler.spent_epochs} epochs spent of {PLAN.epoch_budget}")
    if [len(record.trial_ids) for record in scheduler.rungs] != RUNGS:
        wrong.append(f"rungs must be {RUNGS}, but are {[len(record.trial_ids) for record in scheduler.rungs]}")
    if is_tried_again:  # it must keep its slot, its score and its place in the rung in which it failed
        xs = {trial.trial_id: trial.config["x"] for trial in trials}
        second = [xs[trial_id] for trial_id in scheduler.rungs[1].trial_ids]
        if second != [8, 7, 6]:
            wrong.append(f"the second rung must rank 8, 7, 6, but ranks {second}")
    if SAID[fault] not in said.getvalue():
        wrong.append(f"the run must say {SAID[fault]!r}, but says {said.getvalue()!r}")
    return wrong, {"hangs": 0, "lost": lost, "violations": int(not is_exact)}


def run_that_must_stop(storage, log, fault):
    """A run that cannot go on: it must end, with an error that says why, or with every trial ended.

    Returns:
        As ``run_with_fault``; results and epochs are not counted, since nothing is promised for them.
    """
    config = {"fault": fault, "fault_x": 2, "fault_epoch": 1, "log": str(log), "storage": str(storage)}
    try:
        with ends_within(180):
            trials = run(storage, config, HyperStarSearcher(ranking=RANKING), PlanScheduler(PLAN))
    except HangError as error:
        return [str(error)], {"hangs": 1}
    except SearchError as error:
        return (["an error must be one line"] if "\n" in str(error) else []), {"hangs": 0}
    except OSError:  # where its storage is gone
        return [], {"hangs": 0}
    left = [trial.status for trial in trials if trial.status not in ("TERMINATED", "ERROR")]
    return ([f"trials must end, but are {left}"] if left else []), {"hangs": 0}
