"""Search spaces: which configurations there are and how a network sees them.

A thin layer over ConfigSpace: it adds the encoding of the paper, a canonical order and a fingerprint that travels with
every table and predictor. Conditional parameters have no place in the encoding and are refused.

Source: HyperSTAR (CVPR 2020), Sec. 3.1 (one-hot encoding); values of the named spaces from docs/protocol.md.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    FloatHyperparameter,
    IntegerHyperparameter,
    OrdinalHyperparameter,
)

from hyperstar_tune.errors import SpaceError

__all__ = ["Config", "SearchSpace", "config_key", "plain", "space_names"]

Config = dict[str, Any]  # plain Python values

_N_KNOTS = 5  # levels that stand for a continuous range in the one-hot block
_MOST_LISTED = 1_000_000  # configurations; a stranger's file may state a space of any size
_LOG_RATIO = 10  # positive levels that span at least this factor are scaled by their logarithm

_COMPACT: dict[str, list[Any]] = {
    "lr": [1e-4, 1e-3, 1e-2, 1e-1],
    "optimizer": ["sgd", "adamw", "rmsprop"],
    "layers": ["head", "last_stage", "all"],
    "augmentation": ["none", "basic", "strong"],
}
_NAMED: dict[str, dict[str, list[Any]]] = {
    "mobilenet-v2": _COMPACT,
    "shufflenet-v2-x1": _COMPACT,
    "se-resnext-50": {
        "lr": [1e-4, 1e-3, 1e-2, 3e-2, 1e-1],
        "optimizer": ["sgd", "adamw"],
        "layers": ["last_stage", "all"],
        "augmentation": ["basic", "strong"],
    },
}


def space_names() -> tuple[str, ...]:
    """Names that ``SearchSpace.from_name`` knows."""
    return tuple(_NAMED)


def config_key(config: Config) -> str:
    """A configuration as canonical JSON: equal for equal configurations, whatever the order of their parameters."""
    return json.dumps(config, sort_keys=True, separators=(",", ":"))


def plain(value: Any) -> Any:
    """A value as Python's own type where it is one of numpy's."""
    return value.item() if isinstance(value, np.generic) else value


class SearchSpace:
    """A space of configurations without conditions.

    Args:
        configuration_space: Its parameters; categorical, ordinal, constant, integer or float.
        name: What to call it in messages.

    Raises:
        SpaceError: If it has no parameter, a condition, a forbidden clause or a parameter of another kind.
    """

    def __init__(self, configuration_space: ConfigurationSpace, name: str | None = None) -> None:
        self.configuration_space = configuration_space
        self.name = name or configuration_space.name or "unnamed"
        if not len(configuration_space):
            raise SpaceError("a search space needs at least one parameter, but got none")
        if configuration_space.conditions:
            child = configuration_space.conditions[0].child.name
            raise SpaceError(f"a search space may not have conditions, but parameter {child!r} depends on another")
        if configuration_space.forbidden_clauses:
            raise SpaceError(
                f"a search space may not forbid combinations, but got {configuration_space.forbidden_clauses[0]}"
            )
        self._axes = {hp.name: _Axis(hp) for hp in configuration_space.values()}

    @classmethod
    def from_name(cls, name: str) -> "SearchSpace":
        """One of the protocol's spaces.

        Raises:
            SpaceError: If there is none of this name.
        """
        if name not in _NAMED:
            raise SpaceError(f"a named search space is one of {', '.join(_NAMED)}, but got {name!r}")
        return cls.from_values(_NAMED[name], name)

    @classmethod
    def from_values(cls, values: dict[str, list[Any]], name: str | None = None) -> "SearchSpace":
        """A finite space from the values of each parameter; increasing numbers become an ordinal parameter."""
        space = ConfigurationSpace(name=name)
        for parameter, choices in values.items():
            if not choices or len({config_key({"": choice}) for choice in choices}) < len(choices):
                raise SpaceError(f"parameter {parameter!r} needs distinct values, but got {choices}")
            if len(choices) == 1:
                space.add(Constant(parameter, choices[0]))
            elif _increasing_numbers(choices):
                space.add(OrdinalHyperparameter(parameter, choices))
            else:
                space.add(CategoricalHyperparameter(parameter, choices))
        return cls(space, name)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters in the order of the encoding."""
        return tuple(self._axes)

    @property
    def is_finite(self) -> bool:
        """Whether every parameter has a list of values."""
        return all(axis.choices is not None for axis in self._axes.values())

    def __len__(self) -> int:
        """Number of configurations of a finite space."""
        return math.prod(len(choices) for choices in self._choices().values())

    def grid(self) -> list[Config]:
        """All configurations of a finite space, the last parameter changing fastest.

        Raises:
            SpaceError: If a parameter is continuous, or there are more than a million.
        """
        choices = self._choices()
        if len(self) > _MOST_LISTED:
            raise SpaceError(f"at most {_MOST_LISTED} configurations can be listed, but {self.name!r} has {len(self)}")
        return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]

    def sample(self, n: int, seed: int) -> list[Config]:
        """Draws ``n`` configurations uniformly; distinct ones from a finite space, in random order.

        Raises:
            SpaceError: If a finite space has fewer than ``n``.
        """
        if self.is_finite:
            grid = self.grid()
            if n > len(grid):
                raise SpaceError(f"space {self.name!r} has {len(grid)} configurations, but {n} were asked for")
            return [grid[i] for i in np.random.default_rng(seed).permutation(len(grid))[:n]]
        space = deepcopy(self.configuration_space)
        space.seed(seed)
        drawn = [space.sample_configuration() for _ in range(n)]
        return [{name: plain(config[name]) for name in self._axes} for config in drawn]

    @cached_property
    def dim(self) -> int:
        """Length d of an encoded configuration."""
        return sum(axis.dim for axis in self._axes.values())

    def encode(self, configs: Sequence[Config]) -> npt.NDArray[np.float32]:
        """Encodes configurations for a network.

        Each parameter gives a one-hot block; a numeric one also a coordinate in [0, 1], logarithmic where the parameter
        is. A number between two levels is shared by their two places in proportion.

        Args:
            configs: n configurations; a number may lie between the space's levels, not outside them.

        Returns:
            Shape [n, d].

        Raises:
            SpaceError: If a parameter is missing, unknown or has a value outside the space.

        Source: HyperSTAR (CVPR 2020), Sec. 3.1.
        """
        encoded = np.zeros((len(configs), self.dim), dtype=np.float32)
        for row, config in zip(encoded, configs, strict=True):
            self._check_names(config)
            start = 0
            for name, axis in self._axes.items():
                axis.encode_into(row[start : start + axis.dim], config[name])
                start += axis.dim
        return encoded

    def check(self, config: Config) -> None:
        """Checks that a configuration belongs to the space.

        Raises:
            SpaceError: Naming the parameter and its value.
        """
        self._check_names(config)
        for name, axis in self._axes.items():
            axis.check(config[name])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON of the parameters; the name does not count."""
        canonical = json.dumps({name: axis.describe() for name, axis in self._axes.items()}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def difference(self, other: "SearchSpace") -> str:
        """What distinguishes two spaces, naming the first differing parameter; empty if they are equal."""
        for name in dict.fromkeys((*self._axes, *other._axes)):
            mine, theirs = self._axes.get(name), other._axes.get(name)
            if mine is None or theirs is None:
                owner = self if mine else other
                return f"parameter {name!r} is only in space {owner.name!r}"
            if mine.describe() != theirs.describe():
                return f"parameter {name!r} is {mine.describe()} here but {theirs.describe()} in space {other.name!r}"
        return ""

    def to_json(self) -> dict[str, Any]:
        """The space as a JSON object, in ConfigSpace's own format."""
        return {"name": self.name, "configspace": self.configuration_space.to_serialized_dict()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SearchSpace":
        """Reads what ``to_json`` wrote.

        Raises:
            SpaceError: If it is not that.
        """
        try:
            space = ConfigurationSpace.from_serialized_dict(data["configspace"])
            return cls(space, str(data["name"]))
        except SpaceError:
            raise
        except Exception as error:  # ConfigSpace raises whatever its decoders meet
            raise SpaceError(
                f"a search space must be stored as ConfigSpace JSON, but reading it gave {error!r}"
            ) from error

    def __repr__(self) -> str:
        size = f"{len(self)} configurations" if self.is_finite else "continuous"
        return f"SearchSpace({self.name!r}: {', '.join(self._axes)}; {size})"

    def _choices(self) -> dict[str, list[Any]]:
        choices = {}
        for name, axis in self._axes.items():
            if axis.choices is None:
                raise SpaceError(f"only a finite space can be listed, but parameter {name!r} is continuous")
            choices[name] = axis.choices
        return choices

    def _check_names(self, config: Config) -> None:
        if config.keys() != self._axes.keys():
            wrong = next((name for name in config if name not in self._axes), None)
            if wrong is not None:
                raise SpaceError(f"space {self.name!r} has the parameters {', '.join(self._axes)}, but got {wrong!r}")
            missing = next(name for name in self._axes if name not in config)
            raise SpaceError(f"a configuration of space {self.name!r} needs parameter {missing!r}, but got {config}")


class _Axis:
    """One parameter: its values, its scale and its block of the encoding."""

    def __init__(self, hp: Any) -> None:
        self.name = hp.name
        self.choices: list[Any] | None = None
        self.is_integer = isinstance(hp, IntegerHyperparameter)
        if isinstance(hp, Constant):
            self.choices = [plain(hp.value)]
        elif isinstance(hp, CategoricalHyperparameter):
            self.choices = [plain(choice) for choice in hp.choices]
        elif isinstance(hp, OrdinalHyperparameter):
            self.choices = [plain(choice) for choice in hp.sequence]
        elif not isinstance(hp, FloatHyperparameter | IntegerHyperparameter):
            raise SpaceError(
                f"parameter {hp.name!r} must be categorical, ordinal, integer or float, but is {type(hp).__name__}"
            )
        ordered = isinstance(hp, OrdinalHyperparameter) and _increasing_numbers(self.choices or ())
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


def _increasing_numbers(values: Sequence[Any]) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and len(values) > 1 and all(a < b for a, b in itertools.pairwise(values))
