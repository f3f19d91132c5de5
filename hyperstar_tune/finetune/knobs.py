"""The knobs of fine-tuning: every parameter that a configuration may have, with its default, range and meaning.

A configuration may leave out any of them. Some knobs mean nothing in some configurations, such as the momentum of an
optimizer that has none. There the knob is left out, has its default, or is None. Any other value is an error, because
two configurations that differ only in it would be the same run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from numbers import Integral, Real
from typing import Any

from pandas import Interval
from timm.optim import get_optimizer_info, list_optimizers

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.finetune.augmentation import POLICIES
from hyperstar_tune.finetune.layers import GROUPS
from hyperstar_tune.finetune.schedule import SCHEDULES

__all__ = ["KNOBS", "OPTIMIZERS", "Knob", "check_config"]

# timm's, except those that need another package, a compiler or second derivatives.
OPTIMIZERS = tuple(map(str, list_optimizers(exclude_filters=["bnb*", "fused*", "kron*", "adahessian"])))
_POSITIVE, _NOT_NEGATIVE = Interval(0, inf, closed="neither"), Interval(0, inf, closed="left")
_FROM_2, _FROM_8 = Interval(2, inf, closed="left"), Interval(8, inf, closed="left")
_SHARE = Interval(0, 1, closed="left")
_MOMENTUM: dict[str, Any] = {
    "condition": "optimizers that have momentum, such as sgd and rmsprop",
    "applies": lambda config: bool(get_optimizer_info(config["optimizer"]).has_momentum),
}
_BODY: dict[str, Any] = {"condition": "layers other than head", "applies": lambda config: config["layers"] != "head"}


@dataclass(frozen=True)
class Knob:
    """One parameter of a configuration: a choice of texts, or a number in an interval."""

    name: str
    default: Any  # None: what ``meaning`` says
    meaning: str
    choices: tuple[str, ...] = ()
    within: Any = None  # interval of a number
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
            if not isinstance(value, str) or value not in self.choices:
                shown = ", ".join(self.choices)
                if self.choices is OPTIMIZERS:
                    shown = "sgd, adamw, rmsprop or another name of timm.optim.list_optimizers()"
                raise SpaceError(f"{self.name} is one of {shown}, but got {value!r}")
            return str(value)
        is_number = isinstance(value, Integral if self.whole else Real) and not isinstance(value, bool)
        if not is_number or float(value) not in self.within:
            kind = "a whole number" if self.whole else "a number"
            raise SpaceError(f"{self.name} must be {kind} in {self.within}, but got {value!r}")
        return int(value) if self.whole else float(value)


KNOBS = {
    knob.name: knob
    for knob in (
        Knob("lr", 1e-2, "Learning rate after the warm-up.", within=_POSITIVE),
        Knob(
            "optimizer",
            "sgd",
            "Optimizer: sgd (Nesterov momentum), adamw, rmsprop, or any other of timm's by its name, such as lamb.",
            choices=OPTIMIZERS,
        ),
        Knob("layers", "all", "Layers that are trained; the others keep their pretrained weights.", choices=GROUPS),
        Knob("augmentation", "basic", "How training images are varied (see augmentation.py).", choices=POLICIES),
        Knob(
            "weight_decay",
            None,
            "Weight decay of all trained parameters, norms and biases included. None: 1e-4 for sgd, 1e-2 for adamw, "
            "1e-5 for rmsprop, the default of its class for any other optimizer.",
            within=_NOT_NEGATIVE,
        ),
        Knob("momentum", 0.9, "Momentum of the optimizer; without it, sgd is plain.", within=_SHARE, **_MOMENTUM),
        Knob("batch_size", None, "Images of one step. None: that of the settings.", within=_FROM_2, whole=True),
        Knob("label_smoothing", 0.0, "Share of every training label that is spread over all classes.", within=_SHARE),
        Knob("dropout", 0.0, "Probability that a feature is zeroed before it enters the head.", within=_SHARE),
        Knob(
            "mixup",
            0.0,
            "Alpha of mixup: a batch is mixed with its reverse in shares drawn from Beta(alpha, alpha); 0: off. Mixed "
            "is what enters the trained layers: images with all layers, else features.",
            within=_NOT_NEGATIVE,
        ),
        Knob("head_lr_multiplier", 1.0, "Factor of the head's learning rate.", within=_POSITIVE, **_BODY),
        Knob(
            "layer_decay",
            1.0,
            "Factor of the learning rate for every layer (block) away from the head.",
            within=Interval(0, 1, closed="right"),
            **_BODY,
        ),
        Knob(
            "class_weights",
            "none",
            "Weights of the classes in the training loss; balanced: inverse to their numbers of training images.",
            choices=("none", "balanced"),
        ),
        Knob(
            "batch_norm",
            "train",
            "Mean and variance of batch normalization in trained layers: of each batch (train), or the pretrained ones "
            "(frozen), which a batch of few or small images would blur. Its scale and shift are trained either way.",
            choices=("train", "frozen"),
            **_BODY,
        ),
        Knob("l1", 0.0, "Factor of the sum of absolute trained weights in the training loss.", within=_NOT_NEGATIVE),
        Knob("l2", 0.0, "Factor of the sum of squared trained weights in the training loss.", within=_NOT_NEGATIVE),
        Knob("grad_clip", 0.0, "Norm to which a larger gradient is scaled down; 0: off.", within=_NOT_NEGATIVE),
        Knob("schedule", None, "Course of the learning rate. None: that of the settings.", choices=SCHEDULES),
        Knob("image_size", None, "Side of images in pixels. None: that of the settings.", within=_FROM_8, whole=True),
    )
}


def check_config(config: Mapping[str, Any], shape: Mapping[str, Knob] | None = None) -> dict[str, Any]:
    """The configuration with all knobs, in plain Python values; a knob that it leaves out has its default.

    Args:
        config: Values of knobs.
        shape: Further knobs, those that say the shape of the network.

    Raises:
        SpaceError: If a parameter is unknown, has a value that makes no sense, or means nothing in this configuration.
    """
    knobs = {**KNOBS, **(shape or {})}
    unknown = next((name for name in config if name not in knobs), None)
    if unknown is not None:
        raise SpaceError(f"fine-tuning knows the parameters {', '.join(knobs)}, but got {unknown!r}")
    full = {name: knob.check(config[name]) if name in config else knob.default for name, knob in knobs.items()}
    for name, knob in knobs.items():
        if knob.applies is not None and full[name] != knob.default and not knob.applies(full):
            raise SpaceError(f"{name} is only for {knob.condition}, but got {full[name]!r} elsewhere; leave it out")
    return full
