"""Converts search spaces from and to Ray Tune's dicts.

Ray's ``config`` (or ``param_space``) mixes three things in one nested dict: what is searched (``tune.choice`` and the
like), what is fixed, and where in the dict each value is. They are taken apart here, and a flat configuration is put
back into its places.

The name of a searched parameter is the last part of its path (``{"train": {"lr": ...}}`` gives ``lr``) if that is
unique, else the whole path (``train/lr``).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ConfigSpace import ConfigurationSpace
from ray.tune.search.sample import Domain

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.search.ray_domains import from_domain, refuse_hidden_domains, to_domain
from hyperstar_tune.space import Config, SearchSpace, plain

__all__ = ["RaySpace", "as_space", "from_ray", "nest", "to_ray", "unnest"]

Path = tuple[Any, ...]  # keys of nested dicts, from the outermost


@dataclass(frozen=True)
class RaySpace:
    """A Ray ``config``, taken apart."""

    space: SearchSpace | None  # what is searched; None: nothing
    paths: dict[str, Path]  # parameter -> its place in the config
    fixed: dict[str, Any]  # unique last part of a path -> fixed value


def from_ray(config: dict[str, Any], name: str = "config") -> RaySpace:
    """Takes a Ray ``config`` apart.

    Args:
        config: Flat or nested; ``tune.choice``, ``uniform``, ``loguniform``, ``randint``, ``lograndint`` and their
            quantized forms are searched, all else is fixed.
        name: What to call the space in messages.

    Raises:
        SpaceError: If a parameter is searched in a way that cannot be ranked (``sample_from``, ``randn``,
            ``grid_search``, a domain inside a list, a choice of objects), has no value, or has values that cannot be
            told apart, naming it.
    """
    leaves = list(_leaves(config, ()))
    times = Counter(str(path[-1]) for path, _ in leaves)
    paths, fixed = {}, {}
    searched = ConfigurationSpace(name=name)  # it sorts its parameters by name
    for path, leaf in leaves:
        parameter = str(path[-1]) if times[str(path[-1])] == 1 else _joined(path)
        if parameter in paths or (isinstance(leaf, Domain) and parameter in fixed):
            raise SpaceError(f"two entries of the config may not have the same path, but {parameter!r} comes twice")
        if isinstance(leaf, Domain):
            paths[parameter] = path
            searched.add(from_domain(parameter, leaf))
        else:
            fixed[parameter] = plain(leaf)
    return RaySpace(SearchSpace(searched, name) if paths else None, paths, fixed)


def to_ray(space: SearchSpace) -> dict[str, Any]:
    """The space as a flat Ray ``config``.

    Args:
        space: A search space; an ordinal parameter becomes a ``tune.choice``.

    Raises:
        SpaceError: If a parameter is neither listed nor uniform, naming it.
    """
    return {hp.name: to_domain(hp) for hp in space.configuration_space.values()}


def as_space(space: SearchSpace | str | dict[str, Any]) -> tuple[SearchSpace, dict[str, Path]]:
    """A space given as itself, by name or as Ray's dict, and the places of its parameters in a trial's config.

    Raises:
        SpaceError: If the name is unknown or nothing is searched in the dict.
    """
    if isinstance(space, dict):
        taken = from_ray(space, name="space")
        if taken.space is None:
            raise SpaceError(f"a space given as a dict needs a searched parameter, but got only {list(space)}")
        return taken.space, taken.paths
    if isinstance(space, str):
        space = SearchSpace.from_name(space)
    return space, {name: (name,) for name in space.parameters}


def nest(config: Config, paths: dict[str, Path]) -> dict[str, Any]:
    """Puts a flat configuration into its places; parameters that it leaves out have none."""
    nested: dict[str, Any] = {}
    for parameter, path in paths.items():
        if parameter not in config:
            continue
        place = nested
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = config[parameter]
    return nested


def unnest(nested: dict[str, Any], paths: dict[str, Path]) -> Config:
    """The flat configuration that ``nest`` put into its places; a parameter without a value there is left out."""
    config = {}
    for parameter, path in paths.items():
        place: Any = nested
        for part in path:
            place = place.get(part) if isinstance(place, dict) else None
        if place is not None:
            config[parameter] = place
    return config


def _leaves(config: dict[Any, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, value in config.items():
        here = (*path, key)
        if isinstance(value, dict) and "grid_search" in value:
            raise SpaceError(f"parameter {_joined(here)!r} may not be a grid_search here; use tune.choice instead")
        if isinstance(value, dict):
            yield from _leaves(value, here)
        else:
            if not isinstance(value, Domain):
                refuse_hidden_domains(_joined(here), value)
            yield here, value


def _joined(path: Path) -> str:
    return "/".join(map(str, path))
