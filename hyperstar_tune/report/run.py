"""The history of a run on real Tune: every result once, the best so far, and the accuracy of the winner.

It works with any trainable that reports ``val_accuracy``. If it also reports ``val_correct`` (which images were right,
as ``finetune.trainable`` does), the winner's accuracy is corrected for having been chosen; ``val_accuracy_b``, of
images that decided nothing, is shown if it is reported.
"""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from ray import tune
from ray.tune import ExperimentAnalysis

from hyperstar_tune.choosing import ChosenAccuracy, chosen_accuracy, unpack_correct

__all__ = [
    "ResultHistory",
    "accuracy_of_winner",
    "history_of",
    "incumbent_curve",
]


class ResultHistory(tune.Callback):
    """Keeps every new result of a run; an epoch that is trained again after a fault does not count twice."""

    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []  # one row per new epoch, in the order of arrival
        self._epochs: dict[str, int] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Notes the accuracies of an epoch that is new."""
        epoch = int(result["training_iteration"])
        if epoch > self._epochs.get(trial.trial_id, 0):
            self._epochs[trial.trial_id] = epoch
            self.history.append(_row(trial.trial_id, epoch, result, dict(trial.config)))

    def get_state(self) -> dict[str, Any]:
        """What Tune saves, so that a restored run goes on counting."""
        return {"history": self.history, "epochs": self._epochs}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes back what ``get_state`` gave."""
        self.history, self._epochs = state["history"], state["epochs"]


def history_of(results: ExperimentAnalysis | tune.ResultGrid) -> list[dict[str, Any]]:
    """The history of a finished run whose driver had no ``ResultHistory``, from the logs that Tune writes by default.

    Args:
        results: What ``tune.run`` or ``Tuner.fit`` returned.
    """
    if isinstance(results, tune.ResultGrid):
        logs = [results[place].metrics_dataframe for place in range(len(results))]
    else:
        logs = list(results.trial_dataframes.values())
    rows = pd.concat([log for log in logs if log is not None and len(log)] or [pd.DataFrame({"timestamp": []})])
    if not len(rows):
        return []
    rows = rows.sort_values("timestamp", kind="stable").drop_duplicates(["trial_id", "training_iteration"])
    names = {name: str(name).removeprefix("config/") for name in rows if str(name).startswith("config/")}
    return [
        _row(row["trial_id"], int(row["training_iteration"]), row, {plain: row[name] for name, plain in names.items()})
        for row in rows.to_dict("records")
    ]


def accuracy_of_winner(history: list[dict[str, Any]]) -> ChosenAccuracy | None:
    """What the best of all results can be expected to reach on new images; None if no result has ``val_correct``.

    Args:
        history: That of a ``ResultHistory``, or ``history_of`` a finished run.

    Raises:
        HyperStarError: If results are of different validation images.
    """
    distinct = dict.fromkeys(row["val_correct"] for row in history if row["val_correct"])
    return chosen_accuracy(unpack_correct(list(distinct))) if distinct else None


def _row(trial_id: str, epoch: int, result: Mapping[Any, Any], config: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: float(result.get(name, math.nan)) for name in ("val_accuracy", "val_accuracy_b")}
    correct = result.get("val_correct")
    packed = correct if isinstance(correct, str) else ""  # NaN in a table of logs
    seconds = float(result.get("time_this_iter_s") or 0)
    return {"trial": trial_id, "epoch": epoch, "seconds": seconds, **metrics, "val_correct": packed, "config": config}


def incumbent_curve(history: list[dict[str, Any]]) -> pd.DataFrame:
    """Best accuracy of a ``ResultHistory`` after each epoch spent, and that epoch's accuracy on half B, if reported.

    Returns:
        Columns ``epochs_spent``, ``val_accuracy``, ``val_accuracy_b``; one row per epoch spent, NaN before a result.
    """
    rows, best, best_b = [], math.nan, math.nan
    for spent, row in enumerate(history, start=1):
        if row["val_accuracy"] >= 0 and not row["val_accuracy"] <= best:
            best, best_b = row["val_accuracy"], row["val_accuracy_b"]
        rows.append((spent, best, best_b))
    return pd.DataFrame(rows, columns=["epochs_spent", "val_accuracy", "val_accuracy_b"])
