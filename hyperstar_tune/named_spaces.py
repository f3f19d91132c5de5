"""The search spaces of the protocol, by name: small grids, and one space of the knobs that people really turn.

The grids list a few values per parameter. ``cnn-from-scratch`` is the space of a small network whose shape is searched.
``efficientnet-lite0`` has continuous parameters, and conditions where one parameter means nothing without another. A
table cannot measure all of it. So it comes with a list of 128 configurations, the first points of a Sobol sequence,
which are the same for every task.

Source: docs/protocol.md (Spaces); Sobol, "On the distribution of points in a cube", 1967.
"""

from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace, InCondition
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

__all__ = ["GRIDS", "cnn_space", "sobol_configs", "tuning_space"]

_COMPACT: dict[str, list[Any]] = {
    "lr": [1e-4, 1e-3, 1e-2, 1e-1],
    "optimizer": ["sgd", "adamw", "rmsprop"],
    "layers": ["head", "last_stage", "all"],
    "augmentation": ["none", "basic", "strong"],
}
GRIDS: dict[str, dict[str, list[Any]]] = {
    "mobilenet-v2": _COMPACT,
    "shufflenet-v2-x1": _COMPACT,
    "se-resnext-50": {
        "lr": [1e-4, 1e-3, 1e-2, 3e-2, 1e-1],
        "optimizer": ["sgd", "adamw"],
        "layers": ["last_stage", "all"],
        "augmentation": ["basic", "strong"],
    },
}
_DIGITS = 3  # significant digits of a number, so that a configuration is the same on every machine


def tuning_space() -> ConfigurationSpace:
    """The space of protocol 2, named ``efficientnet-lite0``.

    Layers are drawn with weights, since a frozen network has little to tune: about one configuration in eight trains
    the head alone. The optimizer is AdamW throughout: SGD needs rates ten times larger, so that half of a range of
    learning rates that both share would be wasted on either.
    """
    space = ConfigurationSpace(name="efficientnet-lite0")
    layers = CategoricalHyperparameter("layers", ["head", "last_stage", "all"], weights=[0.12, 0.44, 0.44])
    body_only = [
        CategoricalHyperparameter("batch_norm", ["frozen", "train"]),
        UniformFloatHyperparameter("head_lr_multiplier", 1.0, 20.0, log=True),
        UniformFloatHyperparameter("layer_decay", 0.7, 1.0),
    ]
    space.add(
        layers,
        Constant("optimizer", "adamw"),
        UniformFloatHyperparameter("lr", 1e-4, 3e-3, log=True),
        UniformFloatHyperparameter("weight_decay", 1e-4, 0.3, log=True),
        OrdinalHyperparameter("batch_size", [8, 16, 32]),
        OrdinalHyperparameter("image_size", [64, 96, 128]),
        CategoricalHyperparameter("augmentation", ["none", "basic", "strong"], weights=[0.2, 0.5, 0.3]),
        OrdinalHyperparameter("label_smoothing", [0.0, 0.1]),
        OrdinalHyperparameter("mixup", [0.0, 0.2]),
        OrdinalHyperparameter("dropout", [0.0, 0.3]),
        *body_only,
    )
    space.add(*(InCondition(child, layers, ["last_stage", "all"]) for child in body_only))
    return space


def cnn_space() -> ConfigurationSpace:
    """The space of the network ``cnn-from-scratch``, under the same name; what a layer has is searched if it is there.

    Source of the parameters: Hinz et al. (2018); the ranges are ours.
    """
    space = ConfigurationSpace(name="cnn-from-scratch")
    n_conv, n_fc = OrdinalHyperparameter("n_conv", [1, 2, 3, 4]), OrdinalHyperparameter("n_fc", [1, 2, 3])
    space.add(
        n_conv,
        n_fc,
        UniformFloatHyperparameter("lr", 1e-4, 0.3, log=True),
        OrdinalHyperparameter("batch_size", [16, 32, 64, 128]),
        UniformFloatHyperparameter("l1", 1e-7, 1e-3, log=True),
        UniformFloatHyperparameter("l2", 1e-7, 1e-2, log=True),
    )
    for number in n_conv.sequence:
        filters = UniformIntegerHyperparameter(f"filters_{number}", 8, 64, log=True)
        size = OrdinalHyperparameter(f"filter_size_{number}", [3, 5, 7])
        _add_where(space, (filters, size), n_conv, number)
    for number in n_fc.sequence:
        _add_where(space, (UniformIntegerHyperparameter(f"units_{number}", 16, 256, log=True),), n_fc, number)
    return space


def _add_where(
    space: ConfigurationSpace, parameters: tuple[Any, ...], count: OrdinalHyperparameter, least: int
) -> None:
    """Adds parameters that mean something where a count is at least a number."""
    space.add(*parameters)
    if least > count.sequence[0]:
        enough = [value for value in count.sequence if value >= least]
        space.add(*(InCondition(parameter, count, enough) for parameter in parameters))


def sobol_configs(space: ConfigurationSpace, n: int) -> list[dict[str, Any]]:
    """The first ``n`` points of the Sobol sequence in a space, with a value for every parameter.

    Args:
        space: Categorical, ordinal, float and constant parameters.
        n: A power of two, so that every value of a parameter gets its share.

    Returns:
        n configurations; parameters in the order of the space, numbers rounded to three significant digits.
    """
    from scipy.stats import qmc  # slow to import, and only needed to list the space

    names = [name for name in space if not isinstance(space[name], Constant)]
    points = qmc.Sobol(len(names), scramble=False).random(n) + 0.5 / n  # [n, d], in the middle of their cells
    shares = [dict(zip(names, point, strict=True)) for point in points]
    return [{name: _value(space[name], point.get(name, 0.0)) for name in space} for point in shares]


def _value(hp: Any, share: float) -> Any:
    """The value below which a share of the parameter's distribution lies."""
    if isinstance(hp, Constant):
        return hp.value
    if isinstance(hp, CategoricalHyperparameter):
        return hp.choices[int(np.searchsorted(np.cumsum(hp.probabilities), share, side="right"))]
    if isinstance(hp, OrdinalHyperparameter):
        return hp.sequence[int(share * len(hp.sequence))]
    value = hp.lower * (hp.upper / hp.lower) ** share if hp.log else hp.lower + share * (hp.upper - hp.lower)
    return float(f"{value:.{_DIGITS}g}")
