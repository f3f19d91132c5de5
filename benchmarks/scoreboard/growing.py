"""What the measurement of Increasing Image Sizes computes from collected curves, and through a surrogate of them.

A cell is judged by its best epoch on half A, and reports half B of that epoch, as in docs/protocol.md. Its seconds are
those of all epochs that it trained. The surrogate is a random forest for each task over encoded configurations and the
logarithm of the image size. It predicts both accuracies and the logarithm of the seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ray.tune.search import Searcher
from scipy.stats import spearmanr

from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables import MetaDataset

__all__ = ["Outcome", "Surrogate", "cells", "interval", "outcome_of", "rank_correlation"]

Floats = npt.NDArray[np.float64]
Evaluate = Callable[[Config], tuple[float, float, float]]  # accuracy on halves A and B, seconds
_FOLDS = 10


def cells(table: MetaDataset, task: str, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Best half-A accuracy, its half-B accuracy and the seconds of every measured configuration, by key."""
    row = table.tasks["name"].tolist().index(task)
    curves = {name: table.curve(name)[row, :, seed].astype(np.float64) for name in table.objectives}  # [H, F]
    gaps = np.diff([0, *table.epochs])
    found = {}
    for place, config in enumerate(table.configs):
        if not table.measured[row, place, seed]:
            continue
        half_a = np.nan_to_num(curves["val_accuracy"][place], nan=-1.0)
        best = int(np.argmax(half_a))
        seconds = float(curves["epoch_seconds"][place] @ gaps)
        half_b = float(np.nan_to_num(curves["val_accuracy_b"][place, best]))
        found[config_key(config)] = (max(0.0, float(half_a[best])), half_b, seconds)
    return found


def rank_correlation(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Spearman's correlation of the half-A accuracies of the configurations that both have."""
    shared = [key for key in one if key in other]
    return float(spearmanr([one[key][0] for key in shared], [other[key][0] for key in shared]).statistic)


def interval(values: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Mean and its 95 % bootstrap interval; a task whose rankings are all equal has NaN and is left out."""
    known = np.asarray(values)[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(("mean", "low", "high"), float("nan"))
    low, high = np.quantile(np.random.default_rng(seed).choice(known, (2000, len(known))).mean(axis=1), [0.025, 0.975])
    return {"mean": float(known.mean()), "low": float(low), "high": float(high)}


class Surrogate:
    """Predicts what a configuration reaches at an image size on one task.

    Args:
        space: The space of the configurations.
        measured: Cells by image size, as ``cells`` gives them.
        configs: Configurations by key.
    """

    def __init__(
        self,
        space: SearchSpace,
        measured: Mapping[int, Mapping[str, tuple[float, float, float]]],
        configs: Mapping[str, Config],
    ) -> None:
        self._space = space
        rows = [(configs[key], size, *values) for size, found in measured.items() for key, values in found.items()]
        self._x = self._features([row[0] for row in rows], [row[1] for row in rows])
        self._y = np.array([(a, b, np.log(seconds)) for _, _, a, b, seconds in rows])  # [n, 3]
        self._groups = [config_key(row[0]) for row in rows]
        self._forest = self._new().fit(self._x, self._y)

    def evaluate(self, config: Config, size: int) -> tuple[float, float, float]:
        """Predicted accuracy on halves A and B, and seconds."""
        half_a, half_b, log_seconds = self._forest.predict(self._features([config], [size]))[0]
        return float(half_a), float(half_b), float(np.exp(log_seconds))

    def left_out_r2(self) -> dict[str, float]:
        """Share of the variance that is explained of configurations that were left out, at all sizes, by target."""
        from sklearn.model_selection import GroupKFold, cross_val_predict

        folds = GroupKFold(min(_FOLDS, len(set(self._groups))))
        predicted = cross_val_predict(self._new(), self._x, self._y, groups=self._groups, cv=folds)
        residual = ((self._y - predicted) ** 2).mean(axis=0) / self._y.var(axis=0)
        names = ("val_accuracy", "val_accuracy_b", "log_seconds")
        return {name: float(1 - share) for name, share in zip(names, residual, strict=True)}

    def _features(self, configs: Sequence[Config], sizes: Sequence[int]) -> Floats:
        return np.column_stack([self._space.encode(configs), np.log(sizes)])

    @staticmethod
    def _new() -> Any:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(n_estimators=200, random_state=0)


@dataclass(frozen=True)
class Outcome:
    """What a search reached."""

    seconds: float
    half_a: float  # of its best trial at the largest size
    half_b: float
    config: Config


def outcome_of(searcher: Searcher, evaluate: Evaluate, largest: int) -> Outcome:
    """Runs a search to its end, one trial after another."""
    total, best = 0.0, (-1.0, 0.0, {})
    number = 0
    while (config := searcher.suggest(f"t{number}")) != Searcher.FINISHED:
        half_a, half_b, seconds = evaluate(config)
        result = {"training_iteration": 1, "val_accuracy": half_a}
        searcher.on_trial_result(f"t{number}", result)
        searcher.on_trial_complete(f"t{number}", result=result)
        total += seconds
        if config["image_size"] == largest and half_a > best[0]:
            best = (half_a, half_b, config)
        number += 1
    return Outcome(total, *best)
