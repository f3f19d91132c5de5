"""Which hyperparameters matter: functional ANOVA of the trials of a run, or of the configurations of a table.

The importance of a parameter is the share of the variance of the scores that it explains by itself; that of a pair is
what the two explain together beyond that. ``fanova`` fits a random forest, and is repeated over seeds of the forest, so
that an importance has an interval. ``ped-anova`` is fast and asks another question: what distinguishes the best tenth
from all. It knows no pairs and has no interval, as nothing in it is random.

Numbers are scaled to [0, 1], by their logarithm where the parameter is logarithmic. A parameter that means nothing in a
configuration counts as if it stood in the middle of its range. An importance of a search that followed its results
is biased to where it looked: random configurations say most.

Source: Hutter et al., ICML 2014; Watanabe et al., IJCAI 2023 (PED-ANOVA); evaluators of optuna 5.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.report.forest import Forest
from hyperstar_tune.space import Config, SearchSpace, plain, values_of

__all__ = ["EVALUATORS", "Effect", "Importance", "importance"]

EVALUATORS = ("fanova", "ped-anova")
_FEWEST_PER_PARAMETER = 5  # trials below which a forest says little
_FEWEST = 4  # trials below which it says nothing
_N_POINTS = 25  # of a marginal of a range

_logger = logging.getLogger("hyperstar_tune")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A share of the variance, and its 95 % interval over the seeds of the forest (NaN: there is none)."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Marginal:
    """The mean score over all other parameters, by value of one parameter."""

    values: list[Any]
    mean: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class Importance:
    """Importances of one set of configurations."""

    n_trials: int
    evaluator: str
    parameters: dict[str, Effect]  # most important first
    pairs: dict[tuple[str, str], Effect] = field(default_factory=dict)  # most important first
    marginals: dict[str, Marginal] = field(default_factory=dict)

    def __str__(self) -> str:
        """A table: one line for each parameter, then for the five largest pairs."""
        rows = {**self.parameters, **{" x ".join(pair): effect for pair, effect in list(self.pairs.items())[:5]}}
        width = max(map(len, rows), default=0)
        lines = [f"{self.n_trials} trials, {self.evaluator}"]
        for name, effect in rows.items():
            spread = "" if np.isnan(effect.low) else f"   ({100 * effect.low:.1f} to {100 * effect.high:.1f})"
            lines.append(f"  {name:<{width}} {100 * effect.mean:5.1f} %{spread}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""

        def effect(one: Effect) -> dict[str, float | None]:
            return {name: None if np.isnan(value) else value for name, value in vars(one).items()}

        return {
            "n_trials": self.n_trials,
            "evaluator": self.evaluator,
            "parameters": {name: effect(one) for name, one in self.parameters.items()},
            "pairs": [{"pair": list(pair), **effect(one)} for pair, one in self.pairs.items()],
            "marginals": {name: vars(one) for name, one in self.marginals.items()},
        }


def importance(
    configs: Sequence[Config],
    scores: Sequence[float] | npt.NDArray[np.floating],
    space: SearchSpace,
    *,
    evaluator: str = "fanova",
    repeats: int = 10,
    pairs: bool = True,
) -> Importance:
    """Importances of the parameters of a space.

    Args:
        configs: n configurations of the space.
        scores: Their scores, higher is better, shape [n]; one that is not finite is left out.
        space: Their space; a parameter with one value has no importance.
        evaluator: One of ``EVALUATORS``.
        repeats: Seeds of the forest of ``fanova``.
        pairs: Whether ``fanova`` gives pairs and marginals too.

    Raises:
        SpaceError: If there is no such evaluator, no parameter to judge, or too few trials that differ.
    """
    if evaluator not in EVALUATORS:
        raise SpaceError(f"an evaluator of importance is one of {', '.join(EVALUATORS)}, but got {evaluator!r}")
    if repeats < 2:
        raise SpaceError(f"an interval needs at least 2 repeats, but got {repeats}")
    axes = [axis for hp in space.configuration_space.values() if (axis := _Axis(hp)).n_values > 1]
    if not axes:
        raise SpaceError(f"importance needs a parameter with more than one value, but space {space.name!r} has none")
    y = np.asarray(scores, dtype=np.float64)
    is_finite = np.isfinite(y)
    kept = [config for config, good in zip(configs, is_finite, strict=True) if good]
    y = y[is_finite]
    if len(kept) < _FEWEST or np.ptp(y) == 0:
        raise SpaceError(f"importance needs at least {_FEWEST} trials with different scores, but there are {len(kept)}")
    if len(kept) < _FEWEST_PER_PARAMETER * len(axes):
        _logger.warning(
            "%d trials are few for the importance of %d parameters; have at least %d",
            len(kept),
            len(axes),
            _FEWEST_PER_PARAMETER * len(axes),
        )
    x = np.array([[axis.number(config.get(axis.name)) for axis in axes] for config in kept])  # [n, d]
    singles = [_singles(axes, x, y, evaluator, seed) for seed in range(repeats if evaluator == "fanova" else 1)]
    names = [axis.name for axis in axes]
    parameters = {name: _effect([one[name] for one in singles]) for name in names}
    if evaluator != "fanova" or not pairs:
        return Importance(len(kept), evaluator, _sorted(parameters))
    forests = [Forest(x, y, [axis.n_choices for axis in axes], seed) for seed in range(repeats)]
    both = {
        (names[i], names[j]): _effect([forest.interaction(i, j) for forest in forests])
        for i, j in combinations(range(len(names)), 2)
    }
    marginals = {axis.name: _marginal(axis, place, forests) for place, axis in enumerate(axes)}
    return Importance(len(kept), evaluator, _sorted(parameters), _sorted(both), marginals)


class _Axis:
    """One parameter as a number: [0, 1] for ranges and listed numbers, the place for a choice."""

    def __init__(self, hp: Any) -> None:
        self.name = str(hp.name)
        values = values_of(hp)
        self._values = [] if values is None else values
        self._is_ordered = values is None or all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if values is None:
            self._lower, self._upper, self._is_log = plain(hp.lower), plain(hp.upper), bool(hp.log)

    @property
    def n_values(self) -> float:
        return len(self._values) if self._values else np.inf

    @property
    def n_choices(self) -> int:
        """Number of values without an order; 0: a number in [0, 1]."""
        return 0 if self._is_ordered else len(self._values)

    def number(self, value: Any) -> float:
        if value is None:
            return 0.5 if self._is_ordered else 0.0
        if self._values:
            place = self._values.index(value)
            return place / (len(self._values) - 1) if self._is_ordered else float(place)
        if self._is_log:
            return float(np.log(value / self._lower) / np.log(self._upper / self._lower))
        return float((value - self._lower) / (self._upper - self._lower))

    def points(self) -> tuple[list[Any], list[float]]:
        """Values at which a marginal is drawn, and their numbers."""
        if self._values:
            return self._values, [self.number(value) for value in self._values]
        shares = np.linspace(0, 1, _N_POINTS)
        if self._is_log:
            return [float(self._lower * (self._upper / self._lower) ** share) for share in shares], list(shares)
        return [float(self._lower + share * (self._upper - self._lower)) for share in shares], list(shares)


def _singles(axes: Sequence[_Axis], x: Floats, y: Floats, evaluator: str, seed: int) -> Mapping[str, float]:
    """Importances by one of optuna's evaluators, with one seed."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds: dict[str, Any] = {
        axis.name: CategoricalDistribution(range(axis.n_choices)) if axis.n_choices else FloatDistribution(0.0, 1.0)
        for axis in axes
    }
    study = optuna.create_study(direction="maximize")
    for row, value in zip(x, y, strict=True):
        numbers = {
            axis.name: int(number) if axis.n_choices else min(max(float(number), 0.0), 1.0)
            for axis, number in zip(axes, row, strict=True)
        }
        study.add_trial(optuna.trial.create_trial(params=numbers, distributions=kinds, value=float(value)))
    judge: Any = FanovaImportanceEvaluator(seed=seed) if evaluator == "fanova" else PedAnovaImportanceEvaluator()
    found: dict[str, float] = judge.evaluate(study)
    if evaluator == "ped-anova":  # its numbers have no unit
        total = sum(found.values()) or 1.0
        found = {name: value / total for name, value in found.items()}
    return found


def _effect(values: Sequence[float]) -> Effect:
    low, high = np.quantile(values, [0.025, 0.975]) if len(values) > 1 else (np.nan, np.nan)
    return Effect(float(np.mean(values)), float(low), float(high))


def _marginal(axis: _Axis, place: int, forests: Sequence[Forest]) -> Marginal:
    values, numbers = axis.points()
    curves = np.array([forest.marginal(place, np.array(numbers)) for forest in forests])  # [seeds, points]
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    return Marginal(values, curves.mean(axis=0).tolist(), low.tolist(), high.tolist())


def _sorted(effects: dict[Any, Effect]) -> dict[Any, Effect]:
    return dict(sorted(effects.items(), key=lambda item: item[1].mean, reverse=True))
