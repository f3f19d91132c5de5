"""Selects the configurations of a space that a ranking has, and those that a predictor is to rank."""

from typing import Any

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.search.decks import random_deck
from hyperstar_tune.space import Config, SearchSpace, config_key

__all__ = ["configs_to_rank", "part_in_space"]

_N_CANDIDATES = 1000  # configurations that are drawn from a space that cannot be listed


def part_in_space(ranking: Ranking, space: SearchSpace | None, fixed: dict[str, Any]) -> Ranking:
    """The part of a ready ranking that lies in a space.

    Args:
        ranking: Configurations with all parameters that the space and ``fixed`` name.
        space: The space that is searched; None: everything that the ranking has.
        fixed: Values of other parameters; those that the ranking does not have are ignored.

    Raises:
        SpaceError: If no ranked configuration lies there.
    """
    searched = space.parameters if space is not None else ()
    ranked = {name for config in ranking.configs for name in config}
    filled = {name: value for name, value in fixed.items() if name in ranked and name not in searched}
    kept, reason = [], None
    for config in ranking.configs:
        if any(config.get(name, value) != value for name, value in filled.items()):
            continue
        try:
            if space is not None:
                space.check({name: value for name, value in config.items() if name not in filled})
        except SpaceError as error:
            reason = error
        else:
            kept.append(config)
    if not kept and space is None:
        raise SpaceError(f"the run's config fixes {filled}, but no ranked configuration has these values")
    if not kept:
        raise SpaceError(f"no ranked configuration lies in the space to be searched: {reason or filled}")
    part = ranking if len(kept) == len(ranking) else ranking.part(kept)
    return part if space is None else part.reduced(searched)


def configs_to_rank(space: SearchSpace, known: SearchSpace, fixed: dict[str, Any], seed: int) -> list[Config]:
    """The configurations of a space, with a value of every parameter that a predictor needs.

    Args:
        space: The space that is searched. If it cannot be listed, 1000 configurations are drawn.
        known: The space that the predictor knows.
        fixed: Values of parameters that are not searched.
        seed: Random seed of the draw.

    Raises:
        SpaceError: If the predictor does not know a parameter or a value, or needs another parameter, naming it.
    """
    for name in space.parameters:
        if name not in known.parameters:
            raise SpaceError(f"the predictor does not know parameter {name!r}; it knows {', '.join(known.parameters)}")
    for name in known.configuration_space.unconditional_hyperparameters:
        if name not in space.parameters and name not in fixed:
            raise SpaceError(f"the predictor needs parameter {name!r} too; search it or fix it in the run's config")
    deck = random_deck(space, seed)
    configs = space.grid() if deck.is_finite else [deck.next() or {} for _ in range(_N_CANDIDATES)]
    given = {name: fixed[name] for name in known.parameters if name in fixed}
    full = [known.active({**given, **config}) for config in configs]
    known.encode(full)  # names the parameter and the value that it does not know
    return list({config_key(config): config for config in full}.values())
