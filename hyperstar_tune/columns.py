"""Many configurations as one array per parameter, for whoever handles a million of them at once.

A list of dicts is easier to read, and fast enough for some thousands. Configurations that are only to be scored, of
which a few are kept, are better drawn as columns: a million of them take a second instead of half a minute.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ConfigSpace import AndConjunction, GreaterThanCondition, LessThanCondition, OrConjunction

from hyperstar_tune._values import config_key, plain, values_of

__all__ = ["Column", "Columns", "columns_of", "holds", "holds_in"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one parameter in n configurations."""

    values: npt.NDArray[Any]  # [n]: numbers, or places in ``choices``
    choices: list[Any] | None  # the values that the places stand for; None: the numbers are the values
    present: Mask  # [n]; where it is False the configuration leaves the parameter out

    def value(self, row: int) -> Any:
        """The plain value in a row that has one."""
        return plain(self.values[row]) if self.choices is None else self.choices[self.values[row]]

    def rows(self, start: int, stop: int) -> "Column":
        """Some of the configurations."""
        return Column(self.values[start:stop], self.choices, self.present[start:stop])

    def by_choice(self, of_choices: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What stands for each row, [n, ...], given what stands for each choice."""
        return np.asarray(of_choices[self.values])


Columns = Mapping[str, Column]


def columns_of(configs: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Column]:
    """The columns of some parameters of n configurations; a parameter that none of them has gets no column."""
    columns = {}
    for name in names:
        places: dict[Any, int] = {}
        choices: list[Any] = []
        values, present = np.zeros(len(configs), dtype=np.intp), np.zeros(len(configs), dtype=bool)
        for row, config in enumerate(configs):
            if name not in config:
                continue
            value = config[name]
            # Of other values only the text can be told apart; making it takes most of the time.
            key = (type(value), value) if isinstance(value, str | int | float) else config_key({"": value})
            if key not in places:
                places[key] = len(choices)
                choices.append(value)
            values[row], present[row] = places[key], True
        if choices:
            columns[name] = Column(values, choices, present)
    return columns


def holds(condition: Any, columns: Columns, n: int) -> Mask:
    """In which of n configurations a condition of ConfigSpace holds; one on a parameter that is left out does not.

    A value that the condition's own parameter does not list, such as a new category, is taken to fulfil it.
    """
    if isinstance(condition, AndConjunction | OrConjunction):
        parts = [holds(part, columns, n) for part in condition.components]
        return np.asarray((np.logical_and if isinstance(condition, AndConjunction) else np.logical_or).reduce(parts))
    parent = columns.get(condition.parent.name)
    if parent is None:
        return np.zeros(n, dtype=bool)
    if parent.choices is not None:
        return parent.present & parent.by_choice(np.array([_fulfils(condition, value) for value in parent.choices]))
    if isinstance(condition, LessThanCondition):
        return np.asarray(parent.present & (parent.values < condition.value))
    if isinstance(condition, GreaterThanCondition):
        return np.asarray(parent.present & (parent.values > condition.value))
    distinct, inverse = np.unique(parent.values, return_inverse=True)
    return np.asarray(parent.present & np.array([_fulfils(condition, plain(value)) for value in distinct])[inverse])


def holds_in(condition: Any, config: Mapping[str, Any]) -> bool:
    """Whether a condition holds in one configuration; one on a parameter that is left out does not."""
    if isinstance(condition, AndConjunction):
        return all(holds_in(part, config) for part in condition.components)
    if isinstance(condition, OrConjunction):
        return any(holds_in(part, config) for part in condition.components)
    return condition.parent.name in config and bool(condition.satisfied_by_value(config))


def _fulfils(condition: Any, value: Any) -> bool:
    listed = values_of(condition.parent)
    if listed is not None and value not in listed:
        return True
    try:
        return bool(condition.satisfied_by_value({condition.parent.name: value}))
    except Exception:  # ConfigSpace raises whatever its parameter makes of a value that it cannot have
        return True
