"""The predictors that ship, HyperSTAR+ and the paper's networks: training them and ranking configurations.

The public names are imported from their files when they are first used: a ranking needs few of them, and is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperstar_tune.predictor.any_space_predictor import AnySpacePredictor, train_any_space
    from hyperstar_tune.predictor.joined import extend_plus
    from hyperstar_tune.predictor.network_predictor import NetworkPredictor
    from hyperstar_tune.predictor.plus_predictor import PlusPredictor, train_plus
    from hyperstar_tune.predictor.predictor import Predictor
    from hyperstar_tune.predictor.training import EpochReport, TrainingSettings, meta_train
    from hyperstar_tune.shipped import predictor_names

__all__ = [
    "AnySpacePredictor",
    "EpochReport",
    "NetworkPredictor",
    "PlusPredictor",
    "Predictor",
    "TrainingSettings",
    "extend_plus",
    "meta_train",
    "predictor_names",
    "train_any_space",
    "train_plus",
]

_FILES = {
    "AnySpacePredictor": "predictor.any_space_predictor",
    "EpochReport": "predictor.training",
    "NetworkPredictor": "predictor.network_predictor",
    "PlusPredictor": "predictor.plus_predictor",
    "Predictor": "predictor.predictor",
    "TrainingSettings": "predictor.training",
    "extend_plus": "predictor.joined",
    "meta_train": "predictor.training",
    "predictor_names": "shipped",
    "train_any_space": "predictor.any_space_predictor",
    "train_plus": "predictor.plus_predictor",
}


def __getattr__(name: str) -> Any:
    if name in _FILES:
        return getattr(import_module(f"hyperstar_tune.{_FILES[name]}"), name)
    raise AttributeError(f"module 'hyperstar_tune.predictor' has no attribute {name!r}")
