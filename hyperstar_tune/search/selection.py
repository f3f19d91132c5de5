"""Selects the configurations of a space that a ranking has."""

from typing import Any

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import SearchSpace

__all__ = ["part_in_space"]


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
