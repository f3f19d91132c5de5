"""RUSH: begin with the best known configurations, and stop what is worse than they were at the same epoch.

``WarmStartSearcher`` and ``RushScheduler`` belong together. They are here as a rival only.

Source: Zappella et al., "A resource-efficient method for repeated HPO and NAS problems", 2021.
"""

import math
from collections.abc import Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from hyperstar_tune.rivals.base import complete_scores
from hyperstar_tune.search.space_searcher import RandomSearcher
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["RushScheduler", "WarmStartSearcher", "best_of_each_task"]


def best_of_each_task(known: MetaDataset) -> list[Config]:
    """The best configuration of every task on which all were trained, each once, in the order of the tasks."""
    best = (known.configs[int(row)] for row in complete_scores(known)[1].argmax(axis=1))
    return list({config_key(config): config for config in best}.values())


class WarmStartSearcher(RandomSearcher):
    """Suggests given configurations first, then random ones of a finite space, each once.

    Args:
        space: A finite search space, from which the other configurations come.
        first: Configurations to begin with.
        options: Options of ``SpaceSearcher``; ``seed`` is the random seed of the order of the other configurations.
    """

    def __init__(self, space: SearchSpace, *, first: Sequence[Config], **options: Any) -> None:
        super().__init__(space, **options)
        self._first = list(first)
        self._tried = {config_key(config) for config in first}

    def next_config(self) -> Config | None:
        """The next given configuration, and after these the next random one that was not given."""
        if self._first:
            return self._first.pop(0)
        config = super().next_config()
        while config is not None and config_key(config) in self._tried:
            config = super().next_config()
        return config


class RushScheduler(AsyncHyperBandScheduler):
    """Asynchronous successive halving that also stops what is worse than the known configurations at the same epoch.

    Args:
        n_known: How many of the first trials are known configurations. These set the bar and are only halved.
        arguments: Arguments of Ray's ``AsyncHyperBandScheduler``.
    """

    def __init__(self, n_known: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._n_known = n_known
        self._known: set[str] = set()
        self._bar: dict[int, float] = {}  # epoch -> best known score, higher is better
        self._levels = {int(milestone) for milestone, _ in self._brackets[0]._rungs}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Counts the first trials as the known configurations."""
        super().on_trial_add(tune_controller, trial)
        if len(self._known) < self._n_known:
            self._known.add(trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Halves as its base does, then compares with the bar."""
        action: str = super().on_trial_result(tune_controller, trial, result)
        epoch, score = int(result[self._time_attr]), float(result[str(self._metric)]) * (self._metric_op or 1.0)
        if epoch in self._levels and trial.trial_id in self._known:
            if math.isfinite(score):  # no score passes a bar that is NaN or infinite
                self._bar[epoch] = max(score, self._bar.get(epoch, -math.inf))
        elif epoch in self._levels and not score >= self._bar.get(epoch, -math.inf):
            return str(TrialScheduler.STOP)
        return action
