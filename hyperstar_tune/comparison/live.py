"""Runs the same methods on real Ray Tune. A run costs what training costs; to try thousands of runs, use a replay."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ray import tune

from hyperstar_tune.comparison.methods import Method, Setting
from hyperstar_tune.errors import SearchError
from hyperstar_tune.plan import Plan
from hyperstar_tune.report.run import ResultHistory, incumbent_curve
from hyperstar_tune.simulation.controller import METRIC, MODE
from hyperstar_tune.space import Config

__all__ = ["LiveRun", "run_live"]


@dataclass(frozen=True, eq=False)
class LiveRun:
    """A finished live run."""

    configs: tuple[Config, ...]  # configurations of the trials, in the order in which they were made
    epochs: tuple[int, ...]  # epochs that each trial was trained
    statuses: tuple[str, ...]  # Ray's status of each trial
    accuracy: npt.NDArray[np.float64]  # best half-A accuracy after each new result, NaN before the first finite one
    accuracy_b: npt.NDArray[np.float64]  # half-B accuracy of that trial at that epoch


def run_live(
    method: Method,
    setting: Setting,
    trainable: Any,
    storage_path: str | Path,
    resources: dict[str, float] | None = None,
) -> LiveRun:
    """Runs a method with ``tune.run`` on the Ray that is up, until the budget of the setting's plan is spent.

    The trainable reports ``val_accuracy`` and, where it has it, ``val_accuracy_b`` after every epoch. ``resources`` are
    what a trial reserves.

    Raises:
        SearchError: If no trial reported anything.
    """
    searcher, scheduler = method.make(setting)
    results = ResultHistory()
    # Ray's HyperBandScheduler breaks down if someone else ends its trials.
    stopper = None if method.has_plan else _BudgetStopper(setting.plan, ends_trials=method.reports == "end")
    trials = tune.run(
        trainable,
        search_alg=searcher,
        scheduler=scheduler,
        metric=METRIC,
        mode=MODE,
        num_samples=-1,
        storage_path=str(storage_path),
        name="run",
        callbacks=[results],
        reuse_actors=True,
        verbose=0,
        raise_on_failed_trial=False,
        stop=stopper,
        resources_per_trial=resources,
    ).trials
    if not results.history:
        raise SearchError("no trial of the live run reported a result; see the errors that Ray printed")
    epochs = {row["trial"]: row["epoch"] for row in results.history}  # the last one is the largest
    best = incumbent_curve(results.history)
    return LiveRun(
        configs=tuple(dict(trial.config) for trial in trials),
        epochs=tuple(epochs.get(trial.trial_id, 0) for trial in trials),
        statuses=tuple(trial.status for trial in trials),
        accuracy=best["val_accuracy"].to_numpy(),
        accuracy_b=best["val_accuracy_b"].to_numpy(),
    )


class _BudgetStopper(tune.Stopper):
    """Ends the run at the budget for schedulers that know none, and trials at R for those that end none."""

    def __init__(self, plan: Plan, ends_trials: bool) -> None:
        self._plan, self._ends_trials = plan, ends_trials
        self._epochs: dict[str, int] = {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self._epochs[trial_id] = max(self._epochs.get(trial_id, 0), int(result["training_iteration"]))
        return self._ends_trials and bool(result["training_iteration"] >= self._plan.max_epochs)

    def stop_all(self) -> bool:
        return sum(self._epochs.values()) >= self._plan.epoch_budget
