"""Optuna's TPE on the same brackets as every other method.

An observation is a configuration with its score at the last rung that it reached. TPE prefers configurations that were
trained longer, as it does with pruned trials of its own. It needs optuna, and is here as a fair rival only.

Source: Bergstra et al., NeurIPS 2011; optuna 5, ``optuna/samplers/_tpe/sampler.py``.
"""

import math
from typing import TYPE_CHECKING, Any

from hyperstar_tune.errors import SearchError
from hyperstar_tune.rivals.model_searcher import ModelSearcher
from hyperstar_tune.space import Config, config_key

if TYPE_CHECKING:
    import optuna

__all__ = ["TpeSearcher"]


class TpeSearcher(ModelSearcher):
    """Suggests configurations of optuna's tree-structured Parzen estimator.

    Its arguments are those of ``SpaceSearcher``.

    Raises:
        SearchError: If optuna is not installed.
    """

    transient = ("_study",)
    _study: "optuna.Study | None" = None  # study of everything that was told; None after a new score

    def begin(self, fixed: dict[str, Any]) -> None:
        """Begins without observations."""
        try:
            from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
            from optuna.samplers import TPESampler
        except ImportError as error:
            raise SearchError("TpeSearcher needs optuna, which is not installed; install optuna") from error
        self._sampler = TPESampler(seed=self.seed)
        self._told: dict[str, tuple[Config, int, float]] = {}  # key -> configuration, epochs, score (higher is better)
        self._distributions: dict[str, Any] = {}
        for name, axis in self.axes.items():
            if axis.is_ordered:
                kind: Any = IntDistribution if axis.is_whole else FloatDistribution
                self._distributions[name] = kind(axis.lower, axis.upper, log=axis.is_log)
            else:
                self._distributions[name] = CategoricalDistribution(range(len(axis.values)))

    def next_config(self) -> Config | None:
        """TPE's pick."""
        if self._study is None:  # rebuilt, because a trial's score changes with every rung it reaches
            self._study = self._new_study()
        trial = self._study.ask(self._distributions)
        return self.config(trial.params)

    def learn(self, config: Config, level: int, score: float) -> None:
        """Keeps a score; optuna ranks by the level first, so that level 0 is below all that was trained."""
        self._told[config_key(config)] = (config, 0 if math.isnan(score) else level, score)
        self._study = None

    def _new_study(self) -> "optuna.Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize", sampler=self._sampler)
        for config, level, score in self._told.values():
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.PRUNED,
                    params=self.numbers(config),
                    distributions=self._distributions,
                    intermediate_values={level: score},
                )
            )
        return study
