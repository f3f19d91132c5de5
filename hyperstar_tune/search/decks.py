"""Decks of configurations, from which a searcher draws the next one.

A deck gives each of its configurations once, then nothing until it is rewound. If it is rewound within a bracket, the
configurations that are already in the bracket come last, because they would not fill a new place. Decks hold plain
Python values only, so they can be saved with the searcher.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from hyperstar_tune.errors import SearchError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import Config, SearchSpace

__all__ = ["USES", "Deck", "RankedDeck", "random_deck"]

USES = ("top", "mixed", "sampled")

_BLOCK = 64  # configurations drawn at a time


class Deck(ABC):
    """A deck of listed configurations. A subclass gives the order of every round.

    Args:
        configs: The configurations.
        seed: Random seed of the orders.
    """

    is_finite = True

    def __init__(self, configs: Sequence[Config], seed: int) -> None:
        self._configs = configs
        self._seed = seed
        self._order: Sequence[int] = range(len(configs))
        self._place = self._start = 0  # next place, and the one at which the bracket began
        self._round = -1
        self.rewind()

    def next(self) -> Config | None:
        """The next configuration, or None after the last."""
        if self._place == len(self._order):
            return None
        self._place += 1
        return self._configs[self._order[self._place - 1]]

    def bring_forward(self, index: int) -> None:
        """Deals one of the configurations next, unless it was dealt already in this round."""
        rest = self._order[self._place :]
        if index in rest:
            dealt = self._order[: self._place]
            self._order = [*dealt, index, *(other for other in rest if other != index)]

    def start_bracket(self) -> None:
        """Begins a bracket: all that was given so far may come again at once."""
        self._start = self._place

    def rewind(self) -> None:
        """Starts a new round."""
        standing = set(self._order[self._start : self._place])
        self._round += 1
        self._place = self._start = 0
        self._order = self._deal(random.Random(f"{self._seed}/{self._round}"))  # noqa: S311
        if standing:
            self._order = sorted(self._order, key=standing.__contains__)

    @abstractmethod
    def _deal(self, numbers: random.Random) -> Sequence[int]:
        """The order of the next round."""


class ShuffledDeck(Deck):
    """A deck that deals its configurations in a new random order in every round.

    Args:
        configs: The configurations.
        seed: Random seed of the orders.
        weights: How likely each of them is drawn next, among those that are left; None: all alike.
    """

    def __init__(self, configs: Sequence[Config], seed: int, weights: Sequence[float] | None = None) -> None:
        self._weights = weights
        super().__init__(configs, seed)

    def _deal(self, numbers: random.Random) -> Sequence[int]:
        order = list(self._order)
        if self._weights is None:
            numbers.shuffle(order)
            return order
        # The first of exponential waiting times whose rates are the weights, then the second, and so on.
        waits = [numbers.expovariate(weight) for weight in self._weights]
        return sorted(range(len(waits)), key=waits.__getitem__)


class RankedDeck(Deck):
    """A deck that deals from a ranking, in one of three ways.

    Args:
        ranking: Configurations, best first.
        use: "top" goes down the ranking; "mixed" does so too, but fills a share of the places with random
            configurations; "sampled" draws without replacement in proportion to a softmax over the scores.
        random_share: Share of random places of "mixed", in [0, 1].
        temperature: Temperature of the softmax of "sampled": towards 0 it becomes "top", towards infinity random.
        seed: Random seed of "mixed" and "sampled".

    Raises:
        SearchError: If ``use``, ``random_share`` or ``temperature`` is out of range.
    """

    def __init__(self, ranking: Ranking, use: str, random_share: float, temperature: float, seed: int) -> None:
        if use not in USES:
            raise SearchError(f"use must be one of {', '.join(USES)}, but got {use!r}")
        if not 0 <= random_share <= 1:
            raise SearchError(f"random_share must be in [0, 1], but got {random_share!r}")
        if not temperature > 0:
            raise SearchError(f"temperature must be above 0, but got {temperature!r}")
        self._scores = ranking.scores
        self._use, self._share, self._temperature = use, random_share, temperature
        super().__init__(ranking.configs, seed)

    def _deal(self, numbers: random.Random) -> Sequence[int]:
        n = len(self._configs)
        if self._use == "sampled":  # Gumbel's trick: the order of perturbed logits is a draw without replacement
            noise = np.random.default_rng((self._seed, self._round)).gumbel(size=n)
            logits = np.asarray(self._scores) / self._temperature
            order: list[int] = np.argsort(-(logits + noise), kind="stable").tolist()
            return order
        if self._use == "top" or self._share == 0:
            return range(n)
        shuffled = list(range(n))
        numbers.shuffle(shuffled)
        ranked, drawn = iter(range(n)), iter(shuffled)
        mixed: dict[int, None] = {}  # an ordered set
        for place in range(n):
            is_random = int((place + 1) * self._share + 1e-9) > int(place * self._share + 1e-9)  # evenly spread
            mixed[next(i for i in (drawn if is_random else ranked) if i not in mixed)] = None
        return list(mixed)


class EndlessDeck(Deck):
    """A deck without end: random configurations of a space that cannot be listed.

    Args:
        space: Space to draw from.
        seed: Random seed of the draws.
    """

    is_finite = False

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        super().__init__((), seed)

    def next(self) -> Config | None:
        """The next random configuration; never None."""
        if self._place == len(self._order):
            super().rewind()
        return super().next()

    def rewind(self) -> None:
        """Does nothing, as the deck has no end."""

    def _deal(self, numbers: random.Random) -> Sequence[int]:
        self._configs = self._space.draw(_BLOCK, numbers.getrandbits(31))
        return range(_BLOCK)


def random_deck(space: SearchSpace, seed: int) -> Deck:
    """A deck of random configurations. It deals a space that can be listed once, and draws from any other without end.

    Args:
        space: Space to draw from.
        seed: Random seed of the order.
    """
    if space.is_short:
        grid = space.grid()
        weights = space.weights(grid)
        return ShuffledDeck(grid, seed, None if weights is None else weights.tolist())
    return EndlessDeck(space, seed)
