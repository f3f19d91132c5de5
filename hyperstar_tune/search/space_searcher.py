"""Searchers of a space, which is their own or the one in the run's config. Most of them deal it from a deck."""

from abc import abstractmethod
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.decks import Deck, random_deck
from hyperstar_tune.search.parts import restrict
from hyperstar_tune.search.ray_space import RaySpace, as_space
from hyperstar_tune.search.searcher import GatedSearcher, RunOptions
from hyperstar_tune.space import Config, SearchSpace

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["DeckSearcher", "RandomSearcher", "SpaceSearcher"]


class SpaceSearcher(GatedSearcher):
    """Base of the searchers of a space. The run's config may fix values in it.

    A subclass begins in ``search``. It is called as soon as there is a space, and again when the run's config narrows
    the space or brings another one.

    Args:
        space: A search space, its name, or a Ray dict space; None: what the run's config searches.
        seed: Random seed of the order.
        options: Keyword arguments of ``GatedSearcher``.

    Raises:
        SpaceError: If the space is unknown or cannot be searched.
    """

    def __init__(
        self,
        space: SearchSpace | str | dict[str, Any] | None = None,
        *,
        seed: int = 0,
        **options: "Unpack[RunOptions]",
    ) -> None:
        super().__init__(**options)
        self.seed = seed
        self.space: SearchSpace | None = None  # what is searched
        self._has_own = space is not None
        if space is not None:
            own, self.paths = as_space(space)
            self._begin(own, {})

    @abstractmethod
    def search(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        """Begins on a space.

        Args:
            space: The space to search.
            fixed: Values that the run's config fixes, in the space or beside it.
        """

    def take_config(self, config: RaySpace) -> None:
        """Searches what the run's config searches, and keeps to the values that it fixes."""
        if self._has_own:
            super().take_config(config)
        if config.space is not None:
            self.paths = config.paths
            self._begin(config.space, config.fixed)
        elif self.space is not None:
            part = restrict(self.space, config.fixed)
            if part is not self.space:
                self._begin(part, config.fixed)

    def _renew(self, config: RaySpace) -> None:
        if config.space is not None:
            self._has_own = False
        super()._renew(config)

    def searched_values(self, parameter: str) -> list[Any]:
        """Values of a parameter of the space, of a range its ends."""
        return self.space.values_or_ends(parameter) if self.space is not None else []

    def _begin(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        self.space = space
        self.search(space, fixed)


class DeckSearcher(SpaceSearcher):
    """Base of the searchers that deal their configurations from a deck, which ``search`` puts in place."""

    deck: Deck | None = None
    without_deck = "needs a space, but neither it nor the run's config has one; pass space="

    def next_config(self) -> Config | None:
        """The next configuration of the deck; an error if there is none, because there is no space."""
        if self.deck is None:
            raise SearchError(f"{type(self).__name__} {self.without_deck}")
        return self.deck.next()

    def start_over(self) -> None:
        """Deals all configurations again."""
        if self.deck is not None:
            self.deck.rewind()

    def start_bracket(self) -> None:
        """Lets all configurations come again."""
        if self.deck is not None:
            self.deck.start_bracket()

    @property
    def repeats(self) -> bool:
        """Whether the configurations are finite in number."""
        return self.deck is not None and self.deck.is_finite

    def _renew(self, config: RaySpace) -> None:
        self.deck = deepcopy(self.deck)
        super()._renew(config)


class RandomSearcher(DeckSearcher):
    """The searcher of plain Hyperband: uniformly random configurations, from a finite space without replacement.

    Its arguments are those of ``SpaceSearcher``.
    """

    def search(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        """Deals the space in random order."""
        self.deck = random_deck(space, self.seed)
