"""Converts search spaces from and to Ray Tune's dicts.

Ray's ``config`` (or ``param_space``) mixes three things in one nested dict: what is searched (``tune.choice`` and the
like), what is fixed, and where in the dict each value is. They are taken apart here, and a flat configuration is put
back into its places.

The name of a searched parameter is the last part of its path (``{"train": {"lr": ...}}`` gives ``lr``) if that is
unique, else the whole path (``train/lr``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ConfigSpace import AndConjunction, ConfigurationSpace, OrConjunction
from ConfigSpace.hyperparameters import (
    Constant,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from ray import tune
from ray.tune.search.sample import Categorical, Domain, Float, Integer, LogUniform, Quantized, Uniform

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.space import Config, SearchSpace, config_key, listed_parameter, plain, values_of

__all__ = ["RaySpace", "as_space", "from_ray", "nest", "restrict", "to_ray"]

_MOST_STEPS = 1000  # steps of a quantized range

Path = tuple[str, ...]


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
            ``grid_search``, a domain inside a list, a choice of objects), naming it.
    """
    leaves = list(_leaves(config, ()))
    last_parts = [path[-1] for path, _ in leaves]
    paths, fixed = {}, {}
    searched = ConfigurationSpace(name=name)  # it sorts its parameters by name
    for path, leaf in leaves:
        parameter = path[-1] if last_parts.count(path[-1]) == 1 else "/".join(path)
        if isinstance(leaf, Domain):
            paths[parameter] = path
            searched.add(_convert(parameter, leaf))
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
    config: dict[str, Any] = {}
    for hp in space.configuration_space.values():
        if isinstance(hp, UniformIntegerHyperparameter):
            config[hp.name] = (tune.lograndint if hp.log else tune.randint)(int(hp.lower), int(hp.upper) + 1)
        elif isinstance(hp, UniformFloatHyperparameter):
            config[hp.name] = (tune.loguniform if hp.log else tune.uniform)(float(hp.lower), float(hp.upper))
        elif (values := values_of(hp)) is not None:
            config[hp.name] = tune.choice(values)
        else:
            raise SpaceError(f"parameter {hp.name!r} has no counterpart in Ray: it is a {type(hp).__name__}")
    return config


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


def restrict(space: SearchSpace, fixed: dict[str, Any]) -> SearchSpace:
    """The part of a space in which the parameters that ``fixed`` names have its values.

    Of a list of configurations those stay that agree with the values. Where a value decides a condition, the parameter
    that depends on it is searched always or not at all; a value of a parameter that can mean nothing is ignored.

    Raises:
        SpaceError: If such a value is not in the space, naming the parameter, or no listed configuration agrees.
    """
    shared = {name: fixed[name] for name in space.parameters if name in fixed}
    if not shared:
        return space
    part, conditions = ConfigurationSpace(name=space.name), []
    for hp in space.configuration_space.values():
        kept = Constant(hp.name, shared[hp.name]) if hp.name in shared else hp
        condition = _left_of(space.configuration_space, hp.name, kept, shared)
        if condition is False:
            continue
        if hp.name in shared:
            alone = ConfigurationSpace()
            alone.add(hp)
            SearchSpace(alone).check({hp.name: shared[hp.name]})
        part.add(kept)
        if condition is not True:
            conditions.append(condition)
    part.add(*conditions)
    listed = space.listed
    if listed is not None:
        listed = [c for c in listed if all(c.get(name, value) == value for name, value in shared.items())]
        if not listed:
            raise SpaceError(f"the run's config fixes {shared}, but no configuration listed in {space.name!r} has that")
    return SearchSpace(part, space.name, listed)


def _left_of(space: ConfigurationSpace, name: str, child: Any, fixed: dict[str, Any]) -> Any:
    """What is left of the conditions of a parameter: True, False, or a condition of ``child`` on what is searched."""

    def decided(condition: Any) -> Any:
        if isinstance(condition, AndConjunction | OrConjunction):
            return joined(type(condition), condition.components)
        parent = condition.parent
        of_parent = _left_of(space, parent.name, child, fixed)
        if of_parent is False or (parent.name in fixed and not condition.satisfied_by_value(fixed)):
            return False
        if parent.name in fixed:  # the condition holds wherever the parent means something
            return of_parent
        return type(condition)(**{**condition.to_dict(), "child": child, "parent": parent})

    def joined(kind: Any, conditions: Iterable[Any]) -> Any:
        neutral = kind is AndConjunction
        left = [each for each in map(decided, conditions) if each is not neutral]
        if any(isinstance(each, bool) for each in left):
            return not neutral
        return kind(*left) if len(left) > 1 else left[0] if left else neutral

    return joined(AndConjunction, space.parent_conditions_of[name])


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


def _leaves(config: dict[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, value in config.items():
        here = (*path, str(key))
        if isinstance(value, dict):
            if "grid_search" in value:
                raise SpaceError(f"parameter {'/'.join(here)!r} may not be a grid_search here; use tune.choice instead")
            yield from _leaves(value, here)
        else:
            if isinstance(value, list | tuple) and any(isinstance(item, Domain) for item in value):
                raise SpaceError(f"a searched parameter may not stand in a list, but one does in {'/'.join(here)!r}")
            yield here, value


def _convert(name: str, domain: Domain) -> Any:
    sampler = domain.get_sampler()
    step = None
    if isinstance(sampler, Quantized):
        sampler, step = sampler.get_sampler(), sampler.q
    if isinstance(domain, Categorical):
        return listed_parameter(name, _distinct(name, [plain(value) for value in domain.categories]))
    is_log = isinstance(sampler, LogUniform)
    if not isinstance(domain, Float | Integer) or not (is_log or isinstance(sampler, Uniform)):
        raise SpaceError(
            f"parameter {name!r} must be a tune.choice or a uniform or log-uniform range, but is a "
            f"{type(sampler).__name__.strip('_')} {type(domain).__name__}"
        )
    lower, upper = domain.lower, domain.upper
    if step is not None and not (isinstance(domain, Integer) and step == 1):
        first, last = int(np.ceil(lower / step - 1e-9)), int(np.floor(upper / step + 1e-9))
        if last - first >= _MOST_STEPS:
            raise SpaceError(
                f"a quantized range may have at most {_MOST_STEPS} steps, but parameter {name!r} has "
                f"{last - first + 1}; raise its q or drop it"
            )
        return listed_parameter(name, [domain.cast(round(i * step, 12)) for i in range(first, last + 1)])
    if isinstance(domain, Integer):
        if upper - lower <= 1:
            return Constant(name, int(lower))
        return UniformIntegerHyperparameter(name, lower=int(lower), upper=int(upper) - 1, log=is_log)
    return UniformFloatHyperparameter(name, lower=float(lower), upper=float(upper), log=is_log)


def _distinct(name: str, values: list[Any]) -> list[Any]:
    """The distinct values of a choice. In Ray a value that is listed twice is twice as likely; here it is one."""
    try:
        return list({config_key({"": value}): value for value in values}.values())
    except TypeError:
        raise SpaceError(
            f"parameter {name!r} must be a choice of values that JSON has, but one of {values} is not; offer names and "
            "look them up in the trainable"
        ) from None
