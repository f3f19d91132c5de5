"""Methods by name: each gives a fresh searcher and scheduler, the same for a replay and for a live run.

A method without a ranking has a plain name (``hyperband``, ``bohb``). One that follows a ranking is called
``RANKER+USE``: ``average_top1+hyperband``, ``bm_both+alone``.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, HyperBandScheduler, TrialScheduler
from ray.tune.search import Searcher

from hyperstar_tune.errors import SearchError
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.bohb import BohbSearcher
from hyperstar_tune.rivals.rush import RushScheduler, WarmStartSearcher, best_of_each_task
from hyperstar_tune.rivals.tpe import TpeSearcher
from hyperstar_tune.rivals.tr_automl import TrAutoMLSearcher
from hyperstar_tune.search import HyperStarSearcher, RandomSearcher, TaskAwareHyperBand
from hyperstar_tune.simulation.controller import METRIC, MODE
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["Method", "Setting", "make_method", "method_names", "use_names"]

Pair = tuple[Searcher, TrialScheduler]
_GOAL: dict[str, Any] = {"metric": METRIC, "mode": MODE}  # Ray tells searchers only if the run has a config


@dataclass(frozen=True)
class Setting:
    """What a method may know of a run."""

    space: SearchSpace
    plan: HyperBandPlan
    seed: int = 0
    ranking: Ranking | None = None  # of the method's ranker, for this task
    known: MetaDataset | None = None  # the table without the task's family


@dataclass(frozen=True)
class Method:
    """A way to spend a budget."""

    name: str
    make: Callable[[Setting], Pair]
    reports: str = "every epoch"  # which results a replay must deliver, see ``replay``
    has_plan: bool = True  # its scheduler ends the run at the budget by itself
    is_fifo: bool = False  # its scheduler never ends a trial: a live run must, at R
    ranker: str = ""  # whose ranking it needs
    needs_table: bool = False
    is_slow: bool = False  # fits a model at every suggestion
    is_random: bool = True  # depends on the seed (apart from its ranking)


def make_method(name: str) -> Method:
    """A method by name.

    Raises:
        SearchError: If there is none of this name.
    """
    ranker, plus, use = name.partition("+")
    if plus and ranker and use in _USES:
        make, fields = _USES[use]
        return Method(name, make, ranker=ranker, **fields)
    if name in _PLAIN:
        make, fields = _PLAIN[name]
        return Method(name, make, **fields)
    raise SearchError(
        f"a method is one of {', '.join(_PLAIN)} or RANKER+USE with a use of {', '.join(_USES)}, but got {name!r}"
    )


def method_names() -> tuple[str, ...]:
    """Methods that follow no ranking."""
    return tuple(_PLAIN)


def use_names() -> tuple[str, ...]:
    """What a ranking can be used for."""
    return tuple(_USES)


def _ranking(setting: Setting) -> Ranking:
    if setting.ranking is None:
        raise SearchError("this method follows a ranking, but its setting has none")
    return setting.ranking


def _known(setting: Setting) -> MetaDataset:
    if setting.known is None:
        raise SearchError("this method transfers from a table of other tasks, but its setting has none")
    return setting.known


def _reversed(plan: HyperBandPlan) -> HyperBandPlan:
    return replace(plan, longest_first=True)


def _asha(plan: HyperBandPlan) -> TrialScheduler:
    return AsyncHyperBandScheduler(max_t=plan.max_epochs, reduction_factor=plan.eta)


def _hyperband(s: Setting) -> Pair:
    return RandomSearcher(s.space, plan=s.plan, seed=s.seed), TaskAwareHyperBand(s.plan)


def _hyperband_reversed(s: Setting) -> Pair:
    plan = _reversed(s.plan)
    return RandomSearcher(s.space, plan=plan, seed=s.seed), TaskAwareHyperBand(plan)


def _ray_hyperband(s: Setting) -> Pair:
    logging.getLogger("ray.tune.schedulers.hyperband").setLevel(logging.WARNING)  # it logs every bracket it leaves out
    return RandomSearcher(s.space, seed=s.seed), HyperBandScheduler(
        max_t=s.plan.max_epochs, reduction_factor=s.plan.eta
    )


def _tr_automl(s: Setting) -> Pair:
    return TrAutoMLSearcher(_known(s), **_GOAL, seed=s.seed), FIFOScheduler()


def _rush(s: Setting) -> Pair:
    first = best_of_each_task(_known(s))
    scheduler = RushScheduler(len(first), max_t=s.plan.max_epochs, reduction_factor=s.plan.eta)
    return WarmStartSearcher(s.space, first=first, seed=s.seed), scheduler


def _follow(use: str = "top", restart: bool = False) -> Callable[[Setting], Pair]:
    def make(s: Setting) -> Pair:
        searcher = HyperStarSearcher(ranking=_ranking(s), use=use, restart=restart, plan=s.plan, seed=s.seed)
        return searcher, TaskAwareHyperBand(s.plan)

    return make


def _follow_reversed(s: Setting) -> Pair:
    plan = _reversed(s.plan)
    return HyperStarSearcher(ranking=_ranking(s), plan=plan), TaskAwareHyperBand(plan)


_LEARNS = {"reports": "levels", "is_slow": True}
_FREE = {"has_plan": False}
_FIFO = {"has_plan": False, "is_fifo": True, "reports": "end"}
_FIXED = {"reports": "targets", "is_random": False}

_PLAIN: dict[str, tuple[Callable[[Setting], Pair], dict]] = {
    "random_search": (lambda s: (RandomSearcher(s.space, seed=s.seed), FIFOScheduler()), _FIFO),
    "hyperband": (_hyperband, {"reports": "targets"}),
    "hyperband_reversed": (_hyperband_reversed, {"reports": "targets"}),
    "ray_hyperband": (_ray_hyperband, _FREE),
    "asha": (lambda s: (RandomSearcher(s.space, seed=s.seed), _asha(s.plan)), _FREE),
    "bohb": (lambda s: (BohbSearcher(s.space, **_GOAL, plan=s.plan, seed=s.seed), TaskAwareHyperBand(s.plan)), _LEARNS),
    "tpe_hyperband": (
        lambda s: (TpeSearcher(s.space, **_GOAL, plan=s.plan, seed=s.seed), TaskAwareHyperBand(s.plan)),
        _LEARNS,
    ),
    "tr_automl": (_tr_automl, {"needs_table": True, **_FIFO}),
    "rush": (_rush, {"needs_table": True, **_FREE}),
}

_USES: dict[str, tuple[Callable[[Setting], Pair], dict]] = {
    "hyperband": (_follow(), _FIXED),
    "hyperband_mixed": (_follow("mixed"), {"reports": "targets"}),
    "hyperband_sampled": (_follow("sampled"), {"reports": "targets"}),
    "hyperband_restart": (_follow(restart=True), {"reports": "levels", "is_random": False}),
    "hyperband_reversed": (_follow_reversed, _FIXED),
    "alone": (
        lambda s: (HyperStarSearcher(ranking=_ranking(s)), FIFOScheduler()),
        {"is_random": False, **_FIFO},
    ),
    "asha": (
        lambda s: (HyperStarSearcher(ranking=_ranking(s)), _asha(s.plan)),
        {"is_random": False, **_FREE},
    ),
    "bohb": (
        lambda s: (
            BohbSearcher(s.space, ranking=_ranking(s), **_GOAL, plan=s.plan, seed=s.seed),
            TaskAwareHyperBand(s.plan),
        ),
        _LEARNS,
    ),
}
