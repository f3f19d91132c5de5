"""Makes optimizers by name with timm's factory. Groups of parameters carry the factor of their learning rate.

Weight decay holds for all parameters: groups differ only in their learning rate.
"""

import inspect
from typing import Any

import torch
from timm.optim import create_optimizer_v2, get_optimizer_class, get_optimizer_info

__all__ = ["make_optimizer"]

_WEIGHT_DECAY = {"sgd": 1e-4, "adamw": 1e-2, "rmsprop": 1e-5}


def make_optimizer(groups: list[dict[str, Any]], config: dict[str, Any]) -> torch.optim.Optimizer:
    """The optimizer of a configuration (as ``check_config`` gives it) for groups with ``params`` and ``lr_scale``."""
    name, weight_decay = config["optimizer"], config["weight_decay"]
    if weight_decay is None:
        arguments = inspect.signature(get_optimizer_class(name, bind_defaults=False)).parameters
        weight_decay = _WEIGHT_DECAY.get(name, arguments["weight_decay"].default)
    is_nesterov = (get_optimizer_info(name).defaults or {}).get("nesterov")
    # Nesterov's rule needs a momentum.
    plain: dict[str, Any] = {"nesterov": False} if is_nesterov and not config["momentum"] else {}
    foreach = True if name in _WEIGHT_DECAY else None  # others may not know the argument
    return create_optimizer_v2(
        groups, name, config["lr"], weight_decay, momentum=config["momentum"], foreach=foreach, **plain
    )
