"""What ``PlanScheduler`` asks of a run: a searcher that it can hold back."""

import sys
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.result import TRAINING_ITERATION

from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.searcher import GatedSearcher

__all__ = ["begins_anew", "find_gated", "reason_of_failure"]


def find_gated(search_alg: Any, n_samples: int) -> GatedSearcher | None:
    """The searcher of a run, which will be the scheduler's gate.

    Args:
        search_alg: Ray's search algorithm, as its controller holds it.
        n_samples: ``num_samples`` of the run.

    Returns:
        None for Ray's variant generator, which has no searcher: the scheduler itself holds its trials back.

    Raises:
        SearchError: If the run would be no Hyperband, or stall.
    """
    outermost = getattr(search_alg, "searcher", None)
    if outermost is None:
        name, limit = type(search_alg).__name__, getattr(search_alg, "max_concurrent", 0)
        if n_samples >= sys.maxsize:
            raise SearchError(
                f"PlanScheduler cannot hold back the endless trials of a {name}; "
                "pass search_alg=RandomSearcher(space) or a finite num_samples"
            )
        if limit:
            raise SearchError(
                f"max_concurrent_trials={limit} makes a {name} that counts paused trials as running; "
                f"pass search_alg=RandomSearcher(space, max_concurrent={limit}) instead"
            )
        return None
    searcher, name = outermost, type(outermost).__name__
    while hasattr(searcher, "searcher") and not isinstance(searcher, GatedSearcher):
        searcher = searcher.searcher
    if not isinstance(searcher, GatedSearcher):
        raise SearchError(f"PlanScheduler cannot hold back a {name}; pass search_alg=Gated({name}(...))")
    if searcher is not outermost:
        raise SearchError(f"{type(searcher).__name__} cannot be wrapped in a {name}, which hides it; unwrap it")
    return searcher


def begins_anew(trial: Any, result: dict[str, Any], done: int) -> str:
    """What to say if a trial that was paused trains from its start again, because it has no checkpoint or reads none.

    Args:
        trial: Ray's trial.
        result: Its result.
        done: Epochs that it had trained before.

    Returns:
        An empty text if it went on, or if it failed before and so may have lost its checkpoint.
    """
    counted, own = result[TRAINING_ITERATION], result.get("epoch")
    is_first = result.get("iterations_since_restore", 1) == 1
    starts_again = counted == 1 or (is_first and counted > 1 and own in (0, 1))
    if not done or not starts_again or bool(getattr(trial, "num_failures", 0)):
        return ""
    return (
        f"trial {trial.trial_id} had trained {done} epochs, was paused, and begins with epoch 1 again: the trainable "
        "must save a checkpoint and go on from it, by tune.report(..., checkpoint=...) and tune.get_checkpoint(), or "
        "by save_checkpoint and load_checkpoint"
    )


def reason_of_failure(trial: Trial) -> str:
    """The last line of the error that Ray has written down."""
    path = getattr(trial, "error_file", None)  # a replayed trial has none
    try:
        lines = Path(path).read_text(errors="replace").split("\n") if path else []
    except OSError:  # the disk is full, or the storage gone
        lines = []
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "failed")
