"""Optuna's TPE on the same brackets as every other method.

An observation is a configuration with its score at the last rung it reached: TPE prefers those that were trained
longer, as it does with pruned trials of its own. Needs optuna. For a fair rival only.

Source: Bergstra et al., NeurIPS 2011; optuna 5, ``optuna/samplers/_tpe/sampler.py``.
"""

import math
from typing import TYPE_CHECKING, Any

from hyperstar_tune.errors import SearchError
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.search.ray_space import as_space
from hyperstar_tune.search.searcher import OwnSpaceSearcher
from hyperstar_tune.space import Config, SearchSpace, config_key

if TYPE_CHECKING:
    import optuna

__all__ = ["TpeSearcher"]


class TpeSearcher(OwnSpaceSearcher):
    """Configurations from optuna's tree-structured Parzen estimator.

    Args:
        space: A finite search space, its name, or a Ray dict space.
        metric: Reported metric to optimize; usually given to ``tune.run``.
        mode: "max" or "min".
        plan: The run's plan; makes sure that the scheduler has the same one.
        max_concurrent: Trials that may run at a time.
        seed: Random seed of TPE's sampler.

    Raises:
        SearchError: If optuna is not installed or the space is not finite.
    """

    transient = ("_study",)
    _study: "optuna.Study | None" = None  # of all that was told; None after something new

    def __init__(
        self,
        space: SearchSpace | str | dict[str, Any],
        *,
        metric: str | None = None,
        mode: str | None = None,
        plan: HyperBandPlan | None = None,
        max_concurrent: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(metric=metric, mode=mode, plan=plan, max_concurrent=max_concurrent)
        try:
            import optuna
        except ImportError as error:
            raise SearchError("TpeSearcher needs optuna, which is not installed; install optuna") from error
        self.space, self._paths = as_space(space)
        if not self.space.is_finite:
            raise SearchError(f"TpeSearcher takes a finite space, but got {self.space!r}")
        self._search(self.space, {})
        self._sampler = optuna.samplers.TPESampler(seed=seed)
        self._observes = True  # also where there is no gate
        self._told: dict[str, tuple[Config, int, float]] = {}  # key -> configuration, epochs, score (higher is better)

    @property
    def repeats(self) -> bool:
        """A configuration that TPE picks again goes on with its stored trial, as with every method."""
        return True

    def next_config(self) -> Config | None:
        """TPE's pick."""
        if self._study is None:  # rebuilt, because a trial's score changes with every rung it reaches
            self._study = self._new_study()
        trial = self._study.ask(self._distributions)
        return {name: values[trial.params[name]] for name, values in self._axes.items()}

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Keeps the score at the end of the rung the trial stands in; one that failed or diverged counts as bad."""
        config = self._configs.get(trial_id)
        if config is None:
            return
        score = math.nan if result is None else float(result[self.metric])
        level = self._gate.trials[trial_id].level if self._gate else max(1, epoch)
        if self._gate is None or epoch == level or not math.isfinite(score):
            if math.isfinite(score):
                score = score if self.mode == "max" else -score
            else:  # optuna ranks by the level first: below all that was trained
                level, score = 0, math.nan
            self._told[config_key(config)] = (config, level, score)
            self._study = None

    def _search(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        del fixed  # the space holds them
        from optuna.distributions import CategoricalDistribution, IntDistribution

        self.space = space
        grid = space.grid()
        self._axes = {name: list(dict.fromkeys(config[name] for config in grid)) for name in space.parameters}
        self._distributions: dict[str, Any] = {
            name: (
                IntDistribution(0, len(values) - 1)
                if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
                else CategoricalDistribution(range(len(values)))
            )
            for name, values in self._axes.items()
        }

    def _new_study(self) -> "optuna.Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize", sampler=self._sampler)
        for config, level, score in self._told.values():
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.PRUNED,
                    params={name: values.index(config[name]) for name, values in self._axes.items()},
                    distributions=self._distributions,
                    intermediate_values={level: score},
                )
            )
        return study
