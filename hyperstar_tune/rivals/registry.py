"""The registry of rankers. Each has one row: its name, label, colour, the class that makes it, and what it needs.

Reading the rows is cheap: the libraries behind a ranker are imported when one is made.
"""

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

import pandas as pd

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.tables.metadataset import MetaDataset

if TYPE_CHECKING:
    from hyperstar_tune.predictor.training import TrainingSettings
    from hyperstar_tune.rivals.base import Ranker
    from hyperstar_tune.rivals.features import FeatureStore

__all__ = ["STEADY", "RankerKind", "Supplies", "ranker_kind", "ranker_names"]

STEADY = "_steady"  # suffix of a ranker's name: the same learning from steady accuracies, as HyperSTAR+ does


@dataclass(frozen=True)
class Supplies:
    """Everything that rankers may be made from."""

    table: MetaDataset  # with the tasks to be ranked: Tr-AutoML pays for some of their accuracies
    store: "FeatureStore | None" = None  # for rankers that look at images
    settings: "TrainingSettings | None" = None  # for rankers that are meta-trained
    traits: pd.DataFrame | None = None  # one row per task, by its name: HyperSTAR+ needs these or the images


@dataclass(frozen=True)
class RankerKind:
    """One row of the registry."""

    name: str
    label: str  # in figures and tables
    color: str  # in figures, as matplotlib reads it
    made_by: str  # "module:class" of this room
    takes: tuple[str, ...] = ()  # arguments of the class
    is_steady: bool = False  # learns from steady accuracies in place of the last ones

    @property
    def plain_name(self) -> str:
        """The name without the suffix ``STEADY``."""
        return self.name.removesuffix(STEADY)

    @property
    def is_random(self) -> bool:
        """Whether it depends on its seed."""
        return "seed" in self.takes

    def lacks(self, supplies: Supplies) -> str:
        """What it cannot do without and is not supplied, in words; empty if nothing."""
        if supplies.store is not None or not {"store", "images"} & set(self.takes):
            return ""
        if "traits" in self.takes:
            return "" if supplies.traits is not None else "the traits of the tasks, or their images"
        return "the images of the tasks"

    def make(self, supplies: Supplies, seed: int = 0) -> "Ranker":
        """A fresh ranker, not fitted.

        Raises:
            PredictorError: If it lacks something.
        """
        if self.lacks(supplies):
            raise PredictorError(f"ranker {self.name!r} needs {self.lacks(supplies)}; supply them")
        available = {
            **{
                "name": self.plain_name,
                "seed": seed,
                "trained": supplies.table,
                "traits": supplies.traits,
            },
            **{"store": supplies.store, "images": supplies.store and supplies.store.images},
            "settings": supplies.settings,
        }
        module, _, name = self.made_by.partition(":")
        ranker: Ranker = getattr(import_module(f"hyperstar_tune.rivals.{module}"), name)(
            **{argument: available[argument] for argument in self.takes}
        )
        if not self.is_steady:
            return ranker
        steady: Ranker = import_module("hyperstar_tune.rivals.steady").SteadyRanker(self.name, ranker)
        return steady


_SEED, _COUNTS, _IMAGES = ("seed",), ("settings", "seed"), ("store", "settings", "seed")
_BATCHWISE = ("networks:BatchwiseRanker", ("name", *_IMAGES))
_KINDS = {
    kind.name: kind
    for kind in (  # cheap ones first
        RankerKind("random", "random", "0.6", "averages:RandomRanker", _SEED),
        RankerKind("average_top1", "average Top-1 (task-agnostic)", "#9467bd", "averages:AverageTop1Ranker"),
        RankerKind("average_normalized", "average normalized score", "#c5b0d5", "averages:AverageNormalizedRanker"),
        RankerKind("random_forest", "random forest (Feurer 2015a)", "#aec7e8", "counts:ForestRanker", _SEED),
        RankerKind("nearest_task", "nearest task (Feurer 2015b)", "#ffbb78", "counts:NearestTaskRanker"),
        RankerKind("portfolio", "zero-shot portfolio", "#c49c94", "averages:PortfolioRanker"),
        RankerKind("tr_automl", "Tr-AutoML", "#f7b6d2", "tr_automl:TrAutoMLRanker", ("trained", "seed")),
        RankerKind("plus_average", "HyperSTAR+ without images", "#98df8a", "plus:PlusAverageRanker"),
        RankerKind("hyperstar_plus", "HyperSTAR+", "#d62728", "plus:PlusRanker", ("images", "traits")),
        RankerKind(
            "deep_kernel", "deep-kernel GP (Quick-Tune's manner)", "#17becf", "deep_kernel:DeepKernelRanker", _SEED
        ),
        RankerKind("zap_pairwise", "meta-data, pairwise loss (ZAP)", "#bcbd22", "points:PairwiseRanker", _COUNTS),
        RankerKind("meta_data", "meta-data", "#7f7f7f", "points:PointRanker", _COUNTS),
        RankerKind("global_mean", "global mean", "#e377c2", "points:GlobalMeanRanker", _IMAGES),
        RankerKind("bm", "batchwise mean", "#d62728", *_BATCHWISE),
        RankerKind("bm_gan", "batchwise mean, adversarial", "#ff9896", *_BATCHWISE),
        RankerKind("bm_similarity", "batchwise mean, similarity", "#8c564b", *_BATCHWISE),
        RankerKind("bm_both", "HyperSTAR (Eq. 4, frozen backbone)", "#2ca02c", *_BATCHWISE),
        RankerKind("end_to_end", "HyperSTAR (Eq. 4, end to end)", "#ff7f0e", *_BATCHWISE),
    )
}


_OWN_TARGETS = ("random", "tr_automl", "plus_average", "hyperstar_plus")  # these have no steady form


def ranker_names() -> tuple[str, ...]:
    """Names that ``ranker_kind`` knows, cheap ones first; not those with the suffix ``STEADY``."""
    return tuple(_KINDS)


def ranker_kind(name: str) -> RankerKind:
    """A ranker by name, which may have the suffix ``STEADY``.

    Raises:
        PredictorError: If there is none of this name.
    """
    plain = name.removesuffix(STEADY)
    if plain not in _KINDS or (plain != name and plain in _OWN_TARGETS):
        raise PredictorError(
            f"a ranker is one of {', '.join(_KINDS)}, or one of these and {STEADY} (but for "
            f"{', '.join(_OWN_TARGETS)}), but got {name!r}"
        )
    kind = _KINDS[plain]
    return kind if plain == name else replace(kind, name=name, label=f"{kind.label}, steady targets", is_steady=True)
