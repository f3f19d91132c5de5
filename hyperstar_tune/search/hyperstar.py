"""The searcher that has looked at the images: it goes down a predictor's ranking.

The predictor is asked once, when the searcher is made; afterwards only the ranked list is kept, so that no network
travels with the searcher's state.

Source: HyperSTAR (CVPR 2020), Sec. 3.2 ("Task-Aware HPO").
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperstar_tune.errors import SearchError, SpaceError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.search.decks import RandomDeck, RankedDeck
from hyperstar_tune.search.ray_space import RaySpace, as_space, restrict
from hyperstar_tune.search.searcher import GatedSearcher, raise_two_spaces
from hyperstar_tune.space import Config, SearchSpace, config_key

if TYPE_CHECKING:
    from hyperstar_tune.predictor import Predictor
    from hyperstar_tune.tasks.task import ImageTask

__all__ = ["HyperStarSearcher"]

_N_CANDIDATES = 1000  # drawn from a space that cannot be listed
_LARGEST_GRID = 20_000


class HyperStarSearcher(GatedSearcher):
    """Suggests the configurations that a predictor ranks best for a task.

    With ``TaskAwareHyperBand`` a bracket takes the next ones of the ranking; with ASHA or no scheduler the searcher
    goes down the ranking until ``num_samples`` or its end.

    Args:
        task: The images: a folder, "torchvision:NAME" or an ``ImageTask``.
        predictor: Name or path of a predictor, or a predictor.
        ranking: A ready ranking instead of task and predictor.
        space: What to search: a space, its name or a Ray dict space. None: what the run's config searches, or the whole
            space of the predictor.
        use: "top": down the ranking; "mixed": with a share of random configurations; "sampled": drawn without
            replacement in proportion to a softmax over the predicted scores.
        random_share: Share of random configurations of "mixed", in [0, 1].
        temperature: Of the softmax of "sampled"; scores have unit variance.
        restart: Every bracket begins at the top of the ranking (the paper's "in each stage") instead of going on; what
            was trained is not trained again. With "top" such a run sees no more configurations than the widest bracket
            takes, and ends before it has spent one pass, when these are trained as far as the brackets ask.
        unknown_space: What to do with a space that the predictor does not know: "error", or "random" for random
            configurations.
        metric: Reported metric to optimize; usually given to ``tune.run``.
        mode: "max" or "min".
        plan: The run's plan; makes sure that the scheduler has the same one.
        max_concurrent: Trials that may run at a time. Use this, not ``max_concurrent_trials`` of ``tune.run``.
        seed: Random seed of "mixed" and "sampled".

    Raises:
        SearchError: If an argument is missing or out of range.
        SpaceError: If the predictor does not know the space, naming the parameter.
        PredictorError: If the predictor cannot be loaded.
        TaskError: If the images cannot be read.

    Example:
        >>> ranking = Ranking.of([{"lr": 0.01}, {"lr": 0.1}], scores=[0.5, 1.5])
        >>> HyperStarSearcher(ranking=ranking).suggest("some trial")
        {'lr': 0.1}
    """

    transient = ("_ask",)
    _ask: Callable[[Sequence[Config]], Ranking] | None = None  # the predictor; gone from a copy
    _deck: RankedDeck | RandomDeck | None = None
    _random_space: SearchSpace | None = None  # where the predictor does not know the space

    def __init__(
        self,
        task: "str | Path | ImageTask | None" = None,
        *,
        predictor: "str | Path | Predictor" = "mobilenet-v2-64px",
        ranking: Ranking | None = None,
        space: SearchSpace | str | dict[str, Any] | None = None,
        use: str = "top",
        random_share: float = 0.25,
        temperature: float = 0.5,
        restart: bool = False,
        unknown_space: str = "error",
        metric: str | None = None,
        mode: str | None = None,
        plan: HyperBandPlan | None = None,
        max_concurrent: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(metric=metric, mode=mode, plan=plan, max_concurrent=max_concurrent)
        if unknown_space not in ("error", "random"):
            raise SearchError(f"unknown_space must be 'error' or 'random', but got {unknown_space!r}")
        if (task is None) == (ranking is None):
            raise SearchError("HyperStarSearcher needs either a task or a ranking; pass task=FOLDER or ranking=RANKING")
        self._use = (use, random_share, temperature, seed)
        self._restart = restart
        self._unknown_space = unknown_space
        self.fingerprint: Fingerprint | None = None  # circumstances of the predictor's training
        self.source = ""  # name of the predictor
        self.ranking: Ranking | None = ranking  # what is gone down; None: random configurations
        self._known: SearchSpace | None = None
        self._space_given = space is not None
        if task is not None:
            self._load(task, predictor)
        wanted = self._known
        if space is not None:
            wanted, self._paths = as_space(space)
        self._search(wanted, {})

    def next_config(self) -> Config | None:
        """The next configuration of the ranking.

        Raises:
            SearchError: If the searcher was copied before it could rank the run's space.
        """
        if self._deck is None:
            raise SearchError("HyperStarSearcher has no ranking of this run's space any more; make a new one")
        return self._deck.next()

    def start_over(self) -> None:
        """From the top again."""
        if self._deck is not None:
            self._deck.rewind()

    def start_bracket(self) -> None:
        """From the top again, if every bracket does."""
        if self._deck is not None:
            self._deck.start_bracket()
            if self._restart:
                self._deck.rewind()

    @property
    def repeats(self) -> bool:
        """Whether the configurations are finite in number."""
        return self._deck is not None and self._deck.is_finite

    def take_config(self, config: RaySpace) -> None:
        """Searches what the run's config searches, and keeps to what it fixes.

        Raises:
            SpaceError: If the predictor does not know it, naming the parameter.
        """
        if config.space is not None:
            if self._space_given:
                raise_two_spaces(self, config.space)
            self._paths = config.paths
            self._search(config.space, config.fixed)
        elif self.ranking is not None:
            fixed = {name: config.fixed[name] for name in self.ranking.configs[0] if name in config.fixed}
            if fixed:
                kept = [c for c in self.ranking.configs if all(c[name] == value for name, value in fixed.items())]
                if not kept:
                    raise SpaceError(f"the run's config fixes {fixed}, but no ranked configuration has these values")
                self._deal(_part(self.ranking, kept))
        elif isinstance(self._deck, RandomDeck) and self._random_space is not None:
            self._deck = RandomDeck(restrict(self._random_space, config.fixed), self._use[3])

    def _load(self, task: "str | Path | ImageTask", predictor: "str | Path | Predictor") -> None:
        if isinstance(predictor, str | Path):
            from hyperstar_tune.predictor import Predictor  # torch is only needed here

            predictor = Predictor.load(predictor)
        loaded = predictor
        self._known = loaded.space
        self.fingerprint = loaded.fingerprint
        self._ask = lambda configs: loaded.rank(task, configs)

    def _search(self, space: SearchSpace | None, fixed: dict[str, Any]) -> None:
        """Ranks the configurations of ``space``; all of a ready ranking if None."""
        self._random_space = self._deck = None
        try:
            if self._known is None:
                ranking = self.ranking if space is None else self._select(space, fixed)
            else:
                ranking = self._rank(self._known if space is None else space, fixed)
        except SpaceError as error:
            if self._unknown_space == "error" or space is None:
                raise
            print(f"hyperstar_tune: {error}; plain Hyperband with random configurations instead")
            self.ranking = None
            self._random_space = space
            self._deck = RandomDeck(space, self._use[3])
            return
        if ranking is not None:
            self._deal(ranking)

    def _deal(self, ranking: Ranking) -> None:
        self.ranking = ranking
        self.source = ranking.source
        self._deck = RankedDeck(ranking, *self._use)

    def _rank(self, space: SearchSpace, fixed: dict[str, Any]) -> Ranking | None:
        known = self._known
        assert known is not None  # noqa: S101
        for name in space.parameters:
            if name not in known.parameters:
                raise SpaceError(
                    f"the predictor does not know parameter {name!r}; it knows {', '.join(known.parameters)}"
                )
        filled = {name: fixed[name] for name in known.parameters if name in fixed and name not in space.parameters}
        missing = [name for name in known.parameters if name not in space.parameters and name not in filled]
        if missing:
            raise SpaceError(
                f"the predictor needs parameter {missing[0]!r} too; search it or fix it in the run's config"
            )
        configs = _candidates(space, self._use[3])
        full = [{name: {**filled, **config}[name] for name in known.parameters} for config in configs]
        known.encode(full)  # names the parameter and the value it does not know
        if self.ranking is not None and {config_key(c) for c in full} <= {config_key(c) for c in self.ranking.configs}:
            ranked = _part(self.ranking, full)
        elif self._ask is None:  # a copy for a restored run, which is about to get its saved list
            return None
        else:
            ranked = self._ask(full)
        searched = tuple({name: config[name] for name in space.parameters} for config in ranked.configs)
        return replace(ranked, configs=searched)

    def _select(self, space: SearchSpace, fixed: dict[str, Any]) -> Ranking:
        """The part of a ready ranking that lies in a space."""
        ranking = self.ranking
        assert ranking is not None  # noqa: S101
        names = ranking.configs[0].keys()
        filled = {name: fixed[name] for name in names if name in fixed and name not in space.parameters}
        kept, reason = [], None
        for config in ranking.configs:
            if any(config[name] != value for name, value in filled.items()):
                continue
            try:
                space.check({name: value for name, value in config.items() if name not in filled})
            except SpaceError as error:
                reason = error
            else:
                kept.append(config)
        if not kept:
            raise SpaceError(f"no ranked configuration lies in the space to be searched: {reason or filled}")
        part = _part(ranking, kept)
        searched = tuple({name: config[name] for name in space.parameters} for config in part.configs)
        return replace(part, configs=searched)


def _candidates(space: SearchSpace, seed: int) -> list[Config]:
    if space.is_finite and len(space) <= _LARGEST_GRID:
        return space.grid()
    deck = RandomDeck(space, seed)
    drawn = [deck.next() for _ in range(_N_CANDIDATES)]
    return [config for config in drawn if config is not None]


def _part(ranking: Ranking, configs: Sequence[Config]) -> Ranking:
    """The places of a ranking that hold these configurations, in order."""
    wanted = {config_key(config) for config in configs}
    places = [i for i, config in enumerate(ranking.configs) if config_key(config) in wanted]
    return replace(
        ranking,
        configs=tuple(ranking.configs[i] for i in places),
        scores=tuple(ranking.scores[i] for i in places),
        spread=tuple(ranking.spread[i] for i in places),
    )
