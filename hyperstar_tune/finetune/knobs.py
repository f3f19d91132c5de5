"""The knobs of fine-tuning: every parameter that a configuration may have, with its default, range and meaning.

A configuration may leave out any of them. Some knobs mean nothing in some configurations, such as the momentum of an
optimizer that has none. There the knob is left out, has its default, or is None. Any other value is an error, because
two configurations that differ only in it would be the same run.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.finetune.augmentation import POLICIES
from hyperstar_tune.finetune.layers import GROUPS
from hyperstar_tune.finetune.schedule import SCHEDULES

__all__ = ["KNOBS", "Knob", "check_config", "optimizer_names"]


@cache
def optimizer_names() -> tuple[str, ...]:
    """Names of all optimizers: timm's, except those that need another package, a compiler or second derivatives."""
    from timm.optim import list_optimizers

    return tuple(str(name) for name in list_optimizers(exclude_filters=["bnb*", "fused*", "kron*", "adahessian"]))


def _has_momentum(config: Mapping[str, Any]) -> bool:
    from timm.optim import get_optimizer_info

    return bool(get_optimizer_info(config["optimizer"]).has_momentum)


def _trains_more_than_the_head(config: Mapping[str, Any]) -> bool:
    return bool(config["layers"] != "head")


@dataclass(frozen=True)
class Knob:
    """One parameter of a configuration: a choice of texts, or a number in an interval."""

    name: str
    default: Any  # None: what ``meaning`` says
    meaning: str
    choices: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    within: str = ""  # interval of a number, e.g. "[0, 1)"
    whole: bool = False  # only whole numbers
    condition: str = ""  # in words: where the knob means something; "" everywhere
    applies: Callable[[Mapping[str, Any]], bool] | None = None  # the same of a configuration

    def check(self, value: Any) -> Any:
        """The value as plain Python.

        Raises:
            SpaceError: If the knob cannot have this value.
        """
        if value is None and (self.default is None or self.applies is not None):
            return self.default
        if self.choices:
            names = self.choices if isinstance(self.choices, tuple) else self.choices()
            if not isinstance(value, str) or value not in names:
                more = "" if isinstance(self.choices, tuple) else " or another name of timm.optim.list_optimizers()"
                shown = names if isinstance(self.choices, tuple) else ("sgd", "adamw", "rmsprop")
                raise SpaceError(f"{self.name} is one of {', '.join(shown)}{more}, but got {value!r}")
            return str(value)
        kinds = (int, np.integer) if self.whole else (int, float, np.integer, np.floating)
        low, high = (float(end) for end in self.within[1:-1].split(","))
        if isinstance(value, bool) or not isinstance(value, kinds) or not self._holds(float(value), low, high):
            kind = "a whole number" if self.whole else "a number"
            raise SpaceError(f"{self.name} must be {kind} in {self.within}, but got {value!r}")
        return int(value) if self.whole else float(value)

    def _holds(self, value: float, low: float, high: float) -> bool:
        if not math.isfinite(value):
            return False
        above = value >= low if self.within[0] == "[" else value > low
        return above and (value <= high if self.within[-1] == "]" else value < high)


KNOBS = {
    knob.name: knob
    for knob in (
        Knob("lr", 1e-2, "Learning rate after the warm-up.", within="(0, inf)"),
        Knob(
            "optimizer",
            "sgd",
            "Optimizer: sgd (Nesterov momentum), adamw, rmsprop, or any other of timm's by its name, such as lamb.",
            choices=optimizer_names,
        ),
        Knob("layers", "all", "Layers that are trained; the others keep their pretrained weights.", choices=GROUPS),
        Knob("augmentation", "basic", "How training images are varied (see augmentation.py).", choices=POLICIES),
        Knob(
            "weight_decay",
            None,
            "Weight decay of all trained parameters, norms and biases included. None: 1e-4 for sgd, 1e-2 for adamw, "
            "1e-5 for rmsprop, the default of its class for any other optimizer.",
            within="[0, inf)",
        ),
        Knob(
            "momentum",
            0.9,
            "Momentum of the optimizer; without it, sgd is plain.",
            within="[0, 1)",
            condition="optimizers that have momentum, such as sgd and rmsprop",
            applies=_has_momentum,
        ),
        Knob("batch_size", None, "Images of one step. None: that of the settings.", within="[2, inf)", whole=True),
        Knob("label_smoothing", 0.0, "Share of every training label that is spread over all classes.", within="[0, 1)"),
        Knob("dropout", 0.0, "Probability that a feature is zeroed before it enters the head.", within="[0, 1)"),
        Knob(
            "mixup",
            0.0,
            "Alpha of mixup: a batch is mixed with its reverse in shares drawn from Beta(alpha, alpha); 0: off. Mixed "
            "is what enters the trained layers: images with all layers, else features.",
            within="[0, inf)",
        ),
        Knob(
            "head_lr_multiplier",
            1.0,
            "Factor of the head's learning rate.",
            within="(0, inf)",
            condition="layers other than head",
            applies=_trains_more_than_the_head,
        ),
        Knob(
            "layer_decay",
            1.0,
            "Factor of the learning rate for every layer (block) away from the head.",
            within="(0, 1]",
            condition="layers other than head",
            applies=_trains_more_than_the_head,
        ),
        Knob(
            "class_weights",
            "none",
            "Weights of the classes in the training loss; balanced: inverse to their numbers of training images.",
            choices=("none", "balanced"),
        ),
        Knob("grad_clip", 0.0, "Norm to which a larger gradient is scaled down; 0: off.", within="[0, inf)"),
        Knob("schedule", None, "Course of the learning rate. None: that of the settings.", choices=SCHEDULES),
        Knob(
            "image_size", None, "Side of images in pixels. None: that of the settings.", within="[8, inf)", whole=True
        ),
    )
}


def check_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with all knobs, in plain Python values; a knob that it leaves out has its default.

    Raises:
        SpaceError: If a parameter is unknown, has a value that makes no sense, or means nothing in this configuration.
    """
    unknown = next((name for name in config if name not in KNOBS), None)
    if unknown is not None:
        raise SpaceError(f"fine-tuning knows the parameters {', '.join(KNOBS)}, but got {unknown!r}")
    full = {name: knob.check(config[name]) if name in config else knob.default for name, knob in KNOBS.items()}
    for name, knob in KNOBS.items():
        if knob.applies is not None and full[name] != knob.default and not knob.applies(full):
            raise SpaceError(f"{name} is only for {knob.condition}, but got {full[name]!r} elsewhere; leave it out")
    return full
