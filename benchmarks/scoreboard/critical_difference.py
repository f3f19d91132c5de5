"""Mean ranks of rankers over families and how far apart two must lie to differ.

Source: Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from hyperstar_tune.errors import HyperStarError

__all__ = ["CriticalDifference", "critical_difference"]


@dataclass(frozen=True)
class CriticalDifference:
    """Mean ranks of methods over families, 1 best, and how far apart two must lie to differ."""

    mean_ranks: dict[str, float]  # best first
    difference: float  # at level 5 %
    friedman_p: float  # that all methods are alike
    groups: list[list[str]]  # maximal runs of methods that do not differ

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded."""
        return {
            "mean_ranks": {name: round(rank, 5) for name, rank in self.mean_ranks.items()},
            "difference": round(self.difference, 5),
            "friedman_p": float(f"{self.friedman_p:.3g}"),
            "groups": self.groups,
        }


def critical_difference(values: Mapping[str, npt.ArrayLike], higher_is_better: bool = True) -> CriticalDifference:
    """Friedman's test and Nemenyi's critical difference.

    Args:
        values: By method one value per family, in the same order, shape [F]; at least three methods, two families.
        higher_is_better: Whether rank 1 goes to the largest value.

    Raises:
        HyperStarError: If there are fewer.
    """
    names = list(values)
    table = np.asarray([values[name] for name in names], dtype=np.float64)  # [M, F]
    if len(names) < 3 or table.shape[1] < 2:
        raise HyperStarError(
            f"a critical difference needs 3 methods and 2 families, but got {len(names)} and {table.shape[1]}"
        )
    ranks = rankdata(-table if higher_is_better else table, axis=0).mean(axis=1)
    order = np.argsort(ranks, kind="stable")
    n_methods, n_families = table.shape
    quantile = float(studentized_range.ppf(0.95, n_methods, np.inf)) / np.sqrt(2)
    difference = float(quantile * np.sqrt(n_methods * (n_methods + 1) / (6 * n_families)))
    groups: list[list[str]] = []
    end = 0
    for start, first in enumerate(order):
        last = max(place for place in range(start, len(order)) if ranks[order[place]] - ranks[first] <= difference)
        if last > start and last + 1 > end:
            groups.append([names[i] for i in order[start : last + 1]])
            end = last + 1
    varies = bool(np.ptp(table, axis=0).any())
    p_value = float(friedmanchisquare(*table).pvalue) if varies else 1.0
    return CriticalDifference({names[i]: float(ranks[i]) for i in order}, difference, p_value, groups)
