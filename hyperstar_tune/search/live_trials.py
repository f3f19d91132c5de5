"""Ray's live trials as the gate sees them: which one is to run next, and which ones Ray has lost."""

from ray.tune.experiment import Trial

from hyperstar_tune.search.brackets import Gate
from hyperstar_tune.search.searcher import GatedSearcher

__all__ = ["first_ready", "notice_lost"]

_DONE = (Trial.TERMINATED, Trial.ERROR)


def first_ready(gate: Gate, live: dict[str, Trial]) -> Trial | None:
    """The first of the trials that the gate wants to start and that waits for it."""
    running, chosen = [], None
    for trial_id in gate.ready:  # without a copy: after a rung of n trials it holds n
        trial = live.get(trial_id)
        if trial is not None and trial.status in (Trial.PAUSED, Trial.PENDING):
            chosen = trial
            break
        if trial is None or not trial.is_saving:  # one that is being saved will be paused first
            running.append(trial_id)
    for trial_id in running:
        del gate.ready[trial_id]
    return chosen


def notice_lost(gate: Gate, live: dict[str, Trial], searcher: GatedSearcher | None) -> None:
    """Finds trials that Ray ended without telling: their actor could not be reset, or their trainable not found."""
    for trial_id in [i for i in gate.running if i not in live or live[i].status in _DONE]:
        was_seen = live.pop(trial_id, None) is not None
        if not was_seen and searcher is not None and gate.forget(trial_id):
            searcher.suggest_again(trial_id)
        else:
            gate.fail(trial_id, "Ray could not start or reset it")
