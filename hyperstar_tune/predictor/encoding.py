"""Configurations of any space as numbers that tables of several spaces share, parameter by parameter, by name.

A number has a place between the lowest and the highest value that any table has, by its logarithm where one table
scales it so, and the square of that place. A category is one-hot. Two things are told apart:

- A parameter that means nothing in a configuration, by the conditions of the tables' spaces, has an indicator of its
  own, and nothing else.
- One that is merely not searched is held at a value, such as the default of the trainable. Where that is not known, it
  counts as the average of its values. So does a category that no table has.

A number beyond what the tables have counts as the nearest that they have: nothing is known of what lies outside.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune._axes import Axis
from hyperstar_tune.columns import Column, Columns, columns_of
from hyperstar_tune.errors import PredictorError
from hyperstar_tune.space import Config, SearchSpace, plain

__all__ = ["SharedEncoding"]

Floats = npt.NDArray[np.float64]

_UNKNOWN = object()  # a value that nobody has told
_LARGEST = 1000  # numbers of an encoded configuration; the pairs of them must fit a machine


class SharedEncoding:
    """Encodes configurations for a model that has learned from tables of some spaces.

    Args:
        spaces: The spaces of the tables. Where several have a parameter, the conditions of the first one count.
        held: What a parameter is held at where a space does not have it; None or missing: its average.

    Attributes:
        widths: How many numbers each parameter has.
        dim: Numbers p of an encoded configuration.

    Raises:
        PredictorError: If an encoded configuration would have more than 1000 numbers.
    """

    def __init__(self, spaces: Sequence[SearchSpace], held: Mapping[str, Any]) -> None:
        axes: dict[str, list[Axis]] = {}
        self._owner: dict[str, SearchSpace] = {}
        for space in spaces:
            for hp in space.configuration_space.values():
                axes.setdefault(hp.name, []).append(Axis(hp))
                self._owner.setdefault(hp.name, space)
        self.held = {name: value for name, value in held.items() if name in axes and value is not None}
        self._blocks = {name: _Block(name, own, self._is_conditional(name)) for name, own in axes.items()}
        self.widths = tuple(block.dim for block in self._blocks.values())
        self.dim = sum(self.widths)
        if self.dim > _LARGEST:
            raise PredictorError(f"encoded configurations have at most {_LARGEST} numbers, but here {self.dim}")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters of all tables."""
        return tuple(self._blocks)

    def encode(self, configs: Sequence[Config], held: Mapping[str, Any] | None = None) -> Floats:
        """Encodes n configurations, shape [n, p]; parameters that no table has are ignored.

        Args:
            configs: The configurations.
            held: Values of parameters that a configuration does not have, which come before the usual ones.
        """
        return self.encode_columns(columns_of(configs, self._blocks), len(configs), held)

    def encode_columns(self, columns: Columns, n: int, held: Mapping[str, Any] | None = None) -> Floats:
        """The same for n configurations that are given as columns."""
        held = {**self.held, **(held or {})}
        full = {name: _filled(columns.get(name), held.get(name), n) for name in self._blocks}
        known: dict[str, Column] = {}  # what means something by the conditions of the tables
        for name in sorted(self._blocks, key=self._depth):  # parents first
            column, active = full[name], self._owner[name].active_rows(name, known, n)
            known[name] = Column(column.values, column.choices, active)
        return np.concatenate([b.encode(full[name], known[name].present) for name, b in self._blocks.items()], axis=1)

    def notes(self, space: SearchSpace, fixed: Mapping[str, Any]) -> list[str]:
        """Where a space goes beyond what was measured, and what it leaves to be held, one line each.

        Args:
            space: The space that is searched.
            fixed: Values of parameters that are not searched.
        """
        values = {name: [value] for name, value in fixed.items()}
        values |= {name: space.values_or_ends(name) for name in space.parameters}
        told = [block.outside(values[name]) for name, block in self._blocks.items() if name in values]
        lines = [f"Beyond what was measured: {'; '.join(filter(None, told))}"] if any(told) else []
        left = [name for name in self._blocks if name not in values]
        if left:
            held = (f"{name}={self.held[name]}" if name in self.held else f"{name} (as on average)" for name in left)
            lines.append(f"Held, because the space does not have them: {', '.join(held)}")
        return lines

    def _is_conditional(self, name: str) -> bool:
        return bool(self._owner[name].configuration_space.parent_conditions_of[name])

    def _depth(self, name: str) -> int:
        parents = self._owner[name].configuration_space.parents_of[name]
        return 1 + max((self._depth(parent.name) for parent in parents), default=0)


class _Block:
    """The numbers of one parameter."""

    def __init__(self, name: str, axes: Sequence[Axis], is_conditional: bool) -> None:
        self.name = name
        listed = [value for axis in axes for value in axis.choices or (axis.lower, axis.upper)]
        self.is_numeric = all(map(_is_number, listed)) and len({float(value) for value in listed}) > 1
        self.categories = [value for place, value in enumerate(listed) if value not in listed[:place]]
        if self.is_numeric:
            self.lower, self.upper = float(min(listed)), float(max(listed))
            self.is_log = self.lower > 0 and any(axis.is_numeric and axis.is_log for axis in axes)
            places = [self._places(np.linspace(0, 1, 5))] if any(axis.choices is None for axis in axes) else []
            self._average = np.concatenate([*places, self._places(self._scaled(np.array(listed, dtype=float)))])
        else:
            self._average = np.eye(len(self.categories))
        self._average = self._average.mean(axis=0)
        self._width = len(self._average)
        self._has_indicator = is_conditional
        self.dim = self._width + is_conditional

    def encode(self, column: Column, active: npt.NDArray[np.bool_]) -> Floats:
        """The block of n configurations, [n, dim]."""
        if column.choices is not None:
            block = column.by_choice(self._of_values(column.choices))
        elif self.is_numeric:
            block = self._places(self._scaled(column.values.astype(np.float64)))
        else:
            block = np.tile(self._average, (len(column.values), 1))
        block = np.where(column.present[:, None], block, self._average)
        if not self._has_indicator:
            return block
        return np.concatenate([block * active[:, None], ~active[:, None]], axis=1)

    def outside(self, values: Sequence[Any]) -> str:
        """Which of some values (of a range, its ends) no table has, and what they count as."""
        if self.is_numeric:
            numbers = [value for value in values if _is_number(value)]
            odd = [value for value in values if not _is_number(value)]
            if numbers and (min(numbers) < self.lower or max(numbers) > self.upper):
                return f"{self.name} outside {self.lower:g} to {self.upper:g} counts as the nearer of these"
        else:
            odd = [value for value in values if self._place(value) < 0]
        return f"{self.name}={', '.join(map(str, odd[:3]))} counts as the average of its values" if odd else ""

    def _of_values(self, values: Sequence[Any]) -> Floats:
        if self.is_numeric:
            odd = np.array([not _is_number(value) for value in values])
            numbers = np.array([self.lower if is_odd else value for value, is_odd in zip(values, odd, strict=True)])
            return np.where(odd[:, None], self._average, self._places(self._scaled(numbers.astype(np.float64))))
        rows = np.concatenate([np.eye(len(self.categories)), self._average[None]])
        return np.asarray(rows[[self._place(value) for value in values]])  # place -1 is the average

    def _place(self, value: Any) -> int:
        for place, category in enumerate(self.categories):
            if category == value and isinstance(category, bool) == isinstance(value, bool):
                return place
        return -1

    def _scaled(self, numbers: Floats) -> Floats:
        kept = np.clip(numbers, self.lower, self.upper)
        if self.is_log:
            return np.log(kept / self.lower) / math.log(self.upper / self.lower)
        return (kept - self.lower) / (self.upper - self.lower)

    def _places(self, shares: Floats) -> Floats:
        place = 2 * shares - 1
        return np.stack([place, place**2], axis=1)


def _filled(column: Column | None, held: Any, n: int) -> Column:
    """A column in which a held value stands where the parameter is left out."""
    if column is None:
        is_known = held is not None
        return Column(np.zeros(n, dtype=np.intp), [held if is_known else _UNKNOWN], np.full(n, is_known))
    if held is None or column.present.all():
        return column
    if column.choices is None:
        if _is_number(held):
            return Column(np.where(column.present, column.values, held), None, np.ones(n, dtype=bool))
        return column
    places = np.where(column.present, column.values, len(column.choices))
    return Column(places, [*column.choices, held], np.ones(n, dtype=bool))


def _is_number(value: Any) -> bool:
    return isinstance(plain(value), int | float) and not isinstance(value, bool)
