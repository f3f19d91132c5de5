"""Where the next configuration comes from: lists that are drawn from top to bottom.

A deck gives each of its configurations once, then nothing until it is rewound. Rewound within a bracket, it gives those
that stand in the bracket already last: they would take places and fill none. Decks hold plain Python values only, so
that they are saved with the searcher.
"""

import random
from collections.abc import Sequence
from copy import deepcopy

import numpy as np

from hyperstar_tune.errors import SearchError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import Config, SearchSpace

__all__ = ["USES", "RandomDeck", "RankedDeck"]

USES = ("top", "mixed", "sampled")

_LARGEST_GRID = 20_000  # configurations; a larger finite space is drawn from, not listed
_BLOCK = 64  # configurations drawn at a time


class RankedDeck:
    """A ranking, used in one of three ways.

    Args:
        ranking: Configurations, best first.
        use: "top" goes down the ranking; "mixed" does so too, but fills a share of the places with random
            configurations; "sampled" draws without replacement in proportion to a softmax over the scores.
        random_share: Share of random places of "mixed", in [0, 1].
        temperature: Of the softmax of "sampled": towards 0 it becomes "top", towards infinity random.
        seed: Of the random ones.

    Raises:
        SearchError: If ``use``, ``random_share`` or ``temperature`` is out of range.
    """

    is_finite = True
    _start = 0  # place at which the bracket began

    def __init__(self, ranking: Ranking, use: str, random_share: float, temperature: float, seed: int) -> None:
        if use not in USES:
            raise SearchError(f"use must be one of {', '.join(USES)}, but got {use!r}")
        if not 0 <= random_share <= 1:
            raise SearchError(f"random_share must be in [0, 1], but got {random_share!r}")
        if not temperature > 0:
            raise SearchError(f"temperature must be above 0, but got {temperature!r}")
        self._configs = ranking.configs
        self._scores = ranking.scores
        self._use, self._share, self._temperature, self._seed = use, random_share, temperature, seed
        self._round = -1
        self._place = 0
        self._order: Sequence[int] = ()
        self.rewind()

    def next(self) -> Config | None:
        """The next configuration, or None after the last."""
        if self._place == len(self._configs):
            return None
        config = self._configs[self._order[self._place]]
        self._place += 1
        return config

    def start_bracket(self) -> None:
        """What was given so far may come again at once."""
        self._start = self._place

    def rewind(self) -> None:
        """Starts again at the top; random places are drawn anew."""
        standing = set(self._order[self._start : self._place])
        self._round += 1
        self._place = self._start = 0
        self._order = self._draw()
        if standing:
            self._order = sorted(self._order, key=standing.__contains__)

    def _draw(self) -> Sequence[int]:
        n = len(self._configs)
        if self._use == "sampled":  # Gumbel's trick: the order of perturbed logits is a draw without replacement
            noise = np.random.default_rng((self._seed, self._round)).gumbel(size=n)
            order: list[int] = np.argsort(
                -(np.asarray(self._scores) / self._temperature + noise), kind="stable"
            ).tolist()
            return order
        if self._use == "top" or self._share == 0:
            return range(n)
        shuffled = list(range(n))
        random.Random(f"{self._seed}/{self._round}").shuffle(shuffled)  # noqa: S311
        ranked = iter(range(n))
        drawn = iter(shuffled)
        taken: set[int] = set()
        order = []
        for place in range(n):
            is_random = int((place + 1) * self._share + 1e-9) > int(place * self._share + 1e-9)  # evenly spread
            index = next(i for i in (drawn if is_random else ranked) if i not in taken)
            taken.add(index)
            order.append(index)
        return order


class RandomDeck:
    """Uniformly random configurations: a finite space in random order, each once; else without end.

    Args:
        space: What to draw from.
        seed: Of the order.
    """

    _start = 0  # place at which the bracket began

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.is_finite = space.is_finite and len(space) <= _LARGEST_GRID
        self._space = None if self.is_finite else space
        self._configs: list[Config] = space.grid() if self.is_finite else []
        self._seed = seed
        self._round = -1
        self._place = 0
        if self.is_finite:
            self.rewind()

    def next(self) -> Config | None:
        """The next configuration, or None after the last of a finite space."""
        if self._place == len(self._configs):
            if self._space is None:
                return None
            self._round += 1
            self._place = 0
            self._configs = self._draw(self._space)
        config = self._configs[self._place]
        self._place += 1
        return config

    def start_bracket(self) -> None:
        """What was given so far may come again at once."""
        self._start = self._place

    def rewind(self) -> None:
        """A finite space in a new random order; an endless one goes on."""
        if self._space is None:
            standing = {id(config) for config in self._configs[self._start : self._place]}
            self._round += 1
            self._place = self._start = 0
            random.Random(f"{self._seed}/{self._round}").shuffle(self._configs)  # noqa: S311
            self._configs.sort(key=lambda config: id(config) in standing)

    def _draw(self, space: SearchSpace) -> list[Config]:
        drawn = deepcopy(space.configuration_space)
        drawn.seed(random.Random(f"{self._seed}/{self._round}").getrandbits(31))  # noqa: S311
        return [
            {name: getattr(value, "item", lambda value=value: value)() for name, value in config.items()}
            for config in drawn.sample_configuration(_BLOCK)
        ]
