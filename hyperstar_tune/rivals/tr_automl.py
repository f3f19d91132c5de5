"""Tr-AutoML: train some benchmark configurations, then follow the known task on which they did most similarly.

``TrAutoMLSearcher`` runs it under a budget, and ``TrAutoMLRanker`` gives the same order as a ranker. Both are for
comparisons only: to tune a network use ``Predictor``.

Source: Xue et al., "Transferable AutoML by model sharing over grouped datasets", CVPR 2019, as HyperSTAR (CVPR 2020),
Sec. 4.3, runs it.
"""

import math
import random
from typing import Any

import numpy as np

from hyperstar_tune.errors import HyperStarError, PredictorError, SearchError
from hyperstar_tune.metrics import normalize_scores, worst_for_diverged
from hyperstar_tune.rivals.base import Floats, LookUpRanker, complete_scores, task_name
from hyperstar_tune.search.searcher import GatedSearcher
from hyperstar_tune.space import Config, config_key
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["TrAutoMLRanker", "TrAutoMLSearcher"]


class TrAutoMLSearcher(GatedSearcher):
    """Trains some benchmark configurations to the end, then the best configuration of the most similar known task.

    Tasks are similar if their benchmark accuracies correlate. For schedulers that train every trial to the end (FIFO).

    Args:
        known: A table of the other tasks. Only tasks on which every configuration was trained count.
        n_benchmarks: Number of configurations that are trained to compare tasks; they are drawn at random.
        metric, mode: As for ``GatedSearcher``; the table holds accuracies.
        seed: Random seed of the draw.

    Raises:
        SearchError: If ``n_benchmarks`` is not between 2 and the number of configurations.
        PredictorError: If no task of the table is complete.
    """

    learns = True

    def __init__(
        self,
        known: MetaDataset,
        *,
        n_benchmarks: int = 10,
        metric: str | None = None,
        mode: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(metric=metric, mode=mode)
        rows = _draw(len(known.configs), n_benchmarks, seed, SearchError)
        _, scores = complete_scores(known)
        self._benchmarks = [known.configs[row] for row in rows]
        self._of_tasks = scores[:, rows]  # [T, n_benchmarks]
        self._best = [known.configs[int(row)] for row in scores.argmax(axis=1)]
        self._accuracies: dict[str, float] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next benchmark; then None until all benchmarks are done; then one more configuration; then FINISHED."""
        if len(self.configs) == len(self._benchmarks) and self.gate.running:
            return None
        return super().suggest(trial_id)

    def next_config(self) -> Config | None:
        """The next benchmark, then the best configuration of the most similar task if it was not a benchmark."""
        if len(self.configs) < len(self._benchmarks):
            return self._benchmarks[len(self.configs)]
        if len(self.configs) > len(self._benchmarks):
            return None
        mine = np.array([self._accuracies.get(config_key(config), math.nan) for config in self._benchmarks])
        answer = self._best[_most_similar(self._of_tasks, worst_for_diverged(mine))]
        return None if answer in self._benchmarks else answer

    def observe(self, config: Config, epoch: int, result: dict[str, Any] | None) -> None:
        """Keeps the last accuracy of every benchmark."""
        self._accuracies[config_key(config)] = math.nan if result is None else float(result[self.metric])


class TrAutoMLRanker(LookUpRanker):
    """Tr-AutoML as an order: its random benchmarks, then the ranking of the task on which they did most similarly.

    Unlike the other rankers it needs accuracies of the task to be ranked: those of the ``n_benchmarks`` configurations
    at the head of its order.

    Args:
        trained: A table with the tasks to be ranked, of which only the accuracies of the benchmarks are read.
        seed: Random seed of the draw of benchmarks.
        n_benchmarks: Number of configurations that are trained to compare tasks, as in HyperSTAR's Sec. 4.3.

    Raises:
        PredictorError: If ``n_benchmarks`` is not between 2 and the number of configurations.
    """

    name = "tr_automl"

    def __init__(self, trained: MetaDataset, seed: int = 0, n_benchmarks: int = 10) -> None:
        rows = _draw(len(trained.configs), n_benchmarks, seed, PredictorError)
        self._benchmarks = [config_key(trained.configs[row]) for row in rows]
        self._accuracies = dict(zip(trained.tasks["name"].tolist(), trained.scores()[:, rows], strict=True))

    def _fit(self, metadataset: MetaDataset) -> None:
        self._of_tasks = normalize_scores(complete_scores(metadataset)[1])  # [T, H]
        keys = [config_key(config) for config in metadataset.configs]
        self._rows = [keys.index(key) for key in self._benchmarks]

    def _of_table(self, task: Any) -> Floats:
        """The benchmarks in the order they are trained, then all others as on the most similar task."""
        mine = self._accuracies.get(task_name(task))
        if mine is None or not np.isfinite(mine).all():
            raise PredictorError(
                f"ranker {self.name!r} needs the accuracies of its benchmarks on task {task_name(task)!r}"
            )
        scores = self._of_tasks[_most_similar(self._of_tasks[:, self._rows], mine)].copy()
        scores[self._rows] = 1.0 + scores.max() + len(self._rows) - np.arange(len(self._rows))
        return scores


def _draw(n_configs: int, n_benchmarks: int, seed: int, error: type[HyperStarError]) -> list[int]:
    """Rows of the benchmark configurations."""
    if not 2 <= n_benchmarks < n_configs:
        raise error(f"n_benchmarks must be between 2 and {n_configs - 1}, but got {n_benchmarks}")
    return random.Random(seed).sample(range(n_configs), n_benchmarks)  # noqa: S311


def _most_similar(of_tasks: Floats, mine: Floats) -> int:
    """Row of [T, n] with the largest Pearson correlation with [n]; a correlation with a constant counts as 0."""
    rows = np.vstack([mine, of_tasks])
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return int(np.argmax(rows[1:] @ rows[0]))
