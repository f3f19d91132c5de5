"""The results of a run as they come in, and what they say: standings, the winner and who ties with it."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

__all__ = ["Contender", "RunHistory", "contenders", "kept_epochs"]

Row = dict[str, Any]
_LEFT_OUT = ("config", "done", "date", "hostname", "node_ip", "pid", "trial_id", "timestamp", "should_checkpoint")


class RunHistory(tune.Callback):
    """Keeps every new result of a run; an epoch that is trained again after a fault does not count twice.

    Attributes:
        rows: One per new epoch in the order of arrival: ``trial``, ``epoch``, ``at_s`` (seconds of the run's work so
            far) and what the trainable reported.
        configs: Configuration of each trial.
        work_s: Seconds that the run worked before this process.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.configs: dict[str, dict[str, Any]] = {}
        self.work_s = 0.0
        self._epochs: dict[str, int] = {}
        self._began = time.monotonic()

    @property
    def at_s(self) -> float:
        """Seconds of the run's work so far, without the time between an interruption and going on."""
        return self.work_s + time.monotonic() - self._began

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Notes an epoch that is new."""
        epoch = int(result["training_iteration"])
        if epoch <= self._epochs.get(trial.trial_id, 0):
            return
        self._epochs[trial.trial_id] = epoch
        self.configs[trial.trial_id] = dict(trial.config)
        reported = {
            name: value
            for name, value in result.items()
            if isinstance(value, int | float | str) and name not in _LEFT_OUT and not name.startswith(("time", "iter"))
        }
        self.rows.append({**reported, "trial": trial.trial_id, "epoch": epoch, "at_s": self.at_s})

    def get_state(self) -> dict[str, Any]:
        """What Tune saves, so that a restored run goes on counting."""
        return {"rows": self.rows, "configs": self.configs, "epochs": self._epochs, "work_s": self.at_s}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes back what ``get_state`` gave."""
        self.rows, self.configs = state["rows"], state["configs"]
        self._epochs, self.work_s = state["epochs"], state["work_s"]
        self._began = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles callbacks with the experiment; what they know is saved by get_state.
        return {"rows": [], "configs": {}, "work_s": 0.0, "_epochs": {}, "_began": 0.0}


@dataclass(frozen=True)
class Contender:
    """The best epoch of a trial: by the metric, of equal ones by the lower validation loss, then the earlier one."""

    trial: str
    config: dict[str, Any]
    row: Row
    standing: tuple[float, float]


def contenders(history: RunHistory, metric: str, kept: dict[str, int] | None = None) -> list[Contender]:
    """The best epoch of each trial, the best trial first.

    Args:
        history: The results.
        metric: Name of the reported metric; higher is better.
        kept: By trial, the epochs whose parameters can be had; others do not count. None: all.
    """
    best: dict[str, Contender] = {}
    for row in _judged(history.rows, metric):
        trial = row["trial"]
        if kept is not None and row["epoch"] > kept.get(trial, 0):
            continue
        standing = (row[metric], -row.get("val_loss", 0.0))
        if trial not in best or standing > best[trial].standing:
            best[trial] = Contender(trial, history.configs[trial], row, standing)
    return sorted(best.values(), key=lambda contender: contender.standing, reverse=True)


def kept_epochs(trials: Iterable[Any]) -> dict[str, int]:
    """By trial, the last epoch whose parameters can be had: that of its newest checkpoint, if this is there."""
    kept = {}
    for trial in trials:
        newest = trial.latest_checkpoint_result
        if newest is not None and newest.checkpoint is not None and Path(newest.checkpoint.path).is_dir():
            kept[trial.trial_id] = int(newest.metrics.get("training_iteration", 0))
    return kept


def _judged(rows: Iterable[Row], metric: str) -> Iterable[Row]:
    return (row for row in rows if metric in row and math.isfinite(row[metric] - row.get("val_loss", 0.0)))
