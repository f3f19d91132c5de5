"""Narrows a search space to where its good configurations lie.

The rule: the best quarter of the configurations, at least four, are the good ones. A range becomes the hull of their
values, widened on both sides by a tenth of the range, and never shorter than a quarter of the range that the search
began with. Ranges are measured in logarithms where the parameter is logarithmic. Of listed numbers the hull and one
value on either side stay. Of a choice those values stay that a good configuration has, and those that were tried fewer
than four times. After fewer than eight trials nothing is narrowed. A parameter that fewer than four good configurations
have is left as it is, and so is a continuous one that conditions ask about.

The rule follows Hinz et al., "Speeding up the Hyperparameter Optimization of Deep Convolutional Neural Networks"
(2018), who narrow a search after every image size; the numbers are ours.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    IntegerHyperparameter,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.parts import part_of
from hyperstar_tune.space import Config, SearchSpace, listed_parameter, plain, values_of

__all__ = ["Narrowing", "narrowed_text"]

_FEWEST = 4  # good configurations that say where a parameter should lie; trials of a value that is dropped


@dataclass(frozen=True)
class Narrowing:
    """The rule by which a space is narrowed.

    Attributes:
        good_share: Share of the configurations that count as good.
        widening: Share of a range by which the hull of the good values grows on either side.
        least_share: Share of the first range, or of the values of a list, below which nothing is narrowed.

    Raises:
        SearchError: If a share makes no sense.
    """

    good_share: float = 0.25
    widening: float = 0.1
    least_share: float = 0.25

    def __post_init__(self) -> None:
        for name, value, zero in (
            ("good_share", self.good_share, False),
            ("widening", self.widening, True),
            ("least_share", self.least_share, True),
        ):
            if not (0 <= value <= 1 and (value or zero)):
                raise SearchError(f"{name} must be a share {'from' if zero else 'above'} 0 to 1, but got {value!r}")

    def narrow(self, space: SearchSpace, ranked: Sequence[Config], first: SearchSpace) -> SearchSpace:
        """The part of a space where its good configurations lie.

        Args:
            space: What was searched.
            ranked: Configurations that were tried, best first.
            first: What the search began with; its ranges bound the narrowing.
        """
        if len(ranked) < 2 * _FEWEST:  # the good ones would be most of them
            return space
        good = ranked[: max(_FEWEST, math.ceil(self.good_share * len(ranked)))]
        kept: dict[str, Any] = {}
        for hp in space.configuration_space.values():
            values = [config[hp.name] for config in good if hp.name in config]
            if len(values) >= _FEWEST and not _steers_as_a_number(space, hp):
                part = self._part(hp, values, ranked, first.configuration_space[hp.name])
                if part is not None:
                    kept[hp.name] = part
        return part_of(space, kept) if kept else space

    def _part(self, hp: Any, values: Sequence[Any], ranked: Sequence[Config], first: Any) -> Any:
        """The narrowed parameter; None: it stays as it is."""
        listed = values_of(hp)
        if listed is None:
            return self._range(hp, values, first)
        least = math.ceil(self.least_share * len(values_of(first) or ()))
        good = [listed.index(value) for value in values]  # places in the list: a value may be a list itself
        if isinstance(hp, OrdinalHyperparameter):
            return _listed(hp, range(len(listed))[max(0, min(good) - 1) : max(good) + 2], least)
        tried = [listed.index(config[hp.name]) for config in ranked if hp.name in config]  # best first
        rare = [place for place in range(len(listed)) if tried.count(place) < _FEWEST]
        by_rank = list(dict.fromkeys([*good, *rare, *tried]))
        wanted = max(least, len({*good, *rare}))
        return _listed(hp, sorted(by_rank[:wanted]), least)

    def _range(self, hp: Any, values: Sequence[float], first: Any) -> Any:
        def scale(value: float) -> float:
            return math.log(value) if hp.log else float(value)

        lower, upper = scale(hp.lower), scale(hp.upper)
        low, high = min(map(scale, values)), max(map(scale, values))
        margin = self.widening * (upper - lower)
        low, high = max(lower, low - margin), min(upper, high + margin)
        least = min(self.least_share * (scale(first.upper) - scale(first.lower)), upper - lower)
        if high - low < least:
            low = min(max(lower, (low + high - least) / 2), upper - least)
            high = low + least
        is_whole, step = isinstance(hp, IntegerHyperparameter), (hp.meta or {}).get("step")
        ends = [math.exp(end) if hp.log else end for end in (low, high)]
        if step:
            ends = [math.floor(ends[0] / step + 1e-9) * step, math.ceil(ends[1] / step - 1e-9) * step]
            ends = ends if is_whole else [float(f"{end:.12g}") for end in ends]
        elif is_whole:  # a whole number that is met exactly must not be passed because of the logarithm's last digit
            ends = [math.floor(ends[0] + 1e-9), math.ceil(ends[1] - 1e-9)]
        else:
            ends = [_outward(ends[0], math.floor), _outward(ends[1], math.ceil)]
        new_lower, new_upper = max(plain(hp.lower), ends[0]), min(plain(hp.upper), ends[1])
        if (new_lower, new_upper) == (hp.lower, hp.upper):
            return None
        if new_lower == new_upper:
            return Constant(hp.name, new_lower)
        kind = UniformIntegerHyperparameter if is_whole else UniformFloatHyperparameter
        return kind(hp.name, lower=new_lower, upper=new_upper, log=hp.log, meta=hp.meta)


def _outward(value: float, rounded: Callable[[float], int]) -> float:
    """A bound with three significant digits, because ConfigSpace would cut it at some digit inside the hull."""
    if value == 0:
        return value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return float(f"{rounded(value / unit) * unit:.6g}")


def _steers_as_a_number(space: SearchSpace, hp: Any) -> bool:
    """Whether conditions ask about a parameter whose values cannot be listed; such a one is not narrowed."""
    cannot = values_of(hp) is None and not isinstance(hp, IntegerHyperparameter)
    return cannot and bool(space.configuration_space.children_of[hp.name])


def _listed(hp: Any, places: Sequence[int], least: int) -> Any:
    """The parameter with the values at some places; None if it stays as it is."""
    listed = values_of(hp) or []
    if len(places) < least or len(places) == len(listed):
        return None
    given = getattr(hp, "weights", None) or (hp.meta or {}).get("weights")
    weights = None if given is None else [given[place] for place in places]
    values = [listed[place] for place in places]
    if len(values) > 1 and isinstance(hp, CategoricalHyperparameter):
        return CategoricalHyperparameter(hp.name, values, weights=weights)
    return listed_parameter(hp.name, values, weights)


def narrowed_text(space: SearchSpace, before: SearchSpace) -> str:
    """What two spaces differ in, as one line: ``lr 0.001 to 0.01, optimizer adamw``; empty if in nothing."""
    old: Mapping[str, Any] = before.configuration_space
    parts = []
    new: Mapping[str, Any] = space.configuration_space
    for hp in new.values():
        values = values_of(hp)
        if values is not None and values != values_of(old[hp.name]):
            parts.append(f"{hp.name} {', '.join(map(str, values))}")
        elif values is None and (hp.lower, hp.upper) != (old[hp.name].lower, old[hp.name].upper):
            parts.append(f"{hp.name} {hp.lower:.3g} to {hp.upper:.3g}")
    gone = [name for name in before.parameters if name not in space.parameters]
    return "; ".join([*parts, *(f"no {name} any more" for name in gone)])
