"""What a run on real Tune shows and leaves behind: a progress bar, a table of results and a figure.

It works with any trainable that reports ``val_accuracy``. If it also reports ``val_correct`` (which images were right,
as ``finetune.trainable`` does), the winner's accuracy is corrected for having been chosen; ``val_accuracy_b``, of
images that decided nothing, is shown if it is reported.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from ray import tune
from ray.tune import ExperimentAnalysis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hyperstar_tune.choosing import ChosenAccuracy, chosen_accuracy, unpack_correct
from hyperstar_tune.plan import Plan

__all__ = [
    "BudgetProgress",
    "ResultHistory",
    "accuracy_of_winner",
    "history_of",
    "incumbent_curve",
    "results_table",
    "write_report",
]

_MEASURED = ("epochs", "best_epoch", "val_accuracy", "val_accuracy_b", "checkpoint", "checkpoint_epoch")


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


class BudgetProgress(ResultHistory):
    """Keeps every new result, and shows what is spent of a plan's budget and the best accuracy so far."""

    def __init__(self, plan: Plan, console: Console | None = None) -> None:
        super().__init__()
        self._unit = "epochs" if plan.epoch_budget else "seconds"
        self._budget = plan.epoch_budget or math.ceil(plan.seconds_budget)
        self._console = console or Console()
        self._bar: Progress | None = None

    def setup(self, *args: Any, **info: Any) -> None:
        """Draws the empty bar."""
        columns = (TextColumn(self._unit), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, TextColumn("{task.description}"), console=self._console)
        self._row = self._bar.add_task("starting the first trials", total=self._budget, completed=self._spent())
        self._bar.start()

    def on_trial_result(self, *args: Any, **info: Any) -> None:
        """Notes the result and moves the bar."""
        super().on_trial_result(*args, **info)
        if self._bar is not None:
            best = max((row["val_accuracy"] for row in self.history if row["val_accuracy"] >= 0), default=math.nan)
            text = f"best accuracy {best:.3f}, {len(self._epochs)} configurations tried"
            self._bar.update(self._row, completed=self._spent(), description=text)

    def _spent(self) -> int:
        return len(self.history) if self._unit == "epochs" else round(sum(row["seconds"] for row in self.history))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Leaves the finished bar standing."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles callbacks with the experiment; a live display holds locks and does not travel.
        return {**self.__dict__, "_bar": None, "_console": None}


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


def results_table(history: list[dict[str, Any]], trials: list[Any]) -> pd.DataFrame:
    """What a ``ResultHistory`` found with each configuration, the best accuracy first.

    Checkpoints are taken from the trials of Tune's result.

    Returns:
        One row per configuration: its parameters, ``epochs`` trained, ``best_epoch``, ``val_accuracy`` and
        ``val_accuracy_b`` at that epoch, ``checkpoint`` (folder of the last one kept, or empty) and
        ``checkpoint_epoch``, which may be earlier than the trial's last epoch.
    """
    newest = {trial.trial_id: trial.latest_checkpoint_result for trial in trials}
    order: dict[str, Any] = {"ascending": False, "na_position": "last", "kind": "stable"}
    rows = []
    for trial_id, results in pd.DataFrame(history).groupby("trial", sort=False):
        best, kept = results.sort_values("val_accuracy", **order).iloc[0], newest.get(str(trial_id))
        checkpoint = ("", 0)
        if kept is not None and kept.checkpoint is not None:
            checkpoint = (kept.checkpoint.path, kept.metrics.get("training_iteration", 0))
        measured = (results["epoch"].max(), best["epoch"], best["val_accuracy"], best["val_accuracy_b"], *checkpoint)
        rows.append({**best["config"], **dict(zip(_MEASURED, measured, strict=True))})
    return pd.DataFrame(rows).sort_values("val_accuracy", ignore_index=True, **order)


def write_report(progress: ResultHistory, trials: list[Any], folder: Path) -> str:
    """Writes ``results.csv`` and ``accuracy.png`` into a folder, which is made if there is none, and says who won.

    Args:
        progress: The callback of the run.
        trials: The trials of Tune's result.
        folder: Folder of the files.

    Returns:
        A few lines: the winner with its accuracy, corrected for having been chosen if that can be done, and its
        checkpoint; the files written, and trials that failed.
    """
    if not progress.history:
        return "No epoch was finished: there is no result to report."
    table = results_table(progress.history, trials)
    _draw(incumbent_curve(progress.history), folder / "accuracy.png")
    table.to_csv(folder / "results.csv", index=False)
    best = table.iloc[0]
    config = ", ".join(f"{name}={value}" for name, value in best.items() if name not in _MEASURED)
    kept = f" (after epoch {best['checkpoint_epoch']}): {best['checkpoint']}" if best["checkpoint"] else ": none"
    lines = [
        f"Winner: {config}",
        f"  {_accuracy(progress.history, best)}, after epoch {best['best_epoch']}",
        f"  checkpoint{kept}",
        f"Spent {len(progress.history)} epochs on {len(table)} configurations",
        f"Written: {folder / 'results.csv'}, {folder / 'accuracy.png'}",
    ]
    failed = sum(trial.status == "ERROR" for trial in trials)
    if failed:
        lines.append(f"{failed} trials failed and kept the results they had reported")
    return "\n".join(lines)


def _accuracy(history: list[dict[str, Any]], best: pd.Series) -> str:
    corrected = accuracy_of_winner(history)
    if corrected is not None:
        return str(corrected)
    text = f"accuracy {best['val_accuracy']:.3f} on the images that decided"
    return text if math.isnan(best["val_accuracy_b"]) else f"{text}, {best['val_accuracy_b']:.3f} on the others"


def _draw(curve: pd.DataFrame, path: Path) -> None:
    from matplotlib.figure import Figure  # takes half a second

    from hyperstar_tune.report.figures import save

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.step(curve["epochs_spent"], curve["val_accuracy"], where="post", label="best so far")
    if curve["val_accuracy_b"].notna().any():
        axes.step(
            curve["epochs_spent"], curve["val_accuracy_b"], where="post", label="the same on images that decide nothing"
        )
    axes.set(xlabel="epochs spent, all trials", ylabel="validation accuracy")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save(figure, path, dpi=150)
