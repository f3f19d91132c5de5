"""The predictors that ship, HyperSTAR+ and the paper's networks: training them and ranking configurations."""

from hyperstar_tune.predictor.network_predictor import NetworkPredictor
from hyperstar_tune.predictor.plus_predictor import PlusPredictor, train_plus
from hyperstar_tune.predictor.predictor import Predictor
from hyperstar_tune.predictor.training import EpochReport, TrainingSettings, meta_train
from hyperstar_tune.shipped import predictor_names

__all__ = [
    "EpochReport",
    "NetworkPredictor",
    "PlusPredictor",
    "Predictor",
    "TrainingSettings",
    "meta_train",
    "predictor_names",
    "train_plus",
]
