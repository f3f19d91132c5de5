"""Rivals that transfer from other tasks by what was trained there, not by a look at the images.

Source: Xue et al., "Transferable AutoML by model sharing over grouped datasets", CVPR 2019 (Tr-AutoML, as HyperSTAR's
Sec. 4.3 runs it); Zappella et al., "A resource-efficient method for repeated HPO and NAS problems", 2021 (RUSH).
"""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.decks import RandomDeck
from hyperstar_tune.search.searcher import GatedSearcher
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["RushScheduler", "TrAutoMLSearcher", "WarmStartSearcher", "best_of_each_task"]


def best_of_each_task(known: MetaDataset) -> list[Config]:
    """The best configuration of every task that has all of them, each once, in the order of the tasks."""
    scores = _complete(known)
    best = (known.configs[int(row)] for row in scores.argmax(axis=1))
    return list({config_key(config): config for config in best}.values())


class WarmStartSearcher(GatedSearcher):
    """Given configurations first, then random ones of a finite space, each once.

    Args:
        first: Configurations to begin with.
        space: Where the others come from.
        seed: Of their order.
    """

    def __init__(self, first: Sequence[Config], space: SearchSpace, seed: int = 0) -> None:
        super().__init__()
        self._first = [dict(config) for config in first]
        self._tried = {config_key(config) for config in self._first}
        self._deck = RandomDeck(space, seed)

    def next_config(self) -> Config | None:
        """The next given one, then the next random one that was not given."""
        if self._first:
            return self._first.pop(0)
        config = self._deck.next()
        while config is not None and config_key(config) in self._tried:
            config = self._deck.next()
        return config


class TrAutoMLSearcher(GatedSearcher):
    """Trains some benchmark configurations to the end, then the best configuration of the most similar known task.

    Tasks are similar if their benchmark accuracies correlate. For schedulers that train every trial to the end (FIFO).

    Args:
        known: A table of the other tasks; those with all configurations count.
        n_benchmarks: Configurations that are trained to compare tasks, drawn at random.
        seed: Of the draw.
        metric: Reported metric to optimize; usually given to ``tune.run``.
        mode: "max"; the table holds accuracies.

    Raises:
        SearchError: If ``n_benchmarks`` is not between 2 and the number of configurations.
    """

    def __init__(
        self,
        known: MetaDataset,
        n_benchmarks: int = 10,
        seed: int = 0,
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(metric, mode)
        if not 2 <= n_benchmarks < len(known.configs):
            raise SearchError(f"n_benchmarks must be between 2 and {len(known.configs) - 1}, but got {n_benchmarks}")
        rows = random.Random(seed).sample(range(len(known.configs)), n_benchmarks)  # noqa: S311
        scores = _complete(known)
        self._benchmarks = [known.configs[row] for row in rows]
        self._of_tasks = scores[:, rows]  # [T, n_benchmarks]
        self._best = [known.configs[int(row)] for row in scores.argmax(axis=1)]
        self._asked = 0
        self._accuracies: dict[str, float] = {}
        self._answered: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        """The next benchmark; then nothing until all are done; then one more; then FINISHED."""
        if self._asked == len(self._benchmarks) and len(self._answered) < len(self._benchmarks):
            return None
        return super().suggest(trial_id)

    def next_config(self) -> Config | None:
        """The next benchmark, then the best configuration of the most similar task if it was not a benchmark."""
        self._asked += 1
        if self._asked <= len(self._benchmarks):
            return self._benchmarks[self._asked - 1]
        if self._asked > len(self._benchmarks) + 1:
            return None
        answer = self._best[self._most_similar()]
        return None if answer in self._benchmarks else answer

    def observe(self, config: Config, epoch: int, result: dict[str, Any] | None) -> None:
        """Keeps the last accuracy of every benchmark."""
        self._accuracies[config_key(config)] = math.nan if result is None else float(result[self.metric])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Counts the benchmarks that are done."""
        super().on_trial_complete(trial_id, result, error)
        self._answered.add(trial_id)

    def _most_similar(self) -> int:
        mine = np.array([self._accuracies.get(config_key(config), math.nan) for config in self._benchmarks])
        mine = np.where(np.isfinite(mine), mine, np.nanmin(mine) if np.isfinite(mine).any() else 0.0)
        rows = np.vstack([mine, self._of_tasks])
        rows = rows - rows.mean(axis=1, keepdims=True)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return int(np.argmax(rows[1:] @ rows[0]))


class RushScheduler(AsyncHyperBandScheduler):
    """Asynchronous successive halving that also stops what is worse than the known configurations at the same epoch.

    Args:
        n_known: The first so many trials are the known configurations: they set the bar and are only halved.
        arguments: Of Ray's ``AsyncHyperBandScheduler``.
    """

    def __init__(self, n_known: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._n_known = n_known
        self._known: set[str] = set()
        self._bar: dict[int, float] = {}  # epoch -> best known score, higher is better
        self._levels = {int(milestone) for milestone, _ in self._brackets[0]._rungs}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """The first trials are the known ones."""
        super().on_trial_add(tune_controller, trial)
        if len(self._known) < self._n_known:
            self._known.add(trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Halves as always, then compares with the bar."""
        action: str = super().on_trial_result(tune_controller, trial, result)
        epoch, score = int(result[self._time_attr]), float(result[str(self._metric)]) * (self._metric_op or 1.0)
        if epoch in self._levels and trial.trial_id in self._known:
            if math.isfinite(score):  # no score passes a bar that is NaN or infinite
                self._bar[epoch] = max(score, self._bar.get(epoch, -math.inf))
        elif epoch in self._levels and not score >= self._bar.get(epoch, -math.inf):
            return str(TrialScheduler.STOP)
        return action


def _complete(known: MetaDataset) -> npt.NDArray[np.float64]:
    scores = known.scores()
    complete = scores[np.isfinite(scores).all(axis=1)]
    if not len(complete):
        raise SearchError("transfer needs a task on which every configuration was trained, but the table has none")
    return complete
