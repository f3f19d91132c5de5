"""The parameters of a space as numbers, which the models of BOHB and TPE need.

A listed value becomes its place in the list, and a value of a range stays as it is.
"""

from dataclasses import dataclass
from typing import Any

from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    IntegerHyperparameter,
    OrdinalHyperparameter,
)

from hyperstar_tune.space import plain

__all__ = ["ModelAxis"]


@dataclass(frozen=True)
class ModelAxis:
    """One parameter: a list of values, or a range of numbers."""

    values: tuple[Any, ...] = ()  # empty: a range
    is_ordered: bool = True
    lower: float = 0  # of the numbers
    upper: float = 0
    is_log: bool = False
    is_whole: bool = True

    @classmethod
    def of(cls, hp: Any) -> "ModelAxis":
        """The axis of a parameter of a search space."""
        if isinstance(hp, Constant):
            values: Any = [hp.value]
        elif isinstance(hp, CategoricalHyperparameter | OrdinalHyperparameter):
            values = hp.choices if isinstance(hp, CategoricalHyperparameter) else hp.sequence
        else:
            is_whole = isinstance(hp, IntegerHyperparameter)
            return cls((), True, plain(hp.lower), plain(hp.upper), bool(hp.log), is_whole)
        listed = tuple(plain(value) for value in values)
        is_ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in listed)
        return cls(listed, is_ordered, 0, len(listed) - 1)

    @property
    def is_fixed(self) -> bool:
        """Whether there is only one value."""
        return self.lower == self.upper

    def number(self, value: Any) -> float:
        """The number that stands for a value."""
        return self.values.index(value) if self.values else value

    def value(self, number: float) -> Any:
        """The value that a number stands for which a model picked."""
        if self.values:
            return self.values[int(number)]
        kept = min(max(plain(number), self.lower), self.upper)  # a model's logarithms may miss the bounds by a digit
        return int(kept) if self.is_whole else float(kept)
