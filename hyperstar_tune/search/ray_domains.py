"""Converts single parameters from and to Ray Tune's domains.

A ``tune.choice`` is a list of values; one that is listed twice is drawn twice as often. All else is a range, also in
steps, and is drawn as Ray draws it.

Source: ray 2.60, ``tune/search/sample.py``, ``tune/impl/placeholder.py``.
"""

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

from ConfigSpace.hyperparameters import Constant, UniformFloatHyperparameter, UniformIntegerHyperparameter
from ray import tune
from ray.tune.search.sample import Categorical, Domain, Float, Function, Integer, LogUniform, Quantized, Uniform

from hyperstar_tune.errors import SpaceError, first_line
from hyperstar_tune.space import config_key, listed_parameter, plain, values_of

__all__ = ["from_domain", "refuse_hidden_domains", "to_domain"]

_REPLACED = "__fn_ph"  # begins the tuple that Ray puts in the place of a sample_from before a searcher sees the config
_ROUNDING = 1e-9  # of a bound that is a multiple of the step


Meta = Mapping[Hashable, Any] | None  # what ConfigSpace lets a parameter carry


def from_domain(name: str, domain: Domain) -> Any:
    """The parameter of ConfigSpace that stands for a domain.

    Raises:
        SpaceError: If it cannot be ranked, has no value, or its values cannot be told apart, naming the parameter.
    """
    sampler, step = domain.get_sampler(), None
    if isinstance(sampler, Quantized):
        sampler, step = sampler.get_sampler(), sampler.q
    if domain.is_grid():
        raise SpaceError(f"parameter {name!r} may not be a grid_search here; use tune.choice instead")
    if isinstance(domain, Categorical):
        return _listed(name, [plain(value) for value in domain.categories])
    if not isinstance(domain, Float | Integer) or not isinstance(sampler, Uniform | LogUniform):
        kind = f"{type(sampler).__name__.strip('_')} {type(domain).__name__}"
        raise SpaceError(f"parameter {name!r} must be a tune.choice or a uniform or log-uniform range, but is a {kind}")
    numbers = [plain(number) for number in (domain.lower, domain.upper, 1 if step is None else step)]
    if not all(map(_is_finite, numbers)):
        raise SpaceError(f"parameter {name!r} needs a range between two finite numbers, but got {numbers[:2]}")
    lower, upper, by = numbers
    if by <= 0:
        raise SpaceError(f"parameter {name!r} needs a step above 0, but got q={by}")
    make = _whole_numbers if isinstance(domain, Integer) else _numbers
    try:
        made = make(name, lower, upper, None if step is None else by, isinstance(sampler, LogUniform))
        if not isinstance(made, Constant) and not math.isfinite(made.upper - made.lower):
            raise OverflowError("the numbers are too large")  # for the digits to which ConfigSpace rounds them
        return made
    except SpaceError:
        raise
    except (ValueError, TypeError, OverflowError) as error:  # of ConfigSpace, for ranges beyond its arithmetic
        raise SpaceError(
            f"parameter {name!r} cannot have the range [{lower}, {upper}]: {first_line(error)}; take another unit"
        ) from error


def _is_finite(number: Any) -> bool:
    try:
        return isinstance(number, int | float) and math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False


def _numbers(name: str, lower: float, upper: float, step: float | None, is_log: bool) -> Any:
    if step is not None:
        lower, upper = (k * step for k in _multiples(lower, upper, step))
        lower, upper = (float(f"{bound:.12g}") for bound in (lower, upper))  # as the values themselves are written
    if not lower < upper:
        raise SpaceError(
            f"parameter {name!r} needs a range whose lower end is below its upper end, but got [{lower}, {upper}]; "
            "write a single value into the config as it is"
        )
    if not math.isfinite(upper / lower if is_log else upper - lower):
        raise SpaceError(f"parameter {name!r} needs a narrower range than [{lower}, {upper}]")
    meta: Meta = None if step is None else {"step": step}
    return UniformFloatHyperparameter(name, lower=float(lower), upper=float(upper), log=is_log, meta=meta)


def _whole_numbers(name: str, lower: float, upper: float, step: float | None, is_log: bool) -> Any:
    if not all(number == int(number) for number in (lower, upper, step or 1)):
        raise SpaceError(f"parameter {name!r} needs whole bounds and steps, but got [{lower}, {upper}], q={step or 1}")
    by = int(step or 1)
    # Ray's ranges of whole numbers leave out the upper end, but not where there are steps of more than 1.
    first, last = _multiples(lower, upper, by) if by > 1 else (int(lower), int(upper) - 1)
    if first > last:
        raise SpaceError(f"parameter {name!r} needs a range with a whole number in it, but got [{lower}, {upper})")
    if first == last:
        return Constant(name, first * by)
    meta: Meta = None if by == 1 else {"step": by}
    return UniformIntegerHyperparameter(name, lower=first * by, upper=last * by, log=is_log, meta=meta)


def _multiples(lower: float, upper: float, step: float) -> tuple[int, int]:
    """The first and the last multiple of a step in a range, as numbers of steps."""
    return math.ceil(lower / step - _ROUNDING), math.floor(upper / step + _ROUNDING)


def _listed(name: str, values: list[Any]) -> Any:
    for value in values:
        refuse_hidden_domains(name, value)
    try:
        keys = [config_key({"": value}) for value in values]
    except (TypeError, ValueError, RecursionError):
        raise SpaceError(
            f"parameter {name!r} must be a choice of values that JSON has, but one of {values} is not; offer names and "
            "look them up in the trainable"
        ) from None
    counts = Counter(keys)
    distinct = dict(zip(keys, values, strict=True))
    is_even = len(set(counts.values())) == 1
    return listed_parameter(name, list(distinct.values()), None if is_even else [counts[key] for key in distinct])


def refuse_hidden_domains(name: str, value: Any) -> None:
    """Makes sure that a fixed value has nothing in it that Ray would draw.

    Raises:
        SpaceError: If it has, naming the parameter.
    """
    if isinstance(value, Function) or (isinstance(value, tuple) and value[:1] == (_REPLACED,)):
        raise SpaceError(
            f"parameter {name!r} may not be a sample_from, whose values cannot be ranked; use tune.choice or a range"
        )
    if isinstance(value, Domain) or (isinstance(value, dict) and "grid_search" in value):
        raise SpaceError(f"a searched parameter may not stand in a list or a choice, but one does in {name!r}")
    if isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            refuse_hidden_domains(name, item)


def to_domain(hp: Any) -> Domain:
    """Ray's domain for a parameter of ConfigSpace.

    Raises:
        SpaceError: If it is neither listed nor uniform, naming it.

    A choice of Ray has no weights: whole ones become repetitions, others are lost.
    """
    meta = hp.meta or {}
    step = meta.get("step")
    if isinstance(hp, UniformIntegerHyperparameter):
        if step:
            return (tune.qlograndint if hp.log else tune.qrandint)(int(hp.lower), int(hp.upper), step)
        return (tune.lograndint if hp.log else tune.randint)(int(hp.lower), int(hp.upper) + 1)
    if isinstance(hp, UniformFloatHyperparameter):
        ends = float(hp.lower), float(hp.upper)
        if step:
            return (tune.qloguniform if hp.log else tune.quniform)(*ends, step)
        return (tune.loguniform if hp.log else tune.uniform)(*ends)
    values = values_of(hp)
    if values is None:
        raise SpaceError(f"parameter {hp.name!r} has no counterpart in Ray: it is a {type(hp).__name__}")
    counts = meta.get("weights") or getattr(hp, "weights", None) or ()
    if not counts or any(count != int(count) for count in counts):
        return tune.choice(values)
    return tune.choice([value for value, count in zip(values, counts, strict=True) for _ in range(int(count))])
