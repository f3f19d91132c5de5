"""What a trainable tells of itself: its data and its circumstances."""

from typing import Any

from ray.tune.experiment import Trial

from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.log import LOGGER
from hyperstar_tune.plan import Plan
from hyperstar_tune.race import RacePlan
from hyperstar_tune.tasks.identity import refuse_changed_data

__all__ = ["data_of_run", "fitting_plan", "told_plan", "trainable_fingerprint"]


def data_of_run(trainable: Any, before: dict[str, Any] | None) -> dict[str, Any] | None:
    """The identity of the data that a run trains on, given what was saved of it; see ``take_trainable``."""
    now: dict[str, Any] | None = getattr(trainable, "task_identity", None)
    if not getattr(trainable, "accept_changed_data", False):
        refuse_changed_data(before, now, "a saved run")
    return now or before


def trainable_fingerprint(trial: Trial) -> Fingerprint:
    """The circumstances that a trial's trainable states; all open if it states none."""
    theirs = getattr(trial.get_trainable_cls(), "fingerprint", None)
    return theirs if isinstance(theirs, Fingerprint) else Fingerprint(protocol=None)


def fitting_plan(plan: Plan, trial: Trial) -> Plan:
    """A plan without its race where the learning rate of a trial's trainable falls too early for it."""
    if not isinstance(plan, RacePlan):
        return plan
    return plan.under(trainable_fingerprint(trial).constant_epochs(plan.max_epochs))


def told_plan(plan: Plan, asked: Plan) -> Plan:
    """The plan that runs; says so if it is another one than was asked for."""
    if plan != asked:
        LOGGER.warning("no race, as the learning rate falls too early for it: each configuration trains to the end")
    return plan
