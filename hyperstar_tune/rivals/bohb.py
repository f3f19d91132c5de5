"""BOHB on the same brackets as every other method: hpbandster through Ray's ``TuneBOHB``, losing no observation.

As Ray ships it, ``TuneBOHB`` learns only from results that its own scheduler marks, and never from the last result of
a trial that is stopped. Here the scheduler passes on every result, and the model is told the score at the end of each
rung a trial stands in. hpbandster answers any error while sampling with a random configuration: ``model_based_picks``
counts those that really came from its model.

Needs the extra ``bohb``. For a fair rival only: about 20 ms a suggestion.

Source: Falkner et al., "BOHB", ICML 2018; hpbandster 0.7.4; Ray 2.60 ``ray/tune/search/bohb/bohb_search.py``.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import CategoricalHyperparameter, UniformIntegerHyperparameter
from ray.tune.search.bohb import TuneBOHB

from hyperstar_tune.errors import SearchError
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.search.ray_space import as_space
from hyperstar_tune.search.searcher import OwnSpaceSearcher
from hyperstar_tune.space import Config, SearchSpace

__all__ = ["BohbSearcher", "has_hpbandster"]

_METRIC = "val"


def has_hpbandster() -> bool:
    """Whether the extra ``bohb`` is installed."""
    try:
        import hpbandster.optimizers.config_generators.bohb  # noqa: F401
    except ImportError:
        return False
    return True


class BohbSearcher(OwnSpaceSearcher):
    """Configurations from BOHB's density model, random ones until it has one and every third time.

    Args:
        space: A finite search space, its name, or a Ray dict space.
        ranking: Tried first, from the top; the model takes over after ``n_ranked`` configurations.
        n_ranked: How many of the ranking are tried; by default those of the plan's widest bracket.
        n_samples: Candidates that the model weighs for a suggestion.
        metric: Reported metric to optimize; usually given to ``tune.run``.
        mode: "max" or "min".
        plan: The run's plan; makes sure that the scheduler has the same one.
        max_concurrent: Trials that may run at a time.
        seed: Random seed of BOHB's picks.

    Raises:
        SearchError: If hpbandster is not installed, the space is not finite, or a ranking has no end in sight.
    """

    def __init__(
        self,
        space: SearchSpace | str | dict[str, Any],
        *,
        ranking: Ranking | None = None,
        n_ranked: int | None = None,
        n_samples: int = 64,
        metric: str | None = None,
        mode: str | None = None,
        plan: HyperBandPlan | None = None,
        max_concurrent: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(metric=metric, mode=mode, plan=plan, max_concurrent=max_concurrent)
        if not has_hpbandster():
            raise SearchError("BohbSearcher needs hpbandster, which is not installed; install hyperstar_tune[bohb]")
        self.space, self._paths = as_space(space)
        if not self.space.is_finite:
            raise SearchError(f"BohbSearcher takes a finite space, but got {self.space!r}")
        if ranking is not None and n_ranked is None:
            if plan is None:
                raise SearchError("BohbSearcher with a ranking needs n_ranked or a plan, but got neither")
            n_ranked = plan.widest_rung
        self._ranked = ranking.configs if ranking is not None else ()
        self._n_ranked, self._seed, self._n_samples = n_ranked or 0, seed, n_samples
        self._random_state = np.random.RandomState(seed).get_state()
        self._search(self.space, {})
        self._observes = True  # also where there is no gate: then every epoch is a budget
        self.model_based_picks = 0
        self.observations = 0

    @property
    def repeats(self) -> bool:
        """A configuration that BOHB picks again goes on with its stored trial, as with every method."""
        return True

    def next_config(self) -> Config | None:
        """The next of the ranking, then BOHB's pick."""
        if self._first:
            return self._first.pop(0)
        with self._own_random_state():
            picked, info = self._bohb.bohber.get_config(None)
        self.model_based_picks += bool(info.get("model_based_pick"))
        return {name: values[int(picked.get(name, 0))] for name, values in self._axes.items()}

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Passes on the score at the end of the rung the trial stands in; a failed or diverged one is the worst."""
        config = self._configs.get(trial_id)
        if config is None:
            return
        score = math.nan if result is None else float(result[self.metric])
        level = self._gate.trials[trial_id].level if self._gate else max(1, epoch)
        if self._gate and epoch != level and math.isfinite(score):
            return
        sign = 1.0 if self.mode == "max" else -1.0
        self._bohb.trial_to_params["told"] = {
            name: values.index(config[name]) for name, values in self._axes.items() if len(values) > 1
        }
        self._bohb.on_trial_result("told", {_METRIC: sign * score, "hyperband_info": {"budget": level}})
        self.observations += 1

    def _search(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        self.space = space
        kept = [c for c in self._ranked if all(fixed.get(name, value) == value for name, value in c.items())]
        self._first = [dict(config) for config in kept[: self._n_ranked]]
        self._axes = _axes(space)
        self._bohb = _bohb(self._axes, self._seed, self._n_samples)
        # It warns of every density that is 0 somewhere, as those of a finite space often are.
        self._bohb.bohber.logger.setLevel(logging.ERROR)

    @contextmanager
    def _own_random_state(self) -> Iterator[None]:
        """Gives numpy's global generator, from which hpbandster draws, this searcher's state; others keep theirs."""
        outside = np.random.get_state()
        np.random.set_state(self._random_state)
        try:
            yield
        finally:
            self._random_state = np.random.get_state()
            np.random.set_state(outside)


def _axes(space: SearchSpace) -> dict[str, list[Any]]:
    """The values of each parameter."""
    return {name: list(dict.fromkeys(config[name] for config in space.grid())) for name in space.parameters}


def _bohb(axes: dict[str, list[Any]], seed: int, n_samples: int) -> TuneBOHB:
    """BOHB over the places of the values: whole numbers where they have an order, as hpbandster asks for."""
    space = ConfigurationSpace()
    for name, values in axes.items():
        is_ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if len(values) == 1:
            continue
        if is_ordered:
            space.add(UniformIntegerHyperparameter(name, 0, len(values) - 1))
        else:
            space.add(CategoricalHyperparameter(name, list(range(len(values)))))
    return TuneBOHB(space=space, bohb_config={"num_samples": n_samples}, metric=_METRIC, mode="max", seed=seed)
