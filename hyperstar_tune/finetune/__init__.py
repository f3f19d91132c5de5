"""Fine-tuning pretrained image networks: as a trainable of Ray Tune, on its own, and for measuring learning curves."""

from hyperstar_tune.finetune.collect import collect
from hyperstar_tune.finetune.estimate import estimate_collection
from hyperstar_tune.finetune.from_scratch import SHAPE, ConvolutionalNetwork
from hyperstar_tune.finetune.knobs import KNOBS
from hyperstar_tune.finetune.loop import FineTune
from hyperstar_tune.finetune.models import build_model
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.finetune.trainable import FineTuneTrainable, trainable
from hyperstar_tune.shipped import OWN_MODEL

__all__ = [
    "KNOBS",
    "OWN_MODEL",
    "SHAPE",
    "ConvolutionalNetwork",
    "FineTune",
    "FineTuneSettings",
    "FineTuneTrainable",
    "build_model",
    "collect",
    "estimate_collection",
    "trainable",
]
