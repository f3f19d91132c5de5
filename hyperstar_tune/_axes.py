"""One parameter of a search space: its values, its scale, how it is drawn, and its block of the encoding.

ConfigSpace has no ranges in steps and no weights of ordinal values. So these stand in the ``meta`` of a parameter:
``{"step": 0.1}`` or ``{"weights": [2, 1]}``, and travel with its JSON.

Source: HyperSTAR (CVPR 2020), Sec. 3.1 (one-hot encoding); Ray 2.60, ``tune/search/sample.py`` (how ranges are drawn).
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from ConfigSpace.hyperparameters import (
    FloatHyperparameter,
    IntegerHyperparameter,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from hyperstar_tune._values import increasing_numbers, plain, values_of
from hyperstar_tune.errors import SpaceError

__all__ = ["Axis"]

_N_KNOTS = 5  # levels that stand for a continuous range in the one-hot block
_ROUNDING = 1e-6  # of a multiple of a step
_LOG_RATIO = 10  # positive levels that span at least this factor are scaled by their logarithm


class Axis:
    """One parameter of a space."""

    def __init__(self, hp: Any) -> None:
        self.name = hp.name
        self._hp = hp
        self.choices = values_of(hp)
        self.weights = _weights(hp)  # of the choices; None: all alike
        self.step = (hp.meta or {}).get("step")  # of a range; None: without steps
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
    def gap(self) -> float:
        """The least difference between the coordinates of two values; infinite if they are not numbers."""
        if not self.is_numeric:
            return math.inf
        if self.choices is not None:
            return float(np.diff(self.knots).min())
        step = self.step or (1 if self.is_integer else 0)
        return 1 - self._scale(self.upper - step)  # of a logarithm the uppermost are nearest

    @property
    def dim(self) -> int:
        return len(self.knots) + 1 if self.is_numeric else len(self.choices or ())

    def coordinate(self, value: Any) -> float:
        """A number in [0, 1] as the parameter is scaled; of other values the place in the list."""
        return self._scale(value) if self.is_numeric else float(self._place(value))

    def weight(self, value: Any) -> float:
        """How likely a listed value is drawn."""
        return 1.0 if self.weights is None else float(self.weights[self._place(value)])

    def draw(self, n: int, numbers: np.random.Generator) -> list[Any]:
        """Draws ``n`` values independently, in the way of Ray where a parameter comes from there."""
        drawn = self.draw_array(n, numbers).tolist()
        return drawn if self.choices is None else [self.choices[place] for place in drawn]

    def draw_array(self, n: int, numbers: np.random.Generator) -> npt.NDArray[Any]:
        """The same as numbers, or of listed values as places in the list, shape [n]."""
        hp = self._hp
        if self.choices is not None:
            return np.asarray(numbers.choice(len(self.choices), n, p=self.weights))
        if isinstance(hp, UniformIntegerHyperparameter):
            step = self.step or 1
            first, last = self.lower // step, self.upper // step
            if self.is_log:  # Ray rounds down, so that small numbers are likelier than by rounding to the nearest
                places = np.floor(np.exp(numbers.uniform(math.log(first), math.log(last + 1), n))).astype(np.int64)
            else:
                places = numbers.integers(first, last + 1, n)
            return np.clip(places, first, last) * step
        if isinstance(hp, UniformFloatHyperparameter):
            if self.is_log:
                drawn = np.exp(numbers.uniform(math.log(self.lower), math.log(self.upper), n))
            else:
                drawn = numbers.uniform(self.lower, self.upper, n)
            if not self.step:
                return np.clip(drawn, self.lower, self.upper)
            multiples, inverse = np.unique(np.round(drawn / self.step), return_inverse=True)
            return np.array([self.nearest(multiple * self.step) for multiple in multiples])[inverse]
        return np.asarray(hp.sample_value(n, seed=np.random.RandomState(numbers.integers(2**31))))

    def nearest(self, value: Any) -> Any:
        """The value of a range that is nearest to a number; a listed value is itself."""
        if self.choices is not None:
            return plain(value)
        if self.step:
            value = round(value / self.step) * self.step
        kept = min(max(plain(value), self.lower), self.upper)
        return round(kept) if self.is_integer else float(f"{kept:.12g}" if self.step else kept)

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
            if self.step and abs(value / self.step - round(value / self.step)) > _ROUNDING:
                raise SpaceError(f"parameter {self.name!r} must be a multiple of {self.step}, but got {value!r}")
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
        described = {"lower": self.lower, "upper": self.upper, "log": self.is_log, "integer": self.is_integer}
        return described | {"step": self.step} if self.step else described

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


def _weights(hp: Any) -> npt.NDArray[np.float64] | None:
    """The probabilities of listed values; None if they are equal."""
    given = getattr(hp, "weights", None) or (hp.meta or {}).get("weights")
    if given is None or len(set(given)) == 1:
        return None
    return np.asarray(given, dtype=np.float64) / np.sum(given)
