"""What the measurement of Increasing Image Sizes computes from collected curves, and through a surrogate of them.

A cell is judged by its best epoch on half A, and reports half B and the held-out images at that epoch, as in
docs/protocol.md. Its seconds are those of all epochs that it trained. A cell that diverged in its first epoch has
accuracies of zero.

The surrogate has Gaussian processes over the coordinates of a configuration and the task, as tasks have much in common.
They predict the three accuracies and the logarithm of the seconds. Each image size has its own: a process of all sizes
would take for granted what is measured here, that they agree. What a search sees of half A also has the noise that two
seeds of the same configuration differ by; what is reported of the configuration that it chose has none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ray.tune.search import Searcher
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, RegressorMixin

from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables.collection import Collection, read_cells
from scoreboard.regressors import Process, left_out

__all__ = [
    "Measured",
    "Outcome",
    "Reached",
    "Surrogate",
    "between_sizes",
    "between_sizes_and_seeds",
    "complete",
    "interval",
    "noise_ceiling",
    "outcome_of",
    "rank_correlation",
    "reached",
    "read_measured",
]

Floats = npt.NDArray[np.float64]
_DRAWS = 4000


@dataclass(frozen=True)
class Reached:
    """What a configuration reached at an image size."""

    half_a: float  # accuracies in [0, 1]
    half_b: float
    test: float
    seconds: float


OfSize = dict[str, Reached]  # by config_key of the configuration without its image size


@dataclass(frozen=True)
class Measured:
    """The measured cells of one seed, by task and image size."""

    tasks: dict[str, dict[int, OfSize]]
    configs: dict[str, Config]  # without the image size, by key


def read_measured(folder: Path, seed: int = 0) -> Measured:
    """Reads what ``collect_image_sizes.py`` measured."""
    found, configs = {}, {}
    for task in Collection.read(folder).tasks:
        of_sizes: dict[int, OfSize] = {}
        for (_, of_seed), cell in read_cells(folder, task).items():
            if of_seed != seed or cell["error"] is not None:
                continue
            config = {name: value for name, value in cell["config"].items() if name != "image_size"}
            key = config_key(config)
            configs[key] = config
            of_sizes.setdefault(cell["config"]["image_size"], {})[key] = reached(cell)
        found[task] = dict(sorted(of_sizes.items()))
    return Measured(found, configs)


def reached(cell: Mapping[str, Any]) -> Reached:
    """What a cell reached."""
    seconds = float(sum(cell["epoch_seconds"]))
    if not cell["best_epoch"]:
        return Reached(0.0, 0.0, 0.0, seconds)
    best = cell["epochs"].index(cell["best_epoch"])
    return Reached(cell["val_accuracy"][best], cell["val_accuracy_b"][best], cell["test_accuracy"], seconds)


def complete(measured: Measured, sizes: Sequence[int]) -> Measured:
    """The part of which every configuration is measured on all tasks at all sizes."""
    everywhere = set.intersection(*(set(of.get(size, ())) for of in measured.tasks.values() for size in sizes))
    kept = [key for key in measured.configs if key in everywhere]
    tasks = {
        task: {size: {key: of[size][key] for key in kept} for size in sizes} for task, of in measured.tasks.items()
    }
    return Measured(tasks, {key: measured.configs[key] for key in kept})


def rank_correlation(one: OfSize, other: OfSize) -> float:
    """Spearman's correlation of accuracies on half A with those of the other on half B, mean of both directions.

    NaN if one of them ranks all alike.
    """
    shared = [key for key in one if key in other]
    both = [
        spearmanr([a[key].half_a for key in shared], [b[key].half_b for key in shared]).statistic
        for a, b in ((one, other), (other, one))
    ]
    return float(np.mean(both))


def between_sizes(tasks: Mapping[str, Mapping[int, Any]], sizes: Sequence[int]) -> dict[str, Any]:
    """Rank correlation of configurations between every two sizes."""
    return {
        f"{a} and {b} px": interval({task: [rank_correlation(of[a], of[b])] for task, of in tasks.items()})
        for a, b in combinations(sizes, 2)
    }


def noise_ceiling(measured: Measured, again: Measured, sizes: Sequence[int]) -> dict[str, Any]:
    """Rank correlation of two seeds at the same size, on the configurations that were trained twice."""
    return {f"{size} px": _two_seeds(measured, again, size, size) for size in sizes}


def between_sizes_and_seeds(measured: Measured, again: Measured, sizes: Sequence[int]) -> dict[str, Any]:
    """Rank correlation of one seed at a size and another seed at another size, on the same configurations."""
    return {f"{a} and {b} px": _two_seeds(measured, again, a, b) for a, b in combinations(sizes, 2)}


def _two_seeds(measured: Measured, again: Measured, a: int, b: int) -> dict[str, Any]:
    found = {}
    for task, of in measured.tasks.items():
        second = again.tasks[task]
        pairs = [(of[a], second.get(b, {})), (of[b], second.get(a, {}))]
        found[task] = [rank_correlation(one, other) for one, other in pairs]
    return interval({task: [float(np.mean(values))] for task, values in found.items()})


def interval(by_task: Mapping[str, Sequence[float]], seed: int = 0) -> dict[str, Any]:
    """Mean over tasks of their mean, its 95 % interval, and the means of the tasks.

    Tasks are drawn again, and in each its repeats. NaN is left out, and so is a task that has nothing else.
    """
    known = {task: np.asarray(v)[np.isfinite(v)] for task, v in by_task.items()}
    known = {task: values for task, values in known.items() if len(values)}
    if not known:
        return {"mean": None, "low": None, "high": None, "by_task": {}}
    rng = np.random.default_rng(seed)
    again = np.array([rng.choice(values, (_DRAWS, len(values))).mean(axis=1) for values in known.values()])  # [T, D]
    drawn = rng.integers(len(again), size=(len(again), _DRAWS))
    low, high = np.quantile(np.take_along_axis(again, drawn, axis=0).mean(axis=0), [0.025, 0.975])
    means = {task: float(values.mean()) for task, values in known.items()}
    return {"mean": float(np.mean(list(means.values()))), "low": float(low), "high": float(high), "by_task": means}


class Surrogate:
    """Predicts what a configuration reaches at an image size on a task.

    Args:
        space: The space of the configurations, without the image size.
        measured: What the process learns from, of all tasks.
        again: What a second seed reached, which says how large the noise of half A is; without it there is none.
    """

    def __init__(self, space: SearchSpace, measured: Measured, again: Measured | None = None) -> None:
        self._space, self._tasks = space, list(measured.tasks)
        rows = [
            (task, measured.configs[key], size, one)
            for task, of in measured.tasks.items()
            for size, found in of.items()
            for key, one in found.items()
        ]
        self._of_task, self._of_size = (np.array([row[place] for row in rows]) for place in (0, 2))
        self._x = self._features(*zip(*(row[:2] for row in rows), strict=True))
        self._y = np.array([(*astuple(one)[:3], np.log(one.seconds)) for *_, one in rows])  # [n, 4]
        self._groups = np.array([config_key(row[1]) for row in rows])
        self._models = {}
        for size in np.unique(self._of_size).tolist():
            of_size = self._of_size == size
            self._models[size] = _Processes().fit(self._x[of_size], self._y[of_size])
        second = {} if again is None else again.tasks
        self.noise = {  # of half A, by task and image size
            task: {size: _noise(found, second.get(task, {}).get(size, {})) for size, found in of.items()}
            for task, of in measured.tasks.items()
        }

    def evaluate(self, task: str, config: Config, size: int) -> Reached:
        """What is expected."""
        *accuracies, log_seconds = self._models[size].predict(self._features([task], [config]))[0]
        return Reached(*map(float, np.clip(accuracies, 0, 1)), float(np.exp(log_seconds)))

    def left_out_r2(self) -> dict[str, dict[str, float]]:
        """Share of the variance that is explained of configurations that were left out, by task and target."""
        squares = np.empty_like(self._y)
        for size in self._models:
            of_size = self._of_size == size
            x, y, groups = self._x[of_size], self._y[of_size], self._groups[of_size]
            squares[of_size] = (y - left_out(_Processes(), x, y, groups)) ** 2
        names = ("val_accuracy", "val_accuracy_b", "test_accuracy", "log_seconds")
        found = {}
        for task in self._tasks:
            rows = self._of_task == task
            shares = 1 - squares[rows].mean(axis=0) / self._y[rows].var(axis=0)
            found[task] = dict(zip(names, map(float, shares), strict=True))
        return found

    def explainable(self) -> dict[str, float]:
        """Share of the variance of half A that is not noise between seeds, by task: no R2 can be much above it."""
        found = {}
        for task, of in self.noise.items():
            noise = float(np.mean(np.square(list(of.values()))))
            found[task] = 1 - noise / float(self._y[self._of_task == task, 0].var())
        return found

    def agreement(self, configs: Sequence[Config], one: int, other: int) -> dict[str, float]:
        """Rank correlation of what is expected of half A at two sizes, by task."""
        at = [[self.evaluate(task, c, size).half_a for task in self._tasks for c in configs] for size in (one, other)]
        pairs = np.array(at).reshape(2, len(self._tasks), -1)
        return {task: float(spearmanr(*pairs[:, row]).statistic) for row, task in enumerate(self._tasks)}

    def _features(self, tasks: Sequence[str], configs: Sequence[Config]) -> Floats:
        is_task = [[task == one for one in self._tasks] for task in tasks]
        return np.column_stack([self._space.coordinates(configs), is_task])


class _Processes(RegressorMixin, BaseEstimator):
    """Two Gaussian processes, of accuracies and of seconds."""

    def fit(self, x: Floats, y: Floats) -> "_Processes":
        """Learns from features [n, p] and targets [n, 4]."""
        self.parts_ = [Process().fit(x, columns) for columns in (y[:, :-1], y[:, -1:])]
        return self

    def predict(self, x: Floats) -> Floats:
        """Predicts the targets of rows of features, [m, p] -> [m, 4]."""
        return np.column_stack([part.predict(x) for part in self.parts_])


def _noise(one: OfSize, other: OfSize) -> float:
    """Standard deviation of half A between seeds of the same configuration."""
    gaps = [one[key].half_a - other[key].half_a for key in one if key in other]
    return float(np.sqrt(np.mean(np.square(gaps)) / 2)) if gaps else 0.0


@dataclass(frozen=True)
class Outcome:
    """What a search reached."""

    seconds: float
    best: Reached  # its best trial at the largest size
    config: Config


def outcome_of(
    searcher: Searcher,
    evaluate: Callable[[Config, int], Reached],
    largest: int,
    noise: Mapping[int, float] | None = None,
    seed: int = 0,
) -> Outcome:
    """Runs a search to its end, one trial after another.

    Args:
        searcher: A searcher that puts ``image_size`` into its configurations.
        evaluate: What a configuration without its image size reaches at a size.
        largest: The size at which the best trial is looked for.
        noise: Standard deviation of what is added to half A, by size.
        seed: Random seed of the noise.
    """
    rng = np.random.default_rng(seed)
    total, seen, best, chosen = 0.0, -np.inf, Reached(0, 0, 0, 0), {}
    number = 0
    while (suggested := searcher.suggest(f"t{number}")) != Searcher.FINISHED:
        config = {name: value for name, value in suggested.items() if name != "image_size"}
        size = suggested["image_size"]
        reached = evaluate(config, size)
        half_a = float(np.clip(reached.half_a + rng.normal(0, (noise or {}).get(size, 0.0)), 0, 1))
        result = {"training_iteration": 1, "val_accuracy": half_a}
        searcher.on_trial_result(f"t{number}", result)
        searcher.on_trial_complete(f"t{number}", result=result)
        total += reached.seconds
        if size == largest and half_a > seen:
            seen, best, chosen = half_a, replace(reached, half_a=half_a), config
        number += 1
    return Outcome(total, best, chosen)
