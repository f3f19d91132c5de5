"""BOHB on the same brackets as every other method, with hpbandster through Ray's ``TuneBOHB``.

As Ray ships it, ``TuneBOHB`` learns only from results that its own scheduler marks, and never from the last result of
a trial that is stopped. Here the scheduler passes on every result, and the model is told the score at the end of each
rung of a trial. If hpbandster meets an error while it samples, it answers with a random configuration;
``model_based_picks`` counts those that really came from its model.

It needs the extra ``bohb``. It is here as a fair rival only: a suggestion takes about 20 ms.

Source: Falkner et al., "BOHB", ICML 2018; hpbandster 0.7.4; Ray 2.60 ``ray/tune/search/bohb/bohb_search.py``.
"""

import logging
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from ray.tune.search.bohb import TuneBOHB

from hyperstar_tune.errors import SearchError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.model_searcher import ModelAxis, ModelSearcher
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


class BohbSearcher(ModelSearcher):
    """Suggests configurations of BOHB's density model, and random ones before it has a model and every third time.

    Args:
        space: A search space, its name, or a Ray dict space; None: what the run's config searches.
        ranking: A ranking whose first ``n_ranked`` configurations are tried before the model takes over.
        n_ranked: How many of the ranking are tried; by default as many as the plan's widest bracket takes.
        n_samples: Number of candidates that the model weighs for a suggestion.
        options: ``metric``, ``mode``, ``plan``, ``max_concurrent`` and ``seed`` of ``SpaceSearcher``.

    Raises:
        SearchError: If hpbandster is not installed, or a ranking comes without ``n_ranked`` and ``plan``.
    """

    model_based_picks = 0
    observations = 0

    def __init__(
        self,
        space: SearchSpace | str | dict[str, Any] | None = None,
        *,
        ranking: Ranking | None = None,
        n_ranked: int | None = None,
        n_samples: int = 64,
        **options: Any,
    ) -> None:
        if not has_hpbandster():
            raise SearchError("BohbSearcher needs hpbandster, which is not installed; install hyperstar_tune[bohb]")
        if ranking is not None and n_ranked is None:
            if options.get("plan") is None:
                raise SearchError("BohbSearcher with a ranking needs n_ranked or a plan, but got neither")
            n_ranked = options["plan"].widest_rung
        self._ranked = ranking.configs if ranking is not None else ()
        self._n_ranked, self._n_samples = n_ranked or 0, n_samples
        super().__init__(space, **options)

    def begin(self, fixed: dict[str, Any]) -> None:
        """Begins a model, after the ranked configurations that have the fixed values."""
        kept = [c for c in self._ranked if all(fixed.get(name, value) == value for name, value in c.items())]
        self._first = kept[: self._n_ranked]
        self._random_state = np.random.RandomState(self.seed).get_state()
        self._bohb = _bohb(self.axes, self.seed, self._n_samples)
        # It warns of every density that is 0 somewhere, as those of a finite space often are.
        self._bohb.bohber.logger.setLevel(logging.ERROR)

    def next_config(self) -> Config | None:
        """The next configuration of the ranking, and after these BOHB's pick."""
        if self._first:
            return self._first.pop(0)
        outside = np.random.get_state()  # hpbandster draws from numpy's global generator; others keep theirs
        np.random.set_state(self._random_state)
        try:
            picked, info = self._bohb.bohber.get_config(None)
        finally:
            self._random_state = np.random.get_state()
            np.random.set_state(outside)
        self.model_based_picks += bool(info.get("model_based_pick"))
        return self.config(picked)

    def learn(self, config: Config, level: int, score: float) -> None:
        """Tells BOHB a score, for which the rung is a budget."""
        numbers = self.numbers(config).items()
        self._bohb.trial_to_params["told"] = {name: number for name, number in numbers if not self.axes[name].is_fixed}
        self._bohb.on_trial_result("told", {_METRIC: score, "hyperband_info": {"budget": level}})
        self.observations += 1


def _bohb(axes: dict[str, ModelAxis], seed: int, n_samples: int) -> TuneBOHB:
    """BOHB over the numbers of the parameters, without those that have one value: it cannot scale them."""
    space = ConfigurationSpace()
    for name, axis in axes.items():
        if axis.is_fixed:
            continue
        if not axis.is_ordered:
            space.add(CategoricalHyperparameter(name, list(range(len(axis.values)))))
        else:
            kind = UniformIntegerHyperparameter if axis.is_whole else UniformFloatHyperparameter
            space.add(kind(name, axis.lower, axis.upper, log=axis.is_log))
    return TuneBOHB(space=space, bohb_config={"num_samples": n_samples}, metric=_METRIC, mode="max", seed=seed)
