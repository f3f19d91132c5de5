"""What a trainable tells of itself: its data and its circumstances."""

from typing import Any

from ray.tune.experiment import Trial

from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.tasks.identity import refuse_changed_data

__all__ = ["data_of_run", "trainable_fingerprint"]


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
