"""Removes the checkpoints of trials that have lost while the run goes on, so that its folder stays small."""

from typing import Any

from pyarrow import fs
from ray import tune

from hyperstar_tune.log import LOGGER
from hyperstar_tune.tuning.history import RunHistory, contenders, kept_epochs

__all__ = ["RemoveLosers"]

_CHECKPOINT = "checkpoint_"  # how Ray begins the names of their folders


class RemoveLosers(tune.Callback):
    """Of the trials that have ended, keeps the checkpoints of the best one only.

    A trial that is paused may go on and keeps its own. An interrupted run loses nothing: its trials have not ended.

    Args:
        history: The run's history, a callback that comes before this one.
        metric: The metric that decides.
    """

    def __init__(self, history: RunHistory, metric: str) -> None:
        self._history: RunHistory | None = history
        self._metric = metric
        self._ended: dict[str, Any] = {}  # trials with checkpoints
        self._removed: set[str] = set()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Compares a trial that has ended with the best that ended before."""
        if self._history is None:
            return
        ended = [trial, *(t for t in trials if t.status in ("TERMINATED", "ERROR"))]  # also before a restored run
        self._ended |= {t.trial_id: t for t in ended if t.trial_id not in self._removed}
        kept = kept_epochs(self._ended.values())  # a trial whose checkpoint was lost cannot win
        order = [c.trial for c in contenders(self._history, self._metric, kept)]
        places = {trial_id: place for place, trial_id in enumerate(order)}
        by_place = sorted(self._ended, key=lambda trial_id: places.get(trial_id, len(places)))
        for trial_id in by_place[1:]:
            self._removed.add(trial_id)
            _remove_checkpoints(self._ended.pop(trial_id))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial that failed for good is compared like one that ended."""
        if trial.status == "ERROR":
            self.on_trial_complete(iteration, trials, trial, **info)

    def __getstate__(self) -> dict[str, Any]:
        return {"_history": None, "_metric": self._metric, "_ended": {}, "_removed": set()}


def _remove_checkpoints(trial: Any) -> None:
    """Removes what is there, also a checkpoint that was being written when the run was interrupted."""
    filesystem: fs.FileSystem = trial.storage.storage_filesystem
    try:
        for entry in filesystem.get_file_info(fs.FileSelector(trial.storage.trial_fs_path, allow_not_found=True)):
            if entry.type == fs.FileType.Directory and entry.base_name.startswith(_CHECKPOINT):
                filesystem.delete_dir(entry.path)
    except OSError as error:
        LOGGER.warning("a checkpoint that is not needed any more could not be removed: %s", error)
