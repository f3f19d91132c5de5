"""Fine-tuning pretrained image networks: as a trainable of Ray Tune, on its own, and for measuring learning curves."""

from hyperstar_tune.finetune.collect import CollectionSummary, collect
from hyperstar_tune.finetune.knobs import KNOBS, Knob
from hyperstar_tune.finetune.layers import find_groups
from hyperstar_tune.finetune.loop import FineTune
from hyperstar_tune.finetune.models import build_model, normalization
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.finetune.trainable import FineTuneTrainable, trainable
from hyperstar_tune.shipped import OWN_MODEL

__all__ = [
    "KNOBS",
    "OWN_MODEL",
    "CollectionSummary",
    "FineTune",
    "FineTuneSettings",
    "FineTuneTrainable",
    "Knob",
    "build_model",
    "collect",
    "find_groups",
    "normalization",
    "trainable",
]
