"""Trials of a restored run, also those that a user lets Ray restart or resume: back in their places, or refused.

``restart_errored`` gives a trial a new id, which the saved searcher does not know. The trial is recognized by its
configuration and gets its old id back. A trial whose rung has ended without it has no place to train in, so it keeps
its error: Ray would end it as if it had succeeded.

Source: ray 2.60, ``tune/execution/tune_controller.py::_requeue_restored_trials``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.result import EXPR_ERROR_FILE, EXPR_ERROR_PICKLE_FILE
from ray.tune.utils.util import flatten_dict

from hyperstar_tune.errors import SearchError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.search.brackets import Gate
from hyperstar_tune.search.ray_space import nest
from hyperstar_tune.search.searcher import GatedSearcher

__all__ = ["put_back", "take_up"]

_DONE = (Trial.TERMINATED, Trial.ERROR)


def take_up(trial: Trial, gate: Gate, goes_on: bool) -> None:
    """Takes a trial of a restored run that the saved searcher knows.

    Args:
        trial: Ray's trial, with the status in which Ray takes it; Ray files it after this call.
        gate: The gate of the run.
        goes_on: Whether the run was stopped from outside: then Ray has ended its trials without a word.
    """
    trial_id = trial.trial_id
    record = gate.trials[trial_id]
    if trial.status == Trial.TERMINATED and goes_on and not record.ended:
        trial.set_status(Trial.PENDING)
    if trial.status in _DONE:
        if not record.ended and record.epochs < gate.plan.max_epochs and not gate.finished:
            gate.fail(trial_id) if trial.status == Trial.ERROR else gate.end(trial_id)
        return
    gate.revive(trial_id)
    if trial_id in gate.faults:
        _keep_failed(trial, gate)
    elif trial_id not in gate.running and trial.status == Trial.PENDING:
        trial.set_status(Trial.PAUSED)


def put_back(controller: Any, unknown: Sequence[Trial], gate: Gate, searcher: GatedSearcher) -> dict[str, Trial]:
    """Gives restarted trials their ids and places back, and ends those that nobody knows.

    Args:
        controller: Ray's controller, which has all trials of the restored run.
        unknown: Trials whose ids the saved searcher does not know; unless they have ended, they are paused.
        gate: The gate of the run.
        searcher: The searcher of the run.

    Returns:
        The trials that are back, by their ids.

    Raises:
        SearchError: If a restarted trial has no place any more.
    """
    present = {trial.trial_id for trial in controller.get_trials()}
    missing = {
        trial_id: _text(nest(config, searcher.paths) if searcher.paths else config)
        for trial_id, config in searcher.configs.items()
        if trial_id in gate.trials and trial_id not in present
    }
    back = {}
    for trial in unknown:
        own = _text(getattr(trial, "evaluated_params", None) or trial.config)
        is_new = trial.status not in _DONE and not (trial.last_result or {}).get("training_iteration")
        old = next((trial_id for trial_id, text in missing.items() if text == own), None) if is_new else None
        if old is None:  # newer than the saved searcher, which will suggest its configuration again
            LOGGER.warning("trial %s is unknown to the restored searcher and is not continued", trial.trial_id)
            if trial.status not in _DONE:
                controller._set_trial_status(trial, Trial.TERMINATED)
            continue
        is_over = gate.trials[old].ended and old not in gate.losers  # losers are about to be stopped
        if is_over and not (old in gate.faults and gate.has_place(old)):
            raise SearchError(
                f"trial {old} cannot be restarted, because its rung has ended without it; restore the run without "
                "restarting trials that have ended, which then keep their results and errors"
            )
        del missing[old]
        trial.trial_id = old
        back[old] = trial
        gate.trials[old].position = 0
        gate.revive(old)
        if old in gate.running:
            gate.ready[old] = None
    return back


def _text(config: Mapping[str, Any]) -> str:
    """A configuration as text that is the same before and after Ray has saved it."""
    return json.dumps(flatten_dict(dict(config)), sort_keys=True, default=str)


def _keep_failed(trial: Trial, gate: Gate) -> None:
    """Leaves a trial that was to be resumed as it was, because its rung has ended without it."""
    LOGGER.warning("trial %s stays failed: its rung has ended without it", trial.trial_id)
    if gate.faults[trial.trial_id] == "diverged":
        trial.set_status(Trial.TERMINATED)
        return
    trial.set_status(Trial.ERROR)
    metadata = getattr(trial, "run_metadata", None)  # a replayed trial has none
    if metadata is not None:
        metadata.error_filename, metadata.pickled_error_filename = EXPR_ERROR_FILE, EXPR_ERROR_PICKLE_FILE
