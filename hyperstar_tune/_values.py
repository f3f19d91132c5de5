"""The values of parameters: plain Python values that JSON has, and lists of them."""

import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    OrdinalHyperparameter,
)

from hyperstar_tune.errors import SpaceError

__all__ = ["config_key", "increasing_numbers", "listed_parameter", "plain", "values_of"]

_LONGEST = 200  # characters of a list in a message


def config_key(config: dict[str, Any]) -> str:
    """A configuration as canonical JSON: equal for equal configurations, whatever the order of their parameters."""
    return json.dumps(config, sort_keys=True, separators=(",", ":"))


def listed_parameter(name: str, values: Sequence[Any], weights: Sequence[float] | None = None) -> Any:
    """The parameter of ConfigSpace that has these values; increasing numbers make an ordinal one.

    Args:
        name: What to call it.
        values: Its values, which JSON has.
        weights: How likely each of them is drawn; None: all alike.

    Raises:
        SpaceError: If there is none, a value comes twice, equals another one, or is a number that is not finite.
    """
    if not values or len({config_key({"": value}) for value in values}) < len(values):
        raise SpaceError(f"parameter {name!r} needs distinct values, but got {_shown(values)}")
    if len({_comparable(value) for value in values}) < len(values):
        raise SpaceError(
            f"parameter {name!r} needs values that Python holds apart, unlike 1, 1.0 and True, but got {_shown(values)}"
        )
    if not all(map(_is_finite, values)):
        raise SpaceError(f"parameter {name!r} needs values without NaN and infinity, but got {_shown(values)}")
    if any(isinstance(value, str) and value.endswith("\0") for value in values):  # NumPy would cut it off
        raise SpaceError(f"parameter {name!r} needs texts without a null at their end, but got {_shown(values)}")
    if len(values) == 1:
        return Constant(name, values[0])
    if increasing_numbers(values):
        return OrdinalHyperparameter(name, values, meta=None if weights is None else {"weights": list(weights)})
    return CategoricalHyperparameter(name, values, weights=weights)


def _comparable(value: Any) -> Any:
    """A value that JSON has, as one that can stand in a set."""
    if isinstance(value, list | tuple):
        return tuple(map(_comparable, value))
    if isinstance(value, dict):
        return frozenset((key, _comparable(item)) for key, item in value.items())
    return value


def _is_finite(value: Any) -> bool:
    """Whether all numbers in a value are finite, also as floating-point numbers."""
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    try:
        return not isinstance(value, int | float) or math.isfinite(value)
    except OverflowError:
        return False


def _shown(values: Sequence[Any]) -> str:
    """A list for a message, without its middle if it is long."""
    text = str(list(values))
    return text if len(text) < _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def values_of(hp: Any) -> list[Any] | None:
    """The values of a parameter of ConfigSpace as plain Python values; None if it has no list of them."""
    if isinstance(hp, Constant):
        return [plain(hp.value)]
    values = hp.choices if isinstance(hp, CategoricalHyperparameter) else getattr(hp, "sequence", None)
    return None if values is None else [plain(value) for value in values]


def increasing_numbers(values: Sequence[Any]) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and len(values) > 1 and all(a < b for a, b in itertools.pairwise(values))
