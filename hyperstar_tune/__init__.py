"""HyperSTAR on Ray Tune: hyperparameter search that looks at your images first, for fine-tuning vision networks.

The public names are imported from the rooms below when they are first used, so that importing the package loads
neither Ray nor torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hyperstar_tune.log import show_messages

if TYPE_CHECKING:
    from hyperstar_tune import finetune
    from hyperstar_tune.errors import HyperStarError
    from hyperstar_tune.finetune.finished import FinishedModel, load_best
    from hyperstar_tune.plan import HyperBandPlan
    from hyperstar_tune.predictor import Predictor
    from hyperstar_tune.race import RacePlan
    from hyperstar_tune.ranking import Ranking
    from hyperstar_tune.search import HyperStarSearcher, IncreasingImageSizes, PlanScheduler, RandomSearcher
    from hyperstar_tune.space import SearchSpace
    from hyperstar_tune.tables import MetaDataset
    from hyperstar_tune.tasks import ImageTask

__version__ = "0.1.0"

__all__ = [
    "FinishedModel",
    "HyperBandPlan",
    "HyperStarError",
    "HyperStarSearcher",
    "ImageTask",
    "IncreasingImageSizes",
    "MetaDataset",
    "PlanScheduler",
    "Predictor",
    "RacePlan",
    "RandomSearcher",
    "Ranking",
    "SearchSpace",
    "finetune",
    "load_best",
]

_ROOMS = {
    "FinishedModel": "finetune.finished",
    "HyperBandPlan": "plan",
    "HyperStarError": "errors",
    "HyperStarSearcher": "search",
    "ImageTask": "tasks",
    "IncreasingImageSizes": "search",
    "MetaDataset": "tables",
    "PlanScheduler": "search",
    "Predictor": "predictor",
    "RacePlan": "race",
    "RandomSearcher": "search",
    "Ranking": "ranking",
    "SearchSpace": "space",
    "load_best": "finetune.finished",
}

show_messages()


def __getattr__(name: str) -> Any:
    if name == "finetune":
        return import_module("hyperstar_tune.finetune")
    if name in _ROOMS:
        return getattr(import_module(f"hyperstar_tune.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'hyperstar_tune' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
