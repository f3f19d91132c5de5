"""The methods that are compared on a space of ranges, each as a run on a task under a budget in seconds.

What transfers from other tasks learns from the other families' part of the table alone. The searchers and schedulers
are the package's own; optuna's Hyperband, which decides inside its own study, is driven here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from ray.tune.search import Searcher

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RacePlan, RandomSearcher
from hyperstar_tune.comparison.by_hand import BY_HAND, EXPERTS_RACE
from hyperstar_tune.comparison.methods import METHODS, Setting, make_method
from hyperstar_tune.errors import HyperStarError, SpaceError
from hyperstar_tune.finetune.knobs import KNOBS
from hyperstar_tune.plan import Plan
from hyperstar_tune.predictor.any_space_predictor import AnySpacePredictor
from hyperstar_tune.predictor.known import KnownTasks
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.predictor.task_scores import TaskScores
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.bohb import has_hpbandster
from hyperstar_tune.rivals.model_searcher import ModelAxis
from hyperstar_tune.rivals.registry import Supplies, ranker_kind
from hyperstar_tune.rivals.smac import SmacSearcher
from hyperstar_tune.search.diversity import made_diverse
from hyperstar_tune.simulation import Run, TaskCurves, replay
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tables import MetaDataset
from scoreboard.table_surrogate import SurrogateCurves, TaskSurrogate

__all__ = ["RIVALS", "Case", "Rival", "optuna_hyperband", "with_defaults"]

Floats = npt.NDArray[np.float64]

_ETA = 2
_N_DRAWN = 200_000  # configurations of which the best are ranked, as ``AnySpacePredictor`` does
_SETTINGS = PlusSettings()


@dataclass(frozen=True, eq=False)
class Case:
    """One task, and everything that a method may know of it."""

    surrogate: TaskSurrogate
    known: MetaDataset  # the other families' part of the table, complete
    n_images: int  # of training and validation
    by_hand: TaskCurves | None = None  # measured curves of what a person types without a tuner
    traits: Mapping[str, Floats] = field(default_factory=dict)  # by task; those that are not known are missing

    @property
    def space(self) -> SearchSpace:
        """The space that is searched, without a list."""
        return self.surrogate.space

    def curves(self, seed: int) -> SurrogateCurves:
        """Fresh curves for a run; of odd seeds half B decides and half A reports."""
        return SurrogateCurves(self.surrogate, seed, swapped=seed % 2 == 1)

    @cached_property
    def lacks_traits(self) -> str:
        """Names of the tasks whose images were not looked at; empty if all were."""
        return ", ".join(name for name in (self.surrogate.task, *self.known.tasks["name"]) if name not in self.traits)

    @cached_property
    def predictor(self) -> AnySpacePredictor:
        """Any space, learned from the other families; without traits its mean ranking is the same."""
        nothing = np.zeros(len(_SETTINGS.traits))
        of_task = (lambda name: nothing) if self.lacks_traits else self.traits.__getitem__
        return AnySpacePredictor.fit_tables([self.known], of_task, _SETTINGS, {})

    @cached_property
    def _rankings(self) -> dict[tuple[int, float], Ranking]:
        return {}

    def any_space(self, seed: int, images: bool) -> Ranking:
        """The ranking of the space by ``predictor``, as ``rank_space`` makes it from images or without them."""
        own, trust = self._seen(images)
        if (seed, trust) not in self._rankings:
            configs = self.predictor.best_of_draws(own, self.space, {}, _N_DRAWN, seed, trust)
            scores, spread = self.predictor.scores(own, configs, trust)
            assert self.predictor.known is not None
            about = self.predictor.known.about(self.predictor.encode(configs), self.n_images)
            self._rankings[seed, trust] = made_diverse(Ranking.of(configs, scores, spread, **about), self.space)
        return self._rankings[seed, trust]

    def task_scores(self, images: bool) -> TaskScores:
        """What the predictor says of further configurations, for a searcher that learns while it tunes."""
        own, trust = self._seen(images)
        return self.predictor.with_traits(own, self.space, {}, self.n_images, trust)

    def _seen(self, images: bool) -> tuple[Floats, float]:
        """Traits of the task, and how far they are trusted on a family that was left out."""
        trust = self.predictor.kept if images else 0.0
        return self.traits[self.task] if trust else np.zeros(len(_SETTINGS.traits)), trust

    def of_table(self, ranker: str, priced: bool) -> Ranking:
        """The configurations of the table as a ranker orders them; priced, cheap ones may come first."""
        ranking = ranker_kind(ranker).make(Supplies(self.known)).fit(self.known).rank(self.task, self.known.configs)
        about = KnownTasks.of(self.known).about(self.known.space.encode(ranking.configs), self.n_images)
        if not priced:
            about.pop("costs", None)
        return Ranking.of(ranking.configs, ranking.scores, ranking.spread, **about)

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.surrogate.task


Runs = Callable[[Case, int, float], Run]  # of a case, a seed and a budget in seconds


@dataclass(frozen=True)
class Rival:
    """A method."""

    label: str
    run: Runs
    lacks: Callable[[Case], str] = lambda case: ""  # what it cannot do without and does not have, in words
    seeds: int | None = None  # runs that differ; None: every seed does


def _replayed(case: Case, seed: int, searcher: Searcher, plan: Plan) -> Run:
    return replay(case.curves(seed), searcher, PlanScheduler(plan))


def _in_brackets(method: str) -> Runs:
    """A method of the package that fills Hyperband's brackets."""

    def run(case: Case, seed: int, seconds: float) -> Run:
        plan = HyperBandPlan(case.curves(0).max_epochs, _ETA, seconds_budget=seconds)
        searcher, scheduler = METHODS[method].make(Setting(case.space, plan, seed))
        return replay(case.curves(seed), searcher, scheduler)

    return run


def _straight(make: Callable[[Case, int, Plan], Searcher], race: bool = False) -> Runs:
    """A searcher whose configurations are each trained to R, perhaps behind a race of the first two."""

    def run(case: Case, seed: int, seconds: float) -> Run:
        r = case.curves(0).max_epochs
        plan = RacePlan(r, seconds_budget=seconds, **({} if race else {"race_epochs": 0}))
        return _replayed(case, seed, make(case, seed, plan), plan)

    return run


def _following(ranking: Callable[[Case, int], Ranking], race: bool = True) -> Runs:
    return _straight(lambda case, seed, plan: HyperStarSearcher(ranking=ranking(case, seed), plan=plan), race)


def _by_hand(method: str) -> Rival:
    def run(case: Case, seed: int, seconds: float) -> Run:
        assert case.by_hand is not None
        curves = case.by_hand
        if seed % 2:
            curves = replace(curves, accuracy=curves.accuracy_b, accuracy_b=curves.accuracy)
        plan = HyperBandPlan(curves.max_epochs, _ETA, seconds_budget=seconds)
        searcher, scheduler = make_method(method).make(Setting(curves.space, plan))
        return replay(curves, searcher, scheduler)

    def lacks(case: Case) -> str:
        if case.by_hand is None:
            return "curves by hand of this task"
        try:
            run(case, 0, 1.0)
        except HyperStarError as error:
            return str(error)
        return ""

    return Rival(METHODS[method].label, run, lacks, seeds=2)  # measured once: only the halves can change


def with_defaults(config: Config, space: SearchSpace) -> Config:
    """A configuration that a person types as one of the space, with the defaults of fine-tuning for all other knobs.

    Raises:
        SpaceError: If the space does not have it, or has a knob without a default.
    """
    usual = {name: knob.default for name, knob in KNOBS.items()} | {"weight_decay": 1e-2, "batch_size": 32}
    typed = space.active({name: config.get(name, usual.get(name)) for name in space.parameters})
    space.check(typed)
    return typed


def _by_hand_on_surrogate(method: str) -> Rival:
    """The same on the surrogate, which smooths: like beside like."""

    def ranking(case: Case, seed: int) -> Ranking:
        configs = [with_defaults(BY_HAND[name], case.space) for name in EXPERTS_RACE.get(method, (method,))]
        return Ranking.of(configs, range(len(configs), 0, -1))

    def lacks(case: Case) -> str:
        try:
            ranking(case, 0)
        except SpaceError as error:
            return str(error)
        return ""

    run = _following(ranking, race=method in EXPERTS_RACE)
    return Rival(f"{METHODS[method].label}, on the surrogate", run, lacks)


def optuna_hyperband(case: Case, seed: int, seconds: float) -> Run:
    """Optuna as a person uses it: its TPE sampler with its Hyperband pruner, which hears of every epoch."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    curves = case.curves(seed)
    study = optuna.create_study(
        study_name=f"seed {seed}",  # by which the pruner deals trials to brackets
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=curves.max_epochs),
    )
    segments, now, inside = [], 0.0, 0.0
    while now < seconds:
        started = perf_counter()
        trial = study.ask()
        row = curves.row(_suggested(trial, case.space))
        inside += perf_counter() - started
        ends, epoch, pruned = curves.ends(row), 0, False
        while epoch < curves.max_epochs and now + ends[epoch] < seconds and not pruned:
            epoch += 1
            trial.report(curves.result(row, epoch)["val_accuracy"], epoch)
            pruned = epoch < curves.max_epochs and trial.should_prune()
        segments.append((row, 0, epoch, now))
        now += ends[epoch]
        if pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, curves.result(row, epoch)["val_accuracy"])
    epochs = sum(after for _, _, after, _ in segments)
    return Run(curves, (), np.asarray(segments, dtype=np.float64), epochs, 0, now, inside, epochs, stalled=False)


def _suggested(trial: Any, space: SearchSpace) -> Config:
    """A configuration, one parameter after another; of those that mean nothing optuna hears nothing."""
    config: Config = {}
    for hp in space.configuration_space.values():
        axis = ModelAxis.of(hp)
        if hp.name not in space.active({**config, hp.name: space.values_or_ends(hp.name)[0]}):
            continue
        if not axis.values:
            suggest = trial.suggest_int if axis.is_whole else trial.suggest_float
            config[hp.name] = space.nearest(hp.name, suggest(hp.name, axis.lower, axis.upper, log=axis.is_log))
        elif axis.is_ordered:
            config[hp.name] = axis.values[trial.suggest_int(hp.name, 0, len(axis.values) - 1)]
        else:
            config[hp.name] = axis.values[trial.suggest_categorical(hp.name, range(len(axis.values)))]
    return config


def _learning(images: bool) -> Runs:
    def make(case: Case, seed: int, plan: Plan) -> Searcher:
        ranking, predicted = case.any_space(seed, images), case.task_scores(images)
        return HyperStarSearcher(space=case.space, ranking=ranking, predicted=predicted, plan=plan, seed=seed)

    return _straight(make, race=True)


def _needs(package: str) -> Callable[[Case], str]:
    return lambda case: "" if find_spec(package) else f"the package {package}"


def _needs_traits(case: Case) -> str:
    return f"traits of {case.lacks_traits}" if case.lacks_traits else ""


def _random(case: Case, seed: int, plan: Plan) -> Searcher:
    return RandomSearcher(case.space, plan=plan, seed=seed)


def _smac(case: Case, seed: int, plan: Plan) -> Searcher:
    return SmacSearcher(case.space, metric="val_accuracy", mode="max", plan=plan, seed=seed)


def _listed(ranker: str, priced: bool) -> Callable[[Case, int], Ranking]:
    return lambda case, seed: case.of_table(ranker, priced)


_TYPED = ("expert", "expert_96px", "untuned_default", "untuned_default_96px")
RIVALS: dict[str, Rival] = {
    "any_space_learning": Rival("any space with images, race, then learning", _learning(images=True), _needs_traits),
    "any_space_learning_no_images": Rival("any space without images, race, then learning", _learning(images=False)),
    "any_space": Rival(
        "any space with images, race",
        _following(lambda case, seed: case.any_space(seed, images=True)),
        _needs_traits,
    ),
    "any_space_no_images": Rival(
        "any space without images, race", _following(lambda case, seed: case.any_space(seed, images=False))
    ),
    "average_race": Rival("average of the table's configurations, race", _following(_listed("plus_average", True))),
    "portfolio_race": Rival("portfolio of the table's configurations, race", _following(_listed("portfolio", False))),
    "average": Rival(
        "average of the table's configurations, each to R", _following(_listed("plus_average", True), race=False)
    ),
    "portfolio": Rival(
        "portfolio of the table's configurations, each to R", _following(_listed("portfolio", False), race=False)
    ),
    "optuna_tpe_hyperband": Rival("optuna: TPE with its Hyperband", optuna_hyperband, _needs("optuna")),
    "tpe_brackets": Rival("optuna's TPE in our brackets", _in_brackets("tpe_hyperband"), _needs("optuna")),
    "bohb": Rival("BOHB", _in_brackets("bohb"), lambda case: "" if has_hpbandster() else "the package hpbandster"),
    "smac": Rival("SMAC, each to R", _straight(_smac), _needs("smac")),
    "random_hyperband": Rival("random search with Hyperband", _in_brackets("hyperband")),
    "random": Rival("random search, each to R", _straight(_random)),
    **{name: _by_hand(name) for name in _TYPED},
    **{f"{name}_on_surrogate": _by_hand_on_surrogate(name) for name in _TYPED},
}
