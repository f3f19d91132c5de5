"""A surrogate of a table: curves of any configuration of its space on a task, so that any search can be replayed.

Each task has a regression of its own, which learns from its measured cells alone. So a search that transfers from other
tasks finds nothing of them in the surrogate. The regression predicts the whole curve at once, as the mean of both
halves of the validation images. What it smooths away is missing: the best configurations are better than it says.

Halves differ from their mean by their usual distance at each epoch, and by noise. Noise is drawn as whole curves. If
enough configurations of the task were trained with a second seed, it is the difference of both seeds, divided by the
square root of two. Otherwise it is the difference of the halves of one configuration, likewise; what both halves of a
seed have in common is then missing. Noise is drawn for each configuration of a run, and stays with it.

The seconds of an epoch depend on a task's images by their number alone. So all tasks that were timed are learned from
together, per image, and a task has a factor of its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables import MetaDataset
from scoreboard.regressors import REGRESSORS, Trees, left_out

__all__ = ["Seconds", "SurrogateCurves", "TaskSurrogate", "trained"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ENOUGH_PAIRS = 8  # configurations with two seeds from which noise is drawn


def trained(table: MetaDataset) -> Mask:
    """Which configurations were trained on which tasks with the first seed, timed or not, [T, H]."""
    return np.asarray(np.isfinite(table.curve("val_loss")[:, :, 0, 0]) | table.measured[:, :, 0])


class Seconds:
    """Seconds of an epoch of any configuration on a task, learned from all tasks of a table that were timed."""

    def __init__(self, table: MetaDataset) -> None:
        self._space = table.space
        seconds = table.curve("epoch_seconds")[:, :, 0].astype(np.float64)  # [T, H, F]
        steps = np.diff(table.epochs, prepend=0)
        means = (seconds * steps).sum(axis=2) / table.epochs[-1]  # [T, H], NaN where not timed
        n_images = (table.tasks["n_train"] + table.tasks["n_val"]).to_numpy(dtype=np.float64)
        timed = np.isfinite(means) & (means > 0)
        tasks, columns = np.nonzero(timed)
        if not len(tasks):
            raise ValueError("equal seconds need a table with seconds, but no cell of this one was timed")
        self._x = table.space.coordinates(table.configs)[columns]
        self._y = np.log(means[timed] / n_images[tasks])[:, None]
        self._groups = columns
        self._model = Trees().fit(self._x, self._y)
        off = (self._y - self._model.predict(self._x))[:, 0]
        names = table.tasks["name"].tolist()
        own = {names[task]: float(off[tasks == task].mean()) for task in np.unique(tasks)}
        self._levels = {name: np.log(n) + own.get(name, 0.0) for name, n in zip(names, n_images, strict=True)}

    def of(self, task: str, config: Config) -> float:
        """Seconds of an epoch."""
        per_image = self._model.predict(self._space.coordinates([config]))[0, 0]
        return float(np.exp(self._levels[task] + per_image))

    def left_out_r2(self) -> float:
        """Share of the variance of the logarithm that is explained of configurations that were left out."""
        return _explained(self._y, left_out(Trees(), self._x, self._y, self._groups))


class TaskSurrogate:
    """What is expected of any configuration on one task of a table.

    Args:
        table: The table, complete or not.
        task: Name of the task.
        seconds: Seconds of an epoch, learned from the same table.
        kind: One of ``REGRESSORS``.

    Attributes:
        noise_from: ``"second seeds"`` or ``"halves"``.
        n_configs: Configurations that were measured on the task.
    """

    def __init__(self, table: MetaDataset, task: str, seconds: Seconds, kind: str = "trees") -> None:
        row = table.tasks["name"].tolist().index(task)
        kept = trained(table)[row]
        # Where the learning rate makes a configuration diverge, it has learned nothing.
        curves = np.stack([table.curve(name)[row] for name in ("val_accuracy", "val_accuracy_b")]).astype(np.float64)
        learned = np.isfinite(curves[:, :, 0]).all(axis=(0, 2))  # [H]
        halves = np.nan_to_num(curves[:, kept, 0])  # [2, n, F]
        self.task, self.n_configs = task, int(kept.sum())
        self.family = str(table.tasks["family"].iloc[row])
        self.space = SearchSpace(table.space.configuration_space, table.space.name)  # without its list
        self.epochs, self.settles = table.epochs, table.fingerprint.settles
        self._seconds = seconds
        self._x, self._y = self.space.coordinates(table.configs)[kept], halves.mean(axis=0)
        self._kind, self._model = REGRESSORS[kind], REGRESSORS[kind]().fit(self._x, self._y)
        own = learned[kept]
        self._level = (halves[0] - halves[1])[own].mean(axis=0) / 2  # [F], of half A above the mean
        pairs = _seed_pairs(curves)
        self.noise_from = "second seeds" if len(pairs) >= _ENOUGH_PAIRS else "halves"
        if len(pairs) < _ENOUGH_PAIRS:
            apart = (halves[0] - halves[1])[own] - 2 * self._level
            pairs = np.stack([apart, apart[::-1]], axis=1)
        self.noise = pairs / np.sqrt(2)  # [n, 2, F]
        self._known: dict[str, tuple[Floats, float]] = {}

    def expected(self, config: Config) -> tuple[Floats, float]:
        """Accuracies of both halves without noise, [2, F], and the seconds of an epoch."""
        key = config_key(config)
        if key not in self._known:
            mean = self._model.predict(self.space.coordinates([config]))[0]
            halves = np.stack([mean + self._level, mean - self._level])
            self._known[key] = (halves, self._seconds.of(self.task, config))
        return self._known[key]

    def left_out_r2(self) -> float:
        """Share of the variance of the last accuracy that is explained of configurations that were left out."""
        return _explained(self._y, left_out(self._kind(), self._x, self._y, np.arange(len(self._x))))

    def noise_points(self) -> float:
        """Deviation of the noise of half A at the last epoch, in points."""
        return float(100 * self.noise[:, 0, -1].std())


class SurrogateCurves:
    """Curves on a surrogate for one run, as a replay reads them: any configuration has one.

    Args:
        surrogate: What is expected.
        seed: Random seed of the noise.
        swapped: Whether half B decides and half A reports.
    """

    def __init__(self, surrogate: TaskSurrogate, seed: int = 0, swapped: bool = False) -> None:
        self.task, self.family, self.settles = surrogate.task, surrogate.family, surrogate.settles
        self.max_epochs = int(surrogate.epochs[-1])
        self.configs: list[Config] = []
        self._surrogate, self._numbers = surrogate, np.random.default_rng(seed)
        self._order = slice(None, None, -1 if swapped else 1)
        self._rows: dict[str, int] = {}
        self._halves: list[Floats] = []  # [2, R] each
        self._ends: list[list[float]] = []
        self._held = np.searchsorted(surrogate.epochs, np.arange(1, self.max_epochs + 1), side="right") - 1

    def row(self, config: Config) -> int:
        """Row of a configuration; a new one is drawn its noise."""
        key = config_key(config)
        if key not in self._rows:
            halves, seconds = self._surrogate.expected(config)
            noise = self._surrogate.noise
            if self._surrogate.noise_from == "halves":  # they have none in common
                first, second = self._numbers.integers(len(noise), size=2)
                drawn = np.stack([noise[first, 0], noise[second, 1]])
            else:
                drawn = noise[self._numbers.integers(len(noise))] * self._numbers.choice([-1, 1])
            self._rows[key] = len(self._halves)
            self._halves.append(np.clip(halves + drawn, 0, 1)[self._order][:, self._held])
            self._ends.append((seconds * np.arange(self.max_epochs + 1)).tolist())
            self.configs.append(config)
        return self._rows[key]

    @property
    def accuracy(self) -> Floats:
        """Accuracy on the half that decides, [rows, R]."""
        return np.array([halves[0] for halves in self._halves])

    @property
    def accuracy_b(self) -> Floats:
        """Accuracy on the half that reports, [rows, R]."""
        return np.array([halves[1] for halves in self._halves])

    @property
    def end_seconds(self) -> Floats:
        """Seconds at the end of each epoch, with a 0 in front, [rows, R + 1]."""
        return np.array(self._ends)

    def ends(self, row: int) -> Sequence[float]:
        """One row of ``end_seconds``."""
        return self._ends[row]

    def result(self, row: int, epoch: int) -> dict[str, Any]:
        """What a trainable would report after an epoch."""
        halves, ends = self._halves[row], self._ends[row]
        return {
            **dict.fromkeys(("training_iteration", "epoch", "iterations_since_restore"), epoch),
            "done": False,
            "val_accuracy": float(halves[0, epoch - 1]),
            "val_accuracy_b": float(halves[1, epoch - 1]),
            **dict.fromkeys(("epoch_seconds", "time_this_iter_s"), ends[epoch] - ends[epoch - 1]),
            "time_total_s": ends[epoch],
        }


def _explained(y: Floats, predicted: Floats) -> float:
    """Share of the variance of the last target that is explained, [n, t]."""
    return float(1 - np.mean((predicted[:, -1] - y[:, -1]) ** 2) / y[:, -1].var())


def _seed_pairs(curves: Floats) -> Floats:
    """Differences of the second seed from the first, [n, 2, F], of the configurations [2, H, S, F] that have both."""
    if curves.shape[2] < 2:
        return np.empty((0, 2, curves.shape[-1]))
    apart = curves[:, :, 1] - curves[:, :, 0]
    return np.asarray(apart[:, np.isfinite(apart).all(axis=(0, 2))].transpose(1, 0, 2))
