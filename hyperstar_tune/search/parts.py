"""Parts of a search space: some of its parameters fixed to a value, or kept to fewer values.

The conditions of the space are kept as far as they still decide something. Where all values that are left of a
parameter fulfil a condition, the parameter that depends on it is always searched; where none does, it is left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ConfigSpace import AndConjunction, ConfigurationSpace, InCondition, OrConjunction
from ConfigSpace.hyperparameters import Constant, IntegerHyperparameter

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.space import Config, SearchSpace, values_of

__all__ = ["part_of", "restrict"]


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
    whole, constants = space.configuration_space, {name: Constant(name, value) for name, value in shared.items()}
    for name, value in shared.items():  # those that others depend on come first
        if _left_of(whole, name, whole[name], constants) is not False:
            alone = ConfigurationSpace()
            alone.add(whole[name])
            SearchSpace(alone).check({name: value})
    part = part_of(space, constants)
    if part.listed is None and space.listed is not None:
        raise SpaceError(f"the run's config fixes {shared}, but no configuration listed in {space.name!r} has that")
    return part


def part_of(space: SearchSpace, kept: Mapping[str, Any]) -> SearchSpace:
    """The part of a space in which some parameters are replaced.

    Args:
        space: A search space.
        kept: New parameters of ConfigSpace by name. One that other parameters depend on must be an integer range or
            have a list of values.

    Returns:
        The part. Of a list of configurations those stay that lie in it; it has no list if none does.
    """
    whole = space.configuration_space
    part, conditions = ConfigurationSpace(name=space.name), []
    for hp in whole.values():
        new = kept.get(hp.name, hp)
        condition = _left_of(whole, hp.name, new, kept)
        if condition is False:
            continue
        part.add(new)
        if condition is not True:
            conditions.append(condition)
    part.add(*conditions)
    listed = None if space.listed is None else [config for config in space.listed if _lies_in(config, kept)]
    return SearchSpace(part, space.name, listed or None)


def _lies_in(config: Config, kept: Mapping[str, Any]) -> bool:
    return all(_has(hp, config[name]) for name, hp in kept.items() if name in config)


def _has(hp: Any, value: Any) -> bool:
    values = values_of(hp)
    return value in values if values is not None else bool(hp.lower <= value <= hp.upper)


def _left_of(space: ConfigurationSpace, name: str, child: Any, kept: Mapping[str, Any]) -> Any:
    """What is left of the conditions of a parameter: True, False, or a condition of ``child`` on what is searched."""

    def decided(condition: Any) -> Any:
        if isinstance(condition, AndConjunction | OrConjunction):
            return joined(type(condition), condition.components)
        parent = condition.parent
        of_parent = _left_of(space, parent.name, child, kept)
        if of_parent is False:
            return False
        if parent.name not in kept:
            return type(condition)(**{**condition.to_dict(), "child": child, "parent": parent})
        values = _values(kept[parent.name])
        fulfilling = [value for value in values if condition.satisfied_by_value({parent.name: value})]
        if len(fulfilling) == len(values):  # the condition holds wherever the parent means something
            return of_parent
        return InCondition(child, kept[parent.name], fulfilling) if fulfilling else False

    def joined(kind: Any, conditions: Iterable[Any]) -> Any:
        neutral = kind is AndConjunction
        left = [each for each in map(decided, conditions) if each is not neutral]
        if any(isinstance(each, bool) for each in left):
            return not neutral
        return kind(*left) if len(left) > 1 else left[0] if left else neutral

    return joined(AndConjunction, space.parent_conditions_of[name])


def _values(hp: Any) -> list[Any]:
    """All values of a parameter that others depend on."""
    values = values_of(hp)
    if values is not None:
        return values
    if not isinstance(hp, IntegerHyperparameter):
        raise SpaceError(f"parameter {hp.name!r} must have a list of values, since others depend on it, but is a range")
    return list(range(hp.lower, hp.upper + 1))
