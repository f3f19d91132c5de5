"""HyperSTAR+: the average ranking, corrected by what a few traits of the labelled images say.

The score of configuration h on a task with standardized traits z is ``mean[h] + g(z) * sum_d z[d] * slopes[d, h]``:
a residual of as low a rank as there are traits, from a ridge regression that pulls it to zero, and a share g that falls
to zero for a task far from all known ones. Without evidence it is therefore the average ranking. Needs labels;
without them use the paper's network.

Equations, choices and what was tried: docs/predictor.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import Ridge

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.plus_targets import (
    CURVES,
    READINGS,
    completed,
    config_kernel,
    default_curve,
    robust_scores,
)
from hyperstar_tune.predictor.traits import TRAITS, traits_of
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

__all__ = [
    "HasImages",
    "PlusAverageRanker",
    "PlusModel",
    "PlusRanker",
    "PlusSettings",
    "fit_plus",
    "interpolated",
    "leave_out_error",
    "targets_of",
]

Floats = npt.NDArray[np.float64]

_CLIP = 2.0  # deviations: beyond, a trait says no more
_FAR = 2.5  # times the reach: where nothing of the correction is left
_ENOUGH_FAMILIES = 3  # with complete tasks, to learn from those alone
_NUGGET = 1e-3  # of the interpolation between configurations


class HasImages(Protocol):
    """A store of tasks' images, as ``FeatureStore``."""

    images: Mapping[str, ImageTask]


@dataclass(frozen=True)
class PlusSettings:
    """What is learned from and how."""

    traits: tuple[str, ...] = ("probe_deep", "probe_gain_images", "probe_gain_depth")
    readings: tuple[str, ...] = tuple(READINGS)  # of accuracies, averaged
    curve: str | None = None  # what is read off learning curves, of CURVES; None: steady if the learning rate stays
    penalty: float = 5.0  # of the ridge regression, in tasks and for each trait: at so many half a slope is left
    incomplete: bool = False  # learn from tasks that lack configurations too, even if three families have complete ones

    def __post_init__(self) -> None:
        for kind, names, known in (("traits", self.traits, TRAITS), ("readings", self.readings, tuple(READINGS))):
            if not names or any(name not in known for name in names):
                raise PredictorError(f"{kind} are some of {', '.join(known)}, but got {names}")
        if self.curve is not None and self.curve not in CURVES:
            raise PredictorError(f"curve is one of {', '.join(CURVES)} or None, but got {self.curve!r}")
        if not self.penalty > 0:
            raise PredictorError(f"the penalty must be positive, but got {self.penalty}")


@dataclass(frozen=True)
class PlusModel:
    """What was learned. D traits, H configurations, T known tasks."""

    mean: Floats  # [H], the average ranking
    slopes: Floats  # [D, H], change of a score with one deviation of a trait
    shift: Floats  # [D], of traits
    scale: Floats  # [D]
    known: Floats  # [T, D], standardized traits of the known tasks
    reach: float  # from a known task to the nearest of another family, at most

    def distances(self, traits: Floats) -> Floats:
        """Of a task with some traits [D] from each known one, [T]: root mean square over traits, in deviations."""
        return np.asarray(np.sqrt((((traits - self.shift) / self.scale - self.known) ** 2).mean(axis=1)))

    def share(self, traits: Floats) -> float:
        """Of the correction that is kept: 1 within reach of a known task, 0 from two and a half times it on."""
        distance = float(self.distances(traits).min())
        return float(np.clip((_FAR - distance / self.reach) / (_FAR - 1), 0, 1))

    def scores(self, traits: Floats) -> Floats:
        """Predicted scores [H] of a task."""
        seen = np.clip((traits - self.shift) / self.scale, -_CLIP, _CLIP)
        return np.asarray(self.mean + self.share(traits) * (seen @ self.slopes))


def fit_plus(targets: Floats, traits: Floats, families: Sequence[str], penalty: float) -> PlusModel:
    """Fits a model.

    Args:
        targets: What is learned from, without NaN, shape [T, H].
        traits: Of the tasks, shape [T, D].
        families: Of the tasks, length T.
        penalty: See ``PlusSettings``.
    """
    shift, scale = traits.mean(axis=0), traits.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    known, mean = (traits - shift) / scale, targets.mean(axis=0)
    # D times the penalty, so that more traits do not mean more trust in them.
    ridge = Ridge(alpha=penalty * traits.shape[1], fit_intercept=False)
    slopes = np.asarray(ridge.fit(known, targets - mean).coef_.T, dtype=np.float64).reshape(traits.shape[1], -1)
    groups = np.asarray(families)
    gaps = np.sqrt(((known[:, None] - known[None]) ** 2).mean(axis=2))
    gaps[groups[:, None] == groups[None]] = np.inf
    nearest = gaps.min(axis=1)
    reach = float(nearest.max()) if np.isfinite(nearest).all() else 1.0  # a single family says nothing of others
    return PlusModel(mean, slopes, shift, scale, known, max(reach, 1e-6))


def leave_out_error(targets: Floats, traits: Floats, families: Sequence[str], penalty: float) -> Floats:
    """Root mean square over tasks of what a model of the other families gets wrong, shape [H]."""
    groups = np.asarray(families)
    errors = []
    for family in dict.fromkeys(families):
        own = groups == family
        if not own.all():
            model = fit_plus(targets[~own], traits[~own], groups[~own].tolist(), penalty)
            errors += [target - model.scores(row) for target, row in zip(targets[own], traits[own], strict=True)]
    return np.sqrt(np.mean(np.square(errors), axis=0)) if errors else np.ones(targets.shape[1])


def interpolated(values: Floats, encoded: npt.NDArray[np.floating], wanted: npt.NDArray[np.floating]) -> Floats:
    """Values [..., H] of configurations [H, d] at other ones [n, d]: exact at the known ones, their mean far away."""
    gaps = ((wanted[:, None] - encoded[None]) ** 2).sum(axis=2)
    nearest = gaps.argmin(axis=1)
    out = values[..., nearest]
    new = gaps[np.arange(len(wanted)), nearest] > 1e-9
    if new.any():
        kernel = config_kernel(encoded, encoded) + _NUGGET * np.eye(len(encoded))
        weights = np.linalg.solve(kernel, config_kernel(encoded, wanted[new]))  # [H, n]
        centre = values.mean(axis=-1, keepdims=True)
        out[..., new] = centre + (values - centre) @ weights
    return np.asarray(out)


def targets_of(
    metadataset: MetaDataset, settings: PlusSettings
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """What is learned from a table: row numbers of T tasks and of H configurations, and targets [T, H] without NaN.

    Raises:
        PredictorError: If fewer than two tasks or configurations were trained.
    """
    accuracies = CURVES[settings.curve or default_curve(metadataset)](metadataset)
    trained = np.isfinite(accuracies)
    families = metadataset.tasks["family"].to_numpy(dtype=str)
    whole = trained.all(axis=1)
    enough = not settings.incomplete and len(set(families[whole])) >= _ENOUGH_FAMILIES
    rows = np.flatnonzero(whole if enough else trained.any(axis=1))
    columns = np.flatnonzero(trained[rows].any(axis=0))
    if len(rows) < 2 or len(columns) < 2:
        raise PredictorError("HyperSTAR+ needs two tasks with two configurations trained on each")
    scores = robust_scores(accuracies[np.ix_(rows, columns)], [READINGS[name] for name in settings.readings])
    encoded = metadataset.space.encode(metadataset.configs)[columns]
    return rows, columns, completed(scores, encoded)


class PlusAverageRanker:
    """HyperSTAR+ without its images: the average of what it learns from, the same order for every task."""

    name = "plus_average"
    _space: SearchSpace | None = None

    def fit(self, metadataset: MetaDataset) -> "PlusAverageRanker":
        """Averages the targets of HyperSTAR+."""
        _, columns, targets = targets_of(metadataset, PlusSettings())
        self._encoded = metadataset.space.encode(metadataset.configs)[columns]
        self._mean, self._space = targets.mean(axis=0), metadataset.space
        return self

    def rank(self, task: Any, configs: Sequence[Config]) -> Ranking:
        """Orders configurations, known or not, by their average."""
        if self._space is None:
            raise PredictorError(f"ranker {self.name!r} must be fitted to a table first")
        scores = interpolated(self._mean, self._encoded, self._space.encode(configs))
        return Ranking.of(configs, scores, task=_name_of(task), source=self.name)


class PlusRanker:
    """HyperSTAR+ as a ranker.

    Args:
        store: The images of the tasks of the table.
        seed: Nothing is random: the same for every seed.
        settings: What is learned from and how.
        traits: Traits of tasks computed before, a row a task by its name; those tasks need no images.
    """

    name = "hyperstar_plus"

    def __init__(
        self,
        store: HasImages | None = None,
        seed: int = 0,
        settings: PlusSettings | None = None,
        traits: pd.DataFrame | None = None,
    ) -> None:
        self.store = store
        self.seed = seed
        self.settings = settings or PlusSettings()
        self.traits = traits
        self._space: SearchSpace | None = None

    def fit(self, metadataset: MetaDataset) -> "PlusRanker":
        """Learns from the complete tasks of a table; from all of them where there are too few of those."""
        self.curve = self.settings.curve or default_curve(metadataset)
        rows, columns, targets = targets_of(metadataset, self.settings)
        self._size = metadataset.fingerprint.image_size or 64
        about = metadataset.tasks.iloc[rows]
        names, families = about["name"].astype(str).tolist(), about["family"].astype(str).tolist()
        self.known = tuple(names)
        self.encoded = metadataset.space.encode(metadataset.configs)[columns]
        traits = np.stack([self._traits(name) for name in names])
        self.model = fit_plus(targets, traits, families, self.settings.penalty)
        self.error = leave_out_error(targets, traits, families, self.settings.penalty)
        self._space = metadataset.space
        return self

    def rank(self, task: ImageTask | Any, configs: Sequence[Config]) -> Ranking:
        """Orders configurations, known or not, by their predicted score."""
        if self._space is None:
            raise PredictorError(f"ranker {self.name!r} must be fitted to a table first")
        name = _name_of(task)
        traits = self._traits(task if isinstance(task, ImageTask) else name)
        both = np.stack([self.model.scores(traits), self.error])
        scores, spread = interpolated(both, self.encoded, self._space.encode(configs))
        return Ranking.of(configs, scores, np.maximum(spread, 0), task=name, source=self.name)

    def _traits(self, task: str | ImageTask) -> Floats:
        name = task if isinstance(task, str) else task.name
        if self.traits is not None and name in self.traits.index:
            return self.traits.loc[name, list(self.settings.traits)].to_numpy(dtype=np.float64)
        if isinstance(task, str):
            images = self.store.images.get(name) if self.store is not None else None
            if images is None:
                raise PredictorError(f"this ranker looks at images, but task {name!r} has none; add them to the store")
            task = images
        return traits_of(task, self._size, self.settings.traits)


def _name_of(task: ImageTask | Any) -> str:
    return task.name if isinstance(task, ImageTask) else str(task["name"])
