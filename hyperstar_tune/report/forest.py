"""A random forest as boxes, of which marginals and the variances of functional ANOVA are sums.

Optuna's evaluator gives the importance of single parameters only. A leaf of a tree is a box with a value. The mean over
all other parameters at a point of some parameters is the sum of the values of the boxes that hold the point, each
weighted by its volume in the other parameters. So pairs and marginals are found from the same forest that optuna fits.

Source: Hutter et al., "An efficient approach for assessing hyperparameter importance", ICML 2014, Algorithm 2.
"""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Forest"]

Floats = npt.NDArray[np.float64]
_N_TREES, _MAX_DEPTH = 64, 64  # those of optuna's evaluator


class Forest:
    """A forest over numbers in [0, 1] and choices.

    Args:
        x: Numbers of n configurations, shape [n, d]; a choice is its place in the list.
        y: Scores, shape [n].
        n_choices: For each of the d parameters the number of its choices; 0: a number.
        seed: Random seed of the forest.
    """

    def __init__(self, x: Floats, y: Floats, n_choices: Sequence[int], seed: int) -> None:
        from sklearn.ensemble import RandomForestRegressor

        self._n_choices = n_choices
        starts = np.cumsum([0, *(max(1, n) for n in n_choices)])
        self._columns = [range(start, end) for start, end in pairwise(starts)]
        parts = [np.eye(n)[x[:, i].astype(int)] if n else x[:, [i]] for i, n in enumerate(n_choices)]
        forest = RandomForestRegressor(n_estimators=_N_TREES, max_depth=_MAX_DEPTH, random_state=seed)
        self._trees = [_leaves(tree.tree_, int(starts[-1])) for tree in forest.fit(np.hstack(parts), y).estimators_]

    def marginal(self, place: int, numbers: Floats) -> Floats:
        """Mean score over all other parameters at some numbers of one parameter, shape [len(numbers)]."""
        points = [self._point(place, number) for number in numbers]
        columns = list(self._columns[place])
        return np.mean([tree.means(columns, np.array(points)) for tree in self._trees], axis=0)

    def interaction(self, first: int, second: int) -> float:
        """Share of the variance that two parameters explain together beyond what each explains by itself."""
        shares = []
        for tree in self._trees:
            if tree.variance > 0:
                alone = sum(self._explained(tree, (place,)) for place in (first, second))
                shares.append(max(0.0, self._explained(tree, (first, second)) - alone) / tree.variance)
        return float(np.mean(shares)) if shares else 0.0

    def single(self, place: int) -> float:
        """Share of the variance that one parameter explains, as optuna's evaluator gives it."""
        shares = [self._explained(tree, (place,)) / tree.variance for tree in self._trees if tree.variance > 0]
        return float(np.mean(shares)) if shares else 0.0

    def _point(self, place: int, number: float) -> list[float]:
        n = self._n_choices[place]
        return list(np.eye(n)[int(number)]) if n else [number]

    def _explained(self, tree: "_Boxes", places: tuple[int, ...]) -> float:
        """Variance of the marginal of some parameters, over the cells that the splits of a tree make of them."""
        columns = [column for place in places for column in self._columns[place]]
        edges = [tree.edges(column) for column in columns]
        middles = np.array(list(product(*((e[1:] + e[:-1]) / 2 for e in edges))))
        sizes = np.array([np.prod(sides) for sides in product(*(np.diff(e) for e in edges))])
        means = tree.means(columns, middles)
        average = np.average(means, weights=sizes)
        return float(np.average((means - average) ** 2, weights=sizes))


class _Boxes:
    """The leaves of a tree: boxes [leaves, columns] and their values [leaves]."""

    def __init__(self, lower: Floats, upper: Floats, values: Floats) -> None:
        self._lower, self._upper, self._values = lower, upper, values
        self._sides = upper - lower
        volumes = self._sides.prod(axis=1)
        self.variance = float(np.average((values - np.average(values, weights=volumes)) ** 2, weights=volumes))

    def edges(self, column: int) -> Floats:
        return np.unique(np.append(self._lower[:, column], self._upper[:, column]))

    def means(self, columns: Sequence[int], points: Floats) -> Floats:
        """Mean value over all other columns at points [m, columns], shape [m]."""
        others = np.delete(self._sides, list(columns), axis=1).prod(axis=1)
        lower, upper = self._lower[:, list(columns)], self._upper[:, list(columns)]
        # [m, leaves]; a point on an edge belongs to the box below it, one at 0 to the first
        inside = ((points[:, None] > lower) | (lower == 0)) & (points[:, None] <= upper)
        weights: Floats = inside.all(axis=2) * others
        return np.asarray(weights @ self._values / weights.sum(axis=1))


def _leaves(tree: Any, n_columns: int) -> _Boxes:
    lower, upper, values = [], [], []
    stack = [(0, np.zeros(n_columns), np.ones(n_columns))]
    while stack:
        node, low, high = stack.pop()
        column = tree.feature[node]
        if column < 0:
            lower.append(low)
            upper.append(high)
            values.append(float(tree.value[node].ravel()[0]))
            continue
        left_high, right_low = high.copy(), low.copy()
        left_high[column] = right_low[column] = tree.threshold[node]
        stack += [(tree.children_left[node], low, left_high), (tree.children_right[node], right_low, high)]
    return _Boxes(np.array(lower), np.array(upper), np.array(values))
