"""Makes a ranking of a space with ranges diverse, so that a bracket does not train the same configuration many times.

Scores are smooth: around the best learning rate a thousand drawn ones score alike, and the first 32 places would be one
combination of the other parameters. Two rules put other configurations between them:

- Two configurations are near copies if they agree in every parameter with few values, and differ in each range by less
  than ``MIN_DISTANCE`` of it (of its logarithm where it has one). Of near copies the better one keeps its place; the
  others come after all that are not, then those that are half as far apart, and so on.
- A score that is lower than the best one left by no more than its spread counts as equal. Of equal ones that comes next
  whose combination of the parameters with few values stands least often before it.

It changes nothing where all parameters have few values, or where the space comes with a list of its configurations.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import SearchSpace

__all__ = ["MIN_DISTANCE", "made_diverse"]

MIN_DISTANCE = 0.1
_NEAREST = 1e-3  # a distance below which configurations are not told apart any more
_MOST = 1000  # places that are made diverse; no run trains more


def made_diverse(ranking: Ranking, space: SearchSpace) -> Ranking:
    """The same configurations in an order in which near copies come late.

    Args:
        ranking: Configurations of the space, best first.
        space: The space that is searched.
    """
    is_range = space.gaps < MIN_DISTANCE
    if space.listed is not None or not is_range.any():
        return ranking
    places = space.coordinates(ranking.configs)  # [n, parameters]
    combinations = [tuple(row) for row in places[:, ~is_range]]
    order: list[int] = []
    left, distance = list(range(len(ranking)))[:_MOST], MIN_DISTANCE
    while left and distance > _NEAREST:
        apart = _apart(places, left, order, distance)
        order += _mixed(ranking, combinations, apart)
        taken = set(apart)
        left, distance = [place for place in left if place not in taken], distance / 2
    return ranking.at([*order, *left, *range(_MOST, len(ranking))])


def _apart(places: npt.NDArray[np.float64], left: Sequence[int], before: Sequence[int], distance: float) -> list[int]:
    """Those of ``left`` that are no near copies of each other, nor of any ``before``."""
    kept = list(before)
    for place in left:
        differences = np.abs(places[kept] - places[place])
        if not (differences < distance).all(axis=1).any():
            kept.append(place)
    return kept[len(before) :]


def _mixed(ranking: Ranking, combinations: Sequence[tuple[float, ...]], places: Sequence[int]) -> list[int]:
    """Places in falling order of score; of equal ones first that whose combination came least often."""
    left, order, times = list(places), [], Counter[tuple[float, ...]]()
    while left:
        best = ranking.scores[left[0]]
        equal = [place for place in left if ranking.scores[place] >= best - ranking.spread[place]]
        chosen = min(equal, key=lambda place: times[combinations[place]])
        times[combinations[chosen]] += 1
        left.remove(chosen)
        order.append(chosen)
    return order
