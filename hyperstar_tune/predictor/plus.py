"""HyperSTAR+: the average ranking, corrected by what a few traits of the labelled images say.

The score of configuration h on a task with standardized traits z is ``mean[h] + g(z) * sum_d z[d] * slopes[d, h]``. The
slopes come from a ridge regression, which pulls the correction to zero. The share g falls to zero for a task far from
all known ones. Without evidence the ranking is therefore the average one. HyperSTAR+ needs labels; without them use the
paper's network.

This file has the arithmetic; ``plus_predictor.py`` makes a predictor of it. docs/predictor.md has the equations, the
choices and what was tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.targets import CURVES, READINGS, config_kernel
from hyperstar_tune.predictor.traits import SHIPPED_TRAITS, TRAITS

__all__ = ["PlusModel", "PlusSettings", "fit_plus", "interpolated", "leave_out_error", "reach_of"]

Floats = npt.NDArray[np.float64]

_CLIP = 2.0  # deviations; a trait beyond them says nothing more
_FAR = 2.5  # times the reach, from where on nothing of the correction is left
_NUGGET = 1e-3  # added to the diagonal where configurations are interpolated


@dataclass(frozen=True)
class PlusSettings:
    """What HyperSTAR+ learns from, and how."""

    traits: tuple[str, ...] = SHIPPED_TRAITS
    readings: tuple[str, ...] = tuple(READINGS)  # how accuracies are read, averaged
    curve: str | None = None  # what is read off learning curves, of CURVES; None: steady if the learning rate stays
    penalty: float = 5.0  # of the ridge regression: with this many tasks per trait half of a slope is left
    incomplete: bool = False  # learn from tasks that lack configurations too, even if three families have complete ones

    def __post_init__(self) -> None:
        for kind, names, known in (("traits", self.traits, TRAITS), ("readings", self.readings, READINGS)):
            if not names or any(name not in known for name in names):
                raise PredictorError(f"{kind} are some of {', '.join(known)}, but got {names}")
        if self.curve is not None and self.curve not in CURVES:
            raise PredictorError(f"curve is one of {', '.join(CURVES)} or None, but got {self.curve!r}")
        if not self.penalty > 0:
            raise PredictorError(f"the penalty must be positive, but got {self.penalty}")


@dataclass(frozen=True)
class PlusModel:
    """What was learned from T known tasks about D traits and H configurations."""

    mean: Floats  # [H], the average ranking
    slopes: Floats  # [D, H], change of a score with one deviation of a trait
    shift: Floats  # [D], mean of each trait
    scale: Floats  # [D], deviation of each trait
    known: Floats  # [T, D], standardized traits of the known tasks
    reach: float  # the largest distance from a known task to its nearest neighbour in another family

    def distances(self, traits: Floats) -> Floats:
        """Distances [T] of a task with the given traits [D] from the known tasks: root mean square, in deviations."""
        return np.asarray(np.sqrt((((traits - self.shift) / self.scale - self.known) ** 2).mean(axis=1)))

    def share(self, traits: Floats) -> float:
        """How much of the correction counts: 1 up to ``reach`` from the nearest known task, 0 from 2.5 times it on."""
        distance = float(self.distances(traits).min())
        return float(np.clip((_FAR - distance / self.reach) / (_FAR - 1), 0, 1))

    def scores(self, traits: Floats, trust: float = 1.0) -> Floats:
        """Predicted scores [H] of a task with the given traits [D], which are trusted by a share in [0, 1]."""
        return np.asarray(self.mean + self.moves(traits, trust).sum(axis=0))

    def moves(self, traits: Floats, trust: float = 1.0) -> Floats:
        """What each trait adds to the average score of each configuration, [D, H]."""
        seen = np.clip((traits - self.shift) / self.scale, -_CLIP, _CLIP)
        return np.asarray(trust * self.share(traits) * seen[:, None] * self.slopes)


def fit_plus(targets: Floats, traits: Floats, families: Sequence[str], penalty: float) -> PlusModel:
    """Fits a model to targets [T, H] without NaN of tasks with traits [T, D], with the penalty of ``PlusSettings``."""
    from sklearn.linear_model import Ridge  # slow to import, and only needed to fit

    shift, scale = traits.mean(axis=0), traits.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    known, mean = (traits - shift) / scale, targets.mean(axis=0)
    # D times the penalty, so that more traits do not mean more trust in them.
    ridge = Ridge(alpha=penalty * traits.shape[1], fit_intercept=False)
    slopes = np.asarray(ridge.fit(known, targets - mean).coef_.T, dtype=np.float64)
    return PlusModel(mean, slopes, shift, scale, known, reach_of(known, families))


def reach_of(known: Floats, families: Sequence[str]) -> float:
    """The largest distance of a task from its nearest in another family, by standardized traits [T, D]."""
    groups = np.asarray(families)
    gaps = np.sqrt(((known[:, None] - known[None]) ** 2).mean(axis=2))
    gaps[groups[:, None] == groups[None]] = np.inf
    nearest = gaps.min(axis=1)
    reach = float(nearest.max()) if np.isfinite(nearest).all() else 1.0  # a single family says nothing of others
    return max(reach, 1e-6)


def leave_out_error(targets: Floats, traits: Floats, families: Sequence[str], penalty: float) -> Floats:
    """Root mean square error [H] of scores on families they were not learned from; arguments as for ``fit_plus``."""
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
    gaps = cdist(wanted, encoded, "sqeuclidean")
    nearest = gaps.argmin(axis=1)
    out = values[..., nearest]
    new = gaps[np.arange(len(wanted)), nearest] > 1e-9
    if new.any():
        kernel = config_kernel(encoded, encoded) + _NUGGET * np.eye(len(encoded))
        weights = np.linalg.solve(kernel, config_kernel(encoded, wanted[new]))  # [H, n]
        centre = values.mean(axis=-1, keepdims=True)
        out[..., new] = centre + (values - centre) @ weights
    return np.asarray(out)
