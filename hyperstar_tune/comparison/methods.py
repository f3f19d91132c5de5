"""Methods by name. Each makes a fresh searcher and scheduler, which are the same for a replay and for a live run.

A method without a ranking has a plain name (``hyperband``, ``bohb``), and so has HyperSTAR's race (``race``). Others
that follow a ranking are called ``RANKER+USE``: ``average_top1+race``, ``bm_both+alone``.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, HyperBandScheduler, TrialScheduler
from ray.tune.search import Searcher

from hyperstar_tune.comparison.by_hand import BY_HAND, EXPERTS_RACE, by_hand
from hyperstar_tune.errors import PredictorError, SearchError
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.predictor.known import KnownTasks
from hyperstar_tune.race import RacePlan
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.bohb import BohbSearcher
from hyperstar_tune.rivals.registry import ranker_kind
from hyperstar_tune.rivals.rush import RushScheduler, WarmStartSearcher, best_of_each_task
from hyperstar_tune.rivals.tpe import TpeSearcher
from hyperstar_tune.rivals.tr_automl import TrAutoMLSearcher
from hyperstar_tune.search import HyperStarSearcher, PlanScheduler, RandomSearcher
from hyperstar_tune.simulation.controller import METRIC, MODE
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["METHODS", "OLD_NAMES", "USES", "Method", "Setting", "current_names", "looks", "make_method"]

OLD_NAMES = {  # results that were written before a renaming are read through ``current_names``
    "hyperband_reversed": "hyperband_longest_first",
    "least_aggressive_first": "longest_first",
}

Pair = tuple[Searcher, TrialScheduler]
Fields = dict[str, Any]
_GOAL: Fields = {"metric": METRIC, "mode": MODE}  # Ray tells searchers only if the run has a config
_FIRST, _LAST = "{ranker}, then ", ", longest training first"  # of labels


@dataclass(frozen=True)
class Setting:
    """Everything that a method may know of a run."""

    space: SearchSpace
    plan: HyperBandPlan
    seed: int = 0
    ranking: Ranking | None = None  # of the method's ranker, for this task
    known: MetaDataset | None = None  # the table without the task's family


Make = Callable[[Setting], Pair]


@dataclass(frozen=True)
class Method:
    """A way to spend a budget."""

    name: str
    label: str  # in figures; {ranker} stands for the label of the ranker
    make: Make
    color: str = ""  # in figures; a method that follows a ranking has the color of the ranker
    line: str = "-"  # matplotlib's style of its line
    reports: str = "every epoch"  # that a replay must deliver, as in ``replay``; "end": no scheduler ends its trials
    has_plan: bool = True  # its scheduler ends the run at the budget by itself
    ranker: str = ""  # whose ranking it needs
    needs_table: bool = False
    is_slow: bool = False  # fits a model at every suggestion
    is_random: bool = True  # depends on the seed (apart from its ranking)
    n_workers: int = 0  # trials side by side; 0: as many as the comparison says
    in_seconds: bool = False  # at equal seconds it is run anew under a budget in seconds, not read off its other run


def make_method(name: str) -> Method:
    """Looks a method up by its name.

    Raises:
        SearchError: If there is none of this name.
    """
    ranker, _, use = name.partition("+")
    if ranker and use in USES:
        return replace(USES[use], name=name, ranker=ranker)
    if name in METHODS:
        return METHODS[name]
    raise SearchError(
        f"a method is one of {', '.join(METHODS)} or RANKER+USE with a use of {', '.join(USES)}, but got {name!r}"
    )


def current_names(data: Any) -> Any:
    """Replaces every name of ``OLD_NAMES`` by today's.

    Args:
        data: The name of a method, or results as read from JSON, in which names are keys or values.
    """
    if isinstance(data, str):
        ranker, plus, name = data.rpartition("+")
        return ranker + plus + OLD_NAMES.get(name, name)
    if isinstance(data, dict):
        return {current_names(key): current_names(value) for key, value in data.items()}
    return [current_names(value) for value in data] if isinstance(data, list) else data


def looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How methods look in figures: matplotlib's ``label``, ``color`` and ``ls`` of a line, by name.

    The color says whose ranking a method follows, the style of the line what it does with the ranking.
    """
    shown = {}
    for place, method in enumerate(map(make_method, names)):
        label, color = method.ranker, method.color or f"C{place % 10}"
        try:
            kind = ranker_kind(method.ranker)
        except PredictorError:  # a ranker of somebody else
            pass
        else:
            label, color = kind.label, kind.color
        shown[method.name] = {"label": method.label.format(ranker=label), "color": color, "ls": method.line}
    return shown


def _ranking(s: Setting) -> Ranking:
    if s.ranking is None:
        raise SearchError("this method needs a ranking to follow, but its setting has none")
    return s.ranking


def _known(s: Setting) -> MetaDataset:
    if s.known is None:
        raise SearchError("this method needs a table of other tasks to transfer from, but its setting has none")
    return s.known


def _race(ranking: Callable[[Setting], Ranking]) -> Make:
    def make(s: Setting) -> Pair:
        plan = RacePlan(s.plan.max_epochs, s.plan.epoch_budget, seconds_budget=s.plan.seconds_budget)
        return HyperStarSearcher(ranking=ranking(s), plan=plan), PlanScheduler(plan)

    return make


def _with_complement(s: Setting) -> Ranking:
    """The ranking, with what is known of other tasks, from which a race takes the complement of its first.

    Costs are relative: they are those of a single image.
    """
    ranking = _ranking(s)
    if ranking.falls:
        return ranking
    about = KnownTasks.of(_known(s)).about(s.space.encode(ranking.configs), n_images=1)
    return Ranking.of(
        ranking.configs, ranking.scores, ranking.spread, task=ranking.task, source=ranking.source, **about
    )


def _least_fall_first(s: Setting) -> Ranking:
    """The ranking behind the configuration that is least below the best on known tasks: a race without images."""
    ranking = _with_complement(s)
    first = int(np.argmax(np.mean(ranking.falls, axis=1)))
    scores = np.array(ranking.scores)
    scores[first] = scores.max() + 1.0
    falls = np.array(ranking.falls).T
    return Ranking.of(ranking.configs, scores, falls=falls, known_tasks=ranking.known_tasks, source=ranking.source)


def _cheap_first(s: Setting) -> Ranking:
    """The ranking for a budget in seconds."""
    return _with_complement(s).by_cost()


def _alone_by_hand(name: str) -> Make:
    return lambda s: (HyperStarSearcher(ranking=Ranking.of([by_hand(name, s.space)], [0.0])), FIFOScheduler())


def _race_by_hand(name: str) -> Make:
    return _race(lambda s: Ranking.of([by_hand(one, s.space) for one in EXPERTS_RACE[name]], [1.0, 0.0]))


def _to_the_end(plan: HyperBandPlan) -> TrialScheduler:
    return FIFOScheduler()


def _asha(plan: HyperBandPlan) -> TrialScheduler:
    return AsyncHyperBandScheduler(max_t=plan.max_epochs, reduction_factor=plan.eta)


def _rays(plan: HyperBandPlan) -> TrialScheduler:
    logging.getLogger("ray.tune.schedulers.hyperband").setLevel(logging.WARNING)  # it logs every bracket it leaves out
    return HyperBandScheduler(max_t=plan.max_epochs, reduction_factor=plan.eta)


def _random(schedule: Callable[[HyperBandPlan], TrialScheduler]) -> Make:
    return lambda s: (RandomSearcher(s.space, seed=s.seed), schedule(s.plan))


def _ranked(schedule: Callable[[HyperBandPlan], TrialScheduler]) -> Make:
    return lambda s: (HyperStarSearcher(ranking=_ranking(s)), schedule(s.plan))


def _in_brackets(searcher: Callable[[Setting], Searcher]) -> Make:
    return lambda s: (searcher(s), PlanScheduler(s.plan))


def _follow(use: str = "top", restart: bool = False) -> Make:
    return _in_brackets(
        lambda s: HyperStarSearcher(ranking=_ranking(s), use=use, restart=restart, plan=s.plan, seed=s.seed)
    )


def _longest_first(make: Make) -> Make:
    return lambda s: make(replace(s, plan=replace(s.plan, longest_first=True)))


def _tr_automl(s: Setting) -> Pair:
    return TrAutoMLSearcher(_known(s), **_GOAL, seed=s.seed), FIFOScheduler()


def _rush(s: Setting) -> Pair:
    first = best_of_each_task(_known(s))
    scheduler = RushScheduler(len(first), max_t=s.plan.max_epochs, reduction_factor=s.plan.eta)
    return WarmStartSearcher(s.space, first=first, seed=s.seed), scheduler


_hyperband = _in_brackets(lambda s: RandomSearcher(s.space, plan=s.plan, seed=s.seed))
_tpe = _in_brackets(lambda s: TpeSearcher(s.space, **_GOAL, plan=s.plan, seed=s.seed))
_bohb = _in_brackets(lambda s: BohbSearcher(s.space, **_GOAL, plan=s.plan, seed=s.seed))
_ranked_bohb = _in_brackets(lambda s: BohbSearcher(s.space, ranking=_ranking(s), **_GOAL, plan=s.plan, seed=s.seed))
_FREE: Fields = {"has_plan": False}
_FIFO: Fields = {"has_plan": False, "reports": "end"}
_LEARNS: Fields = {"reports": "levels", "is_slow": True}
_DRAWS: Fields = {"reports": "targets"}
_FIXED: Fields = {"is_random": False}

_RACES: Fields = {"needs_table": True, **_FIXED}
_BY_PLUS: Fields = {"ranker": "hyperstar_plus", **_RACES}
_HAND: Fields = {"color": "0.2", **_FIXED}
_LABELS = {  # of what a person does without a tuner
    "untuned_default": "untuned default",
    "last_stage_by_hand": "last stage by hand",
    "head_alone": "head alone",
    "tutorial_sgd": "the tutorial's SGD",
    "expert": "expert's race",
}


def _label(name: str) -> str:
    plain = name.removesuffix("_96px")
    return _LABELS[plain] if plain == name else f"{_LABELS[plain]}, 96 px"


METHODS = {  # those with a plain name
    method.name: method
    for method in (
        Method("random_search", "random search", _random(_to_the_end), "#bcbd22", **_FIFO),
        Method("hyperband", "Hyperband", _hyperband, "#1f77b4", **_DRAWS),
        Method("hyperband_longest_first", f"Hyperband{_LAST}", _longest_first(_hyperband), "#1f77b4", "-.", **_DRAWS),
        Method("ray_hyperband", "Ray's HyperBandScheduler", _random(_rays), "#17becf", **_FREE),
        Method("asha", "ASHA", _random(_asha), "#9edae5", **_FREE),
        Method("bohb", "BOHB", _bohb, "#ff7f0e", **_LEARNS),
        Method("tpe_hyperband", "TPE in Hyperband's brackets", _tpe, "#ffbb78", **_LEARNS),
        Method("tr_automl", "Tr-AutoML", _tr_automl, "#7f7f7f", needs_table=True, **_FIFO),
        Method("rush", "RUSH", _rush, "#c49c94", needs_table=True, **_FREE),
        Method("race", "HyperSTAR+, race", _race(_with_complement), "#d62728", **_BY_PLUS),
        Method(
            "race_seconds",
            "HyperSTAR+, race, order by seconds",
            _race(_cheap_first),
            "#d62728",
            ":",
            in_seconds=True,
            **_BY_PLUS,
        ),
        Method("race_no_images", "race without images", _race(_least_fall_first), ranker="plus_average", **_RACES),
        *(
            Method(
                f"race_parallel_{k}",
                f"HyperSTAR+, race, {k} at a time",
                _race(_with_complement),
                n_workers=k,
                **_BY_PLUS,
            )
            for k in (2, 4, 8, 16)
        ),
        *(Method(name, _label(name), _alone_by_hand(name), line=":", **_FIFO, **_HAND) for name in BY_HAND),
        *(Method(name, _label(name), _race_by_hand(name), line="-.", **_HAND) for name in EXPERTS_RACE),
    )
}
USES = {  # of a ranking, by whatever ranker
    use.name: use
    for use in (
        Method("hyperband", f"{_FIRST}Hyperband", _follow(), **_DRAWS, **_FIXED),
        Method("hyperband_mixed", "{ranker} and random configurations, then Hyperband", _follow("mixed"), **_DRAWS),
        Method("hyperband_sampled", f"drawn by {_FIRST}Hyperband", _follow("sampled"), **_DRAWS),
        Method(
            "hyperband_restart", "{ranker} anew in every bracket", _follow(restart=True), reports="levels", **_FIXED
        ),
        Method(
            "hyperband_longest_first",
            f"{_FIRST}Hyperband{_LAST}",
            _longest_first(_follow()),
            line="-.",
            **_DRAWS,
            **_FIXED,
        ),
        Method("alone", "{ranker} alone, each trained to the end", _ranked(_to_the_end), line="--", **_FIFO, **_FIXED),
        Method("race", "{ranker}, race", _race(_with_complement), line="-.", **_RACES),
        Method("asha", f"{_FIRST}ASHA", _ranked(_asha), line=":", **_FREE, **_FIXED),
        Method("bohb", f"{_FIRST}BOHB", _ranked_bohb, line=":", **_LEARNS),
    )
}
