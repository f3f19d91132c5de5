"""How much of what images say is kept, learned by leaving families and networks out.

A correction by traits of a task is a prediction: of how the task's scores differ from the average. On families that
were left out it can be held against what they really differed by. Its least-squares factor is the share of it that is
kept: 1 where corrections are as large as they should be, 0 where they tell nothing. If the factor cannot be told from
0, nothing is kept, and the average ranking is the better one.

On another network than that of the known tasks the same was measured between two tables (docs/predictor.md).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hyperstar_tune.predictor.plus import fit_plus

__all__ = ["OTHER_NETWORK", "Carried", "Factor", "factor_of", "left_out_factor"]

Floats = npt.NDArray[np.float64]

_N_SAMPLES = 2000


class Factor(NamedTuple):
    """A least-squares factor of corrections, and the ends of its 95 % interval over families."""

    value: float
    low: float
    high: float

    @property
    def kept(self) -> float:
        """The share of a correction that is kept."""
        return min(self.value, 1.0) if self.low > 0 else 0.0


class Carried(NamedTuple):
    """What carries over to circumstances that are unlike those of the known tasks."""

    share: float  # of the correction by images
    error: float  # deviation of scores beside their spread


# Between the tables of MobileNetV2 and ShuffleNetV2, in both directions: the factor cannot be told from 0.
OTHER_NETWORK = Carried(share=0.0, error=1.0)


def factor_of(corrections: Sequence[Floats], differences: Sequence[Floats], families: Sequence[str]) -> Factor:
    """The factor by which corrections come nearest to the differences that they predict; families weigh alike.

    Args:
        corrections: Predicted differences of a task's scores from the average ones, [H], one array per task.
        differences: What they really were.
        families: Family of each task.
    """
    groups = list(dict.fromkeys(families))
    sums = np.zeros((len(groups), 2))
    for correction, difference, family in zip(corrections, differences, families, strict=True):
        n = families.count(family) * len(correction)
        sums[groups.index(family)] += np.array([correction @ difference, correction @ correction]) / n
    if not sums[:, 1].sum() > 0:
        return Factor(0.0, 0.0, 0.0)
    drawn = sums[np.random.default_rng(0).integers(len(groups), size=(_N_SAMPLES, len(groups)))].sum(axis=1)
    factors = np.divide(drawn[:, 0], drawn[:, 1], out=np.zeros(_N_SAMPLES), where=drawn[:, 1] > 0)
    low, high = np.quantile(factors, [0.025, 0.975])
    return Factor(float(sums[:, 0].sum() / sums[:, 1].sum()), float(low), float(high))


def left_out_factor(targets: Floats, traits: Floats, families: Sequence[str], penalty: float) -> Factor:
    """The factor on families that corrections were not learned from; arguments as for ``fit_plus``.

    With a single family there is nothing to learn it from, and it is 0.
    """
    groups = np.asarray(families)
    corrections, differences, of = [], [], []
    for family in dict.fromkeys(families):
        own = groups == family
        if own.all():
            return Factor(0.0, 0.0, 0.0)
        model = fit_plus(targets[~own], traits[~own], groups[~own].tolist(), penalty)
        for target, task in zip(targets[own], traits[own], strict=True):
            corrections.append(model.moves(task).sum(axis=0))
            differences.append(target - model.mean)
            of.append(family)
    return factor_of(corrections, differences, of)
