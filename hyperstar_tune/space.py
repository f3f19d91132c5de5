"""Search spaces: which configurations there are and how a network sees them.

A thin layer over ConfigSpace: it adds the encoding of the paper, a canonical order and a fingerprint that travels with
every table and predictor. A parameter that means nothing under a condition is absent from the configuration then, and
its block of the encoding is zero. A space that is too large to be measured may come with a list of the configurations
that are: these are then its grid.

Source: HyperSTAR (CVPR 2020), Sec. 3.1 (one-hot encoding).
"""

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ConfigSpace import ConfigurationSpace

from hyperstar_tune._axes import Axis
from hyperstar_tune._values import config_key, listed_parameter, plain, values_of
from hyperstar_tune.columns import Column, Columns, columns_of, holds, holds_in
from hyperstar_tune.errors import SpaceError, first_line
from hyperstar_tune.named_spaces import GRIDS, cnn_space, sobol_configs, tuning_space

__all__ = ["Config", "SearchSpace", "config_key", "listed_parameter", "plain", "space_names", "values_of"]

Config = dict[str, Any]  # plain Python values

_LARGEST_GRID = 20_000  # configurations; a larger finite space is drawn from, not listed
_MOST_LISTED = 1_000_000  # configurations; a stranger's file may state a space of any size

_N_LISTED = 128  # configurations of the named space that is not a grid


def space_names() -> tuple[str, ...]:
    """Names that ``SearchSpace.from_name`` knows."""
    return (*GRIDS, str(tuning_space().name), str(cnn_space().name))


class SearchSpace:
    """A space of configurations.

    Args:
        configuration_space: Its parameters; categorical, ordinal, constant, integer or float, with or without
            conditions.
        name: What to call it in messages.
        listed: The only configurations to be used, which make the space finite; None: all of it.

    Raises:
        SpaceError: If it has no parameter, a forbidden clause or a parameter of another kind, or a listed configuration
            is not in it.
    """

    def __init__(
        self,
        configuration_space: ConfigurationSpace,
        name: str | None = None,
        listed: Sequence[Config] | None = None,
    ) -> None:
        self.configuration_space = configuration_space
        self.name = name or configuration_space.name or "unnamed"
        if not len(configuration_space):
            raise SpaceError("a search space needs at least one parameter, but got none")
        if configuration_space.forbidden_clauses:
            raise SpaceError(
                f"a search space may not forbid combinations, but got {configuration_space.forbidden_clauses[0]}"
            )
        self._axes = {hp.name: Axis(hp) for hp in configuration_space.values()}
        self._conditions = {name: configuration_space.parent_conditions_of[name] for name in self._axes}
        self._dependent = {name for name, conditions in self._conditions.items() if conditions}
        self.listed: list[Config] | None = None
        if listed is not None:
            for config in listed:
                self.check(config)
            self.listed = [{name: config[name] for name in self._axes if name in config} for config in listed]
            if not listed or len({config_key(config) for config in self.listed}) < len(listed):
                raise SpaceError(f"the listed configurations of space {self.name!r} must be distinct and at least one")

    @classmethod
    def from_name(cls, name: str) -> "SearchSpace":
        """One of the protocol's spaces.

        Raises:
            SpaceError: If there is none of this name.
        """
        if name in GRIDS:
            return cls.from_values(GRIDS[name], name)
        if name not in space_names():
            raise SpaceError(f"a named search space is one of {', '.join(space_names())}, but got {name!r}")
        if name == cnn_space().name:
            return cls(cnn_space(), name)
        space = cls(tuning_space(), name)
        configs = sobol_configs(space.configuration_space, _N_LISTED)
        return cls(space.configuration_space, name, [space.active(config) for config in configs])

    @classmethod
    def of(cls, name_or_file: str | Path) -> "SearchSpace":
        """One of the protocol's spaces, or that of a JSON file.

        The file holds ``{parameter: [values]}``, what ``to_json`` gave, or what ``ConfigurationSpace.to_json`` wrote.

        Raises:
            SpaceError: If it is neither a name nor such a file.
        """
        path = Path(name_or_file)
        if str(name_or_file) in space_names() or not path.is_file():
            return cls.from_name(str(name_or_file))
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SpaceError(
                f"a file of a search space must be JSON, but {path} is not: {first_line(error)}"
            ) from error
        if isinstance(data, dict) and "configspace" in data:
            return cls.from_json(data)
        if isinstance(data, dict) and isinstance(data.get("hyperparameters"), list) and "format_version" in data:
            return cls.from_json({"name": data.get("name") or path.stem, "configspace": data})
        if not isinstance(data, dict) or not all(isinstance(values, list) for values in data.values()):
            raise SpaceError(
                f"a file of a search space must hold a list of values for each parameter, but {path} does not"
            )
        return cls.from_values(data, path.stem)

    @classmethod
    def from_values(cls, values: dict[str, list[Any]], name: str | None = None) -> "SearchSpace":
        """A finite space from the values of each parameter; increasing numbers become an ordinal parameter."""
        space = ConfigurationSpace(name=name)
        space.add(*(listed_parameter(parameter, choices) for parameter, choices in values.items()))
        return cls(space, name)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters in the order of the encoding."""
        return tuple(self._axes)

    @property
    def is_finite(self) -> bool:
        """Whether every parameter has a list of values, or the configurations are listed."""
        return self.listed is not None or all(axis.choices is not None for axis in self._axes.values())

    @property
    def is_short(self) -> bool:
        """Whether its configurations are listed, or few enough to be listed; others are drawn."""
        return self.listed is not None or (self.is_finite and len(self) <= _LARGEST_GRID)

    def __len__(self) -> int:
        """Number of configurations of a finite space."""
        if self.listed is not None:
            return len(self.listed)
        if self._dependent:
            return len(self.grid())
        return math.prod(len(choices) for choices in self._choices().values())

    def grid(self) -> list[Config]:
        """All configurations of a finite space, the last parameter changing fastest; the list of one that has a list.

        Raises:
            SpaceError: If a parameter is continuous, or there are more than a million.
        """
        if self.listed is not None:
            return [dict(config) for config in self.listed]
        choices = self._choices()
        n = math.prod(len(values) for values in choices.values())
        if n > _MOST_LISTED:
            raise SpaceError(f"at most {_MOST_LISTED} configurations can be listed, but {self.name!r} has {n}")
        whole = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
        if not self._dependent:
            return whole
        return list({config_key(active): active for active in map(self.active, whole)}.values())

    def active(self, config: Config) -> Config:
        """The part of a configuration that means something under the conditions of the space."""
        kept: Config = {}
        for name in self._axes:  # ConfigSpace lists a parameter after those that its conditions ask about
            if name in config and self._is_active(name, kept):
                kept[name] = config[name]
        return kept

    def from_row(self, row: Mapping[str, Any]) -> Config:
        """A configuration from a row of a table, where an inactive parameter is empty and 16 may have become 16.0."""
        values = {name: plain(row[name]) for name in self._axes}
        absent = {name for name, value in values.items() if value is None or value != value} & self._dependent
        return {name: self._axes[name].own(value) for name, value in values.items() if name not in absent}

    def sample(self, n: int, seed: int) -> list[Config]:
        """Draws ``n`` configurations; distinct ones from a finite space, in random order.

        Raises:
            SpaceError: If a finite space has fewer than ``n``.
        """
        if not self.is_finite:
            return self.draw(n, seed)
        grid = self.grid()
        if n > len(grid):
            raise SpaceError(f"space {self.name!r} has {len(grid)} configurations, but {n} were asked for")
        numbers, weights = np.random.default_rng(seed), self.weights(grid)
        if weights is None:
            return [grid[i] for i in numbers.permutation(len(grid))[:n]]
        return [grid[i] for i in numbers.choice(len(grid), n, replace=False, p=weights)]

    def draw(self, n: int, seed: int) -> list[Config]:
        """Draws ``n`` configurations independently, so that one may come again; likely values come more often."""
        numbers = np.random.default_rng(seed)
        if self.listed is not None:
            return [dict(self.listed[place]) for place in numbers.integers(len(self.listed), size=n)]
        drawn = [axis.draw(n, numbers) for axis in self._axes.values()]
        configs = [dict(zip(self._axes, values, strict=True)) for values in zip(*drawn, strict=True)]
        return [self.active(config) for config in configs] if self._dependent else configs

    def draw_columns(self, n: int, seed: int) -> dict[str, Column]:
        """Draws the configurations that ``draw`` does, as one array per parameter: for very many of them."""
        if self.listed is not None:
            return columns_of(self.draw(n, seed), self._axes)
        numbers = np.random.default_rng(seed)
        drawn: dict[str, Column] = {}
        for name, axis in self._axes.items():
            drawn[name] = Column(axis.draw_array(n, numbers), axis.choices, self.active_rows(name, drawn, n))
        return drawn

    def active_rows(self, parameter: str, columns: Columns, n: int) -> npt.NDArray[np.bool_]:
        """In which of n configurations a parameter means something, shape [n]."""
        active = np.ones(n, dtype=bool)
        for condition in self._conditions[parameter]:
            active &= holds(condition, columns, n)
        return active

    def weights(self, configs: Sequence[Config]) -> npt.NDArray[np.float64] | None:
        """How likely configurations of a finite space are drawn, relative to each other; None if they are all alike.

        Args:
            configs: n configurations of the space.

        Returns:
            Shape [n], with a sum of 1.
        """
        axes = [axis for axis in self._axes.values() if axis.weights is not None]
        if self.listed is not None or not axes:
            return None
        likely = np.array([math.prod(axis.weight(c[axis.name]) for axis in axes if axis.name in c) for c in configs])
        return likely / likely.sum()

    def values_or_ends(self, parameter: str) -> list[Any]:
        """All values of a parameter, or both ends of a range; empty if the space does not have it."""
        if parameter not in self._axes:
            return []
        if self.listed is not None:
            return [config[parameter] for config in self.listed if parameter in config]
        hp: Any = self.configuration_space[parameter]
        return self._axes[parameter].choices or [plain(hp.lower), plain(hp.upper)]

    def nearest(self, parameter: str, value: Any) -> Any:
        """The value of a range that is nearest to a number, which may miss its bounds and steps; others stay."""
        return self._axes[parameter].nearest(value)

    def coordinates(self, configs: Sequence[Config]) -> npt.NDArray[np.float64]:
        """The places of values: a number in [0, 1] as its parameter is scaled, of other values the place in the list.

        Args:
            configs: n configurations of the space.

        Returns:
            Shape [n, parameters]; -1 for a parameter that a configuration leaves out.
        """
        rows = [[axis.coordinate(c[name]) if name in c else -1 for name, axis in self._axes.items()] for c in configs]
        return np.array(rows, dtype=np.float64).reshape(len(configs), len(self._axes))

    @property
    def gaps(self) -> npt.NDArray[np.float64]:
        """The least difference between the coordinates of two values of each parameter, shape [parameters]."""
        return np.array([axis.gap for axis in self._axes.values()])

    @cached_property
    def dim(self) -> int:
        """Length d of an encoded configuration."""
        return sum(axis.dim for axis in self._axes.values())

    def encode(self, configs: Sequence[Config]) -> npt.NDArray[np.float32]:
        """Encodes configurations for a network.

        Each parameter gives a one-hot block; a numeric one also a coordinate in [0, 1], logarithmic where the parameter
        is. A number between two levels is shared by their two places in proportion. The block of a parameter that the
        conditions leave out is zero.

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
                if name in config:
                    axis.encode_into(row[start : start + axis.dim], config[name])
                start += axis.dim
        return encoded

    def check(self, config: Config) -> None:
        """Checks that a configuration belongs to the space.

        Raises:
            SpaceError: Naming the parameter and its value.
        """
        self._check_names(config)
        for name, value in config.items():
            self._axes[name].check(value)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON of parameters, conditions and list; the name does not count."""
        canonical = json.dumps(self._description(), sort_keys=True)
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
        here, there = self._description(), other._description()
        for name in ("conditions", "listed"):
            if here.get(name) != there.get(name):
                return f"the {name} differ from those of space {other.name!r}"
        return ""

    def to_json(self) -> dict[str, Any]:
        """The space as a JSON object, in ConfigSpace's own format."""
        data = {"name": self.name, "configspace": self.configuration_space.to_serialized_dict()}
        return data if self.listed is None else data | {"listed": self.listed}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SearchSpace":
        """Reads what ``to_json`` wrote.

        Raises:
            SpaceError: If it is not that.
        """
        try:
            space = ConfigurationSpace.from_serialized_dict(deepcopy(data["configspace"]))  # it takes the dict apart
            return cls(space, str(data["name"]), data.get("listed"))
        except SpaceError:
            raise
        except Exception as error:  # ConfigSpace raises whatever its decoders meet
            told = repr(error) if str(error) else first_line(error)
            raise SpaceError(f"a search space must be stored as ConfigSpace JSON, but {told}") from error

    def __repr__(self) -> str:
        size = f"{len(self)} configurations" if self.is_finite else "continuous"
        return f"SearchSpace({self.name!r}: {', '.join(self._axes)}; {size})"

    def _choices(self) -> dict[str, list[Any]]:
        choices = {}
        for name, axis in self._axes.items():
            if axis.choices is None:
                raise SpaceError(f"only a finite space can be listed, but parameter {name!r} is a range")
            choices[name] = axis.choices
        return choices

    def _is_active(self, name: str, config: Config) -> bool:
        return all(holds_in(condition, config) for condition in self._conditions[name])

    def _description(self) -> dict[str, Any]:
        described: dict[str, Any] = {name: axis.describe() for name, axis in self._axes.items()}
        if self.configuration_space.conditions:
            described["conditions"] = sorted(str(condition) for condition in self.configuration_space.conditions)
        return described if self.listed is None else described | {"listed": self.listed}

    def _check_names(self, config: Config) -> None:
        wrong = next((name for name in config if name not in self._axes), None)
        if wrong is not None:
            raise SpaceError(f"space {self.name!r} has the parameters {', '.join(self._axes)}, but got {wrong!r}")
        for name in self._axes:
            if (name in config) == self._is_active(name, config):
                continue
            if name in config:
                needed = "; ".join(str(condition) for condition in self._conditions[name])
                raise SpaceError(f"parameter {name!r} means nothing in {config}, which lacks {needed}; leave it out")
            raise SpaceError(f"a configuration of space {self.name!r} needs parameter {name!r}, but got {config}")
