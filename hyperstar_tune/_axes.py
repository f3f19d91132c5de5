"""One parameter of a search space: its values, its scale, and its block of the encoding.

Source: HyperSTAR (CVPR 2020), Sec. 3.1 (one-hot encoding).
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    FloatHyperparameter,
    IntegerHyperparameter,
    OrdinalHyperparameter,
)

from hyperstar_tune.errors import SpaceError

__all__ = ["Axis", "increasing_numbers", "plain", "values_of"]

_N_KNOTS = 5  # levels that stand for a continuous range in the one-hot block
_LOG_RATIO = 10  # positive levels that span at least this factor are scaled by their logarithm


class Axis:
    """One parameter of a space."""

    def __init__(self, hp: Any) -> None:
        self.name = hp.name
        self.choices = values_of(hp)
        self.is_integer = isinstance(hp, IntegerHyperparameter)
        if self.choices is None and not isinstance(hp, FloatHyperparameter | IntegerHyperparameter):
            raise SpaceError(
                f"parameter {hp.name!r} must be categorical, ordinal, integer or float, but is {type(hp).__name__}"
            )
        ordered = isinstance(hp, OrdinalHyperparameter) and increasing_numbers(self.choices or ())
        self.is_numeric = self.choices is None or ordered
        if not self.is_numeric:
            return
        ends = (self.choices[0], self.choices[-1]) if self.choices else (plain(hp.lower), plain(hp.upper))
        self.lower, self.upper = ends
        if not (math.isfinite(self.lower) and math.isfinite(self.upper)):
            raise SpaceError(f"parameter {hp.name!r} needs finite bounds, but got [{self.lower}, {self.upper}]")
        self.is_log = self.lower > 0 and self.upper >= _LOG_RATIO * self.lower if self.choices else bool(hp.log)
        self.knots = (
            np.array([self._scale(level) for level in self.choices]) if self.choices else np.linspace(0, 1, _N_KNOTS)
        )

    @property
    def dim(self) -> int:
        return len(self.knots) + 1 if self.is_numeric else len(self.choices or ())

    def encode_into(self, block: npt.NDArray[np.float32], value: Any) -> None:
        if not self.is_numeric:
            self.check(value)
            block[self._place(value)] = 1
            return
        self._check_range(value)
        coordinate = self._scale(value)
        block[-1] = coordinate
        right = int(np.clip(np.searchsorted(self.knots, coordinate), 1, len(self.knots) - 1))
        left_knot, right_knot = self.knots[right - 1], self.knots[right]
        share = (coordinate - left_knot) / (right_knot - left_knot)
        block[right - 1], block[right] = 1 - share, share

    def check(self, value: Any) -> None:
        if self.choices is None:
            self._check_range(value)
        elif self._place(value) < 0:
            raise SpaceError(f"parameter {self.name!r} must be one of {self.choices}, but got {value!r}")

    def own(self, value: Any) -> Any:
        """A value of the parameter as the space writes it: 16, not 16.0."""
        if self.choices is not None:
            place = self._place(value)
            return self.choices[place] if place >= 0 else value
        return int(value) if self.is_integer and value == int(value) else value

    def describe(self) -> dict[str, Any]:
        if self.choices is not None:
            return {"choices": self.choices, "ordered": self.is_numeric}
        return {"lower": self.lower, "upper": self.upper, "log": self.is_log, "integer": self.is_integer}

    def _place(self, value: Any) -> int:
        # True == 1 and 1 == 1.0 in Python: a boolean equals no number here, but 1 and 1.0 are one value.
        for place, choice in enumerate(self.choices or ()):
            if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                return place
        return -1

    def _check_range(self, value: Any) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self.lower <= value <= self.upper:
            raise SpaceError(
                f"parameter {self.name!r} must be a number in [{self.lower}, {self.upper}], but got {value!r}"
            )
        if self.is_integer and value != int(value):
            raise SpaceError(f"parameter {self.name!r} must be a whole number, but got {value!r}")

    def _scale(self, value: float) -> float:
        if self.is_log:
            return math.log(value / self.lower) / math.log(self.upper / self.lower)
        return (value - self.lower) / (self.upper - self.lower)


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
