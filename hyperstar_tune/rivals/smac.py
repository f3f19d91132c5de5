"""SMAC: Bayesian optimization with a random forest, of spaces with conditions too.

SMAC is told the best score of a trial when it ends. Its state cannot be saved, so it is told everything again after a
restore: it knows what it knew, but may suggest other configurations. It needs the extra ``smac``.

Source: Hutter et al., LION 2011; Lindauer et al., JMLR 23 (2022); smac 2.4 (ask and tell).
"""

import math
import tempfile
from pathlib import Path
from typing import Any

from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.space_searcher import SpaceSearcher
from hyperstar_tune.space import Config, SearchSpace, config_key

__all__ = ["SmacSearcher"]

_N_INITIAL = 10  # configurations of a Sobol sequence that come first
_ENDLESS = 1_000_000  # trials that SMAC is told to expect; the run decides when it ends


class SmacSearcher(SpaceSearcher):
    """Suggests configurations of SMAC's hyperparameter-optimization facade.

    Its arguments are those of ``SpaceSearcher``. A failed or diverged trial counts as the worst that was told so far.

    Raises:
        SearchError: If smac is not installed.
    """

    transient = ("_smac", "_asked", "_trial_seed")
    learns = True
    _smac: Any = None  # the facade; None: to be made, and told everything
    _asked: dict[str, Any]  # SMAC's own objects of its picks, by key: made anew they may differ in the last digit
    _trial_seed = 0  # that SMAC evaluates with: its own choice at its first pick, unless it was told of trials before

    def search(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        """Begins without observations."""
        try:
            import smac  # noqa: F401
        except ImportError as error:
            raise SearchError(
                "SmacSearcher needs smac, which is not installed; pip install 'hyperstar_tune[smac]'"
            ) from error
        self._smac = None
        self._scores: dict[str, float] = {}  # trial id -> best score (higher is better) of a trial that has not ended
        self._told: list[tuple[Config, float]] = []  # configurations with their costs (lower is better)

    def next_config(self) -> Config | None:
        """SMAC's pick."""
        if self.space is None:
            raise SearchError("SmacSearcher needs a space, but neither it nor the run's config has one; pass space=")
        if self._smac is None:
            self._smac, self._asked, self._trial_seed = _facade(self.space, self.seed), {}, 0
            for config, cost in self._told:
                self._teach(config, cost)
        asked = self._smac.ask()
        picked, self._trial_seed = asked.config, asked.seed
        config = {name: self.space.nearest(name, picked[name]) for name in self.space.parameters if name in picked}
        self._asked[config_key(config)] = picked
        return config

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Keeps the best score of a trial; one that is not finite stays."""
        if trial_id in self.configs:
            value = math.nan if result is None else float(result[self.metric])
            score = value if self.mode == "max" else -value
            best = self._scores.get(trial_id, score)
            self._scores[trial_id] = max(best, score) if math.isfinite(best) and math.isfinite(score) else -math.inf

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells SMAC the score of a trial that has ended."""
        super().on_trial_complete(trial_id, result, error)
        if trial_id in self._scores:
            costs = [cost for _, cost in self._told]
            score = self._scores.pop(trial_id)
            cost = -score if math.isfinite(score) else max(costs, default=0.0)
            self._told.append((self.configs[trial_id], cost))
            if self._smac is not None:
                self._teach(*self._told[-1])

    def _teach(self, config: Config, cost: float) -> None:
        from ConfigSpace import Configuration
        from smac.runhistory import TrialInfo, TrialValue

        known = self._asked.get(config_key(config)) or Configuration(self._smac.scenario.configspace, values=config)
        self._smac.tell(TrialInfo(known, seed=self._trial_seed), TrialValue(cost=cost), save=False)


def _facade(space: SearchSpace, seed: int) -> Any:
    from smac import HyperparameterOptimizationFacade, Scenario

    with tempfile.TemporaryDirectory() as folder:  # it writes its settings down when it is made
        scenario = Scenario(
            space.configuration_space, deterministic=True, n_trials=_ENDLESS, seed=seed, output_directory=Path(folder)
        )
        kind = HyperparameterOptimizationFacade
        return kind(
            scenario,
            lambda config, seed=0: 0.0,  # never called: it is asked and told
            initial_design=kind.get_initial_design(scenario, n_configs=_N_INITIAL),
            intensifier=kind.get_intensifier(scenario, max_config_calls=1),
            overwrite=True,
            logging_level=False,
        )
