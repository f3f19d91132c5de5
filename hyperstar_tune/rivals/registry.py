"""All rankers that tables compare, by name: those of the paper, later rivals, and what each needs."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.plus import PlusAverageRanker, PlusRanker, PlusSettings
from hyperstar_tune.predictor.training import TrainingSettings
from hyperstar_tune.rivals.counts import Ranker, make_ranker, ranker_names
from hyperstar_tune.rivals.deep_kernel import DeepKernelRanker
from hyperstar_tune.rivals.networks import NEURAL_RANKERS, FeatureStore, make_neural_ranker
from hyperstar_tune.rivals.pairwise import PairwiseRanker
from hyperstar_tune.rivals.portfolio import PortfolioRanker
from hyperstar_tune.rivals.tr_automl import TrAutoMLRanker
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["RankerKind", "Supplies", "all_ranker_names", "ranker_kind"]


@dataclass(frozen=True)
class Supplies:
    """What rankers may be made from."""

    table: MetaDataset  # with the tasks to be ranked: Tr-AutoML pays for some of their accuracies
    store: FeatureStore | None = None  # for rankers that look at images
    settings: TrainingSettings | None = None  # of those that are meta-trained
    traits: pd.DataFrame | None = None  # of tasks, by name: HyperSTAR+ needs these or the images


@dataclass(frozen=True)
class RankerKind:
    """A ranker by name."""

    name: str
    make: Callable[[Supplies, int], Ranker]  # (supplies, seed)
    is_random: bool = True  # depends on its seed
    lacks: Callable[[Supplies], str] = lambda supplies: ""  # what it cannot do without
    depends_on: Callable[[Supplies], dict[str, Any]] = lambda supplies: {}  # besides the table, as plain values


def _basic(name: str) -> RankerKind:
    return RankerKind(
        name, lambda supplies, seed: make_ranker(name, seed), is_random=name in ("random", "random_forest")
    )


def _neural(name: str) -> RankerKind:
    def make(supplies: Supplies, seed: int) -> Any:
        return make_neural_ranker(name, supplies.store, supplies.settings, seed)

    def lacks(supplies: Supplies) -> str:
        return "" if name == "meta_data" or supplies.store is not None else "the images of the tasks"

    def depends_on(supplies: Supplies) -> dict[str, Any]:
        return _training(supplies) | ({"train_backbone": "all"} if name == "end_to_end" else {})

    return RankerKind(name, make, lacks=lacks, depends_on=depends_on)


def _training(supplies: Supplies) -> dict[str, Any]:
    return asdict(supplies.settings or TrainingSettings())


def _plus() -> RankerKind:
    def depends_on(supplies: Supplies) -> dict[str, Any]:
        settings = PlusSettings()
        if supplies.traits is None:
            return asdict(settings)
        names = [name for name in supplies.table.tasks["name"] if name in supplies.traits.index]
        values = supplies.traits.loc[names, list(settings.traits)].to_numpy(dtype=np.float64)
        return asdict(settings) | {"traits_of_tasks": hashlib.sha256(values.tobytes()).hexdigest()[:12]}

    return RankerKind(
        PlusRanker.name,
        lambda supplies, seed: PlusRanker(supplies.store, traits=supplies.traits),
        is_random=False,
        lacks=lambda s: (
            "" if s.store is not None or s.traits is not None else "the traits of the tasks, or their images"
        ),
        depends_on=depends_on,
    )


_KINDS = {
    kind.name: kind
    for kind in (
        *(_basic(name) for name in ranker_names()),
        RankerKind(PortfolioRanker.name, lambda supplies, seed: PortfolioRanker(), is_random=False),
        RankerKind(TrAutoMLRanker.name, lambda supplies, seed: TrAutoMLRanker(supplies.table, seed)),
        RankerKind(
            PlusAverageRanker.name,
            lambda supplies, seed: PlusAverageRanker(),
            is_random=False,
            depends_on=lambda supplies: asdict(PlusSettings()),
        ),
        _plus(),
        RankerKind(DeepKernelRanker.name, lambda supplies, seed: DeepKernelRanker(seed)),
        RankerKind(
            "zap_pairwise", lambda supplies, seed: PairwiseRanker(supplies.settings, seed), depends_on=_training
        ),
        *(_neural(name) for name in NEURAL_RANKERS),
    )
}


def all_ranker_names() -> tuple[str, ...]:
    """Names that ``ranker_kind`` knows, cheap ones first."""
    return tuple(_KINDS)


def ranker_kind(name: str) -> RankerKind:
    """A ranker by name.

    Raises:
        PredictorError: If there is none of this name.
    """
    if name not in _KINDS:
        raise PredictorError(f"a ranker is one of {', '.join(_KINDS)}, but got {name!r}")
    return _KINDS[name]
