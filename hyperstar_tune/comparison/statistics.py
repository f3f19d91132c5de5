"""Means over families with their intervals, comparisons, and how many epochs a method saves.

The unit is the family: its tasks are averaged first, then all families weigh the same (docs/protocol.md, "Statistics").
So values come one per family, shape [F], in the same order for every method. ``seed`` is the random seed of resampling,
and ``n_samples`` the number of resamples.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hyperstar_tune.errors import HyperStarError

__all__ = [
    "MIN_FAMILIES",
    "Interval",
    "bootstrap_mean",
    "epochs_over_rivals",
    "epochs_to_target",
    "geometric_ratio",
    "holm",
    "paired_p_value",
]

MIN_FAMILIES = 5  # fewer give no interval: a bootstrap over them has no meaning
_N_SAMPLES = 10_000
_NEAR = 0.005 + 1e-6  # half a point of accuracy; float32 accuracies must not miss it where it is exactly one image


class Interval(NamedTuple):
    """A mean over families and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """The three numbers, rounded to five digits."""
        return {name: round(float(value), 5) for name, value in self._asdict().items()}


def bootstrap_mean(values: npt.ArrayLike, seed: int = 0, n_samples: int = _N_SAMPLES) -> Interval:
    """Mean over families with a percentile bootstrap.

    Raises:
        HyperStarError: If there is no value or one is not finite.
    """
    families = np.asarray(values, dtype=np.float64)
    if families.ndim != 1 or not len(families) or not np.isfinite(families).all():
        raise HyperStarError(f"a bootstrap needs one finite value per family, but got {families.tolist()}")
    means = families[_draws(len(families), seed, n_samples)].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(families.mean()), float(low), float(high))


def paired_p_value(first: npt.ArrayLike, second: npt.ArrayLike, seed: int = 0, n_samples: int = _N_SAMPLES) -> float:
    """Two-sided bootstrap p-value of the mean difference of two methods over the same families.

    It is the share of resamples of the centred differences whose mean is at least as far from 0 as the observed one; at
    least 1 / (n_samples + 1).
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    observed = abs(difference.mean())
    means = (difference - difference.mean())[_draws(len(difference), seed, n_samples)].mean(axis=1)
    return float((1 + np.sum(np.abs(means) >= observed - 1e-15)) / (n_samples + 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values, each adjusted for the number of comparisons.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    rising = sorted(p_values, key=lambda name: p_values[name])
    scaled = [min(1.0, (len(rising) - rank) * p_values[name]) for rank, name in enumerate(rising)]
    adjusted = dict(zip(rising, accumulate(scaled, max), strict=True))
    return {name: adjusted[name] for name in p_values}


def epochs_to_target(accuracy: npt.ArrayLike, target: float, not_reached: float) -> float:
    """Epochs until a mean incumbent is within half a point of a target, or ``not_reached`` if it never is.

    The incumbent has a value after each epoch, NaN before the first result.
    """
    reached = np.flatnonzero(np.asarray(accuracy, dtype=np.float64) >= target - _NEAR)
    return float(reached[0] + 1) if len(reached) else float(not_reached)


def geometric_ratio(first: npt.ArrayLike, second: npt.ArrayLike, seed: int = 0) -> Interval:
    """Geometric mean over families of ``first / second``, with its interval."""
    logs = np.log(np.asarray(first, dtype=np.float64) / np.asarray(second, dtype=np.float64))
    return Interval(*(float(np.exp(value)) for value in bootstrap_mean(logs, seed)))


def epochs_over_rivals(own: npt.ArrayLike, rival: npt.ArrayLike, grid: Sequence[int]) -> tuple[Interval, float]:
    """Epochs of a method until the rival's final accuracy, over those of the rival; if never, twice the last budget.

    Both have the mean accuracy of every family at every budget of the rising grid, shape [F, B].

    Returns:
        The geometric mean over families, and the share of families in which the method gets there.
    """

    def epochs(curve: npt.NDArray[np.float64], target: float) -> float:
        step = epochs_to_target(curve, target, 0)
        return float(grid[int(step) - 1]) if step else 2.0 * grid[-1]

    curves = list(zip(np.asarray(own), np.asarray(rival), strict=True))
    first = np.array([epochs(mine, theirs[-1]) for mine, theirs in curves])
    second = [epochs(theirs, theirs[-1]) for _, theirs in curves]
    return geometric_ratio(first, second), float(np.mean(first <= grid[-1]))


def _draws(n: int, seed: int, n_samples: int) -> npt.NDArray[np.intp]:
    return np.random.default_rng(seed).integers(0, n, size=(n_samples, n))
