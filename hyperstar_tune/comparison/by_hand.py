"""What a person does without a tuner: one usual configuration, or a race of two of them. It stands beside every method.

Source: docs/protocol.md, "What a person does without us".
"""

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.space import Config, SearchSpace

__all__ = ["BY_HAND", "EXPERTS_RACE", "by_hand"]

_USUAL = {"optimizer": "adamw", "lr": 1e-3, "layers": "all", "augmentation": "basic", "image_size": 64}

BY_HAND: dict[str, Config] = {
    "untuned_default": _USUAL,
    "untuned_default_96px": {**_USUAL, "image_size": 96},
    "last_stage_by_hand": {**_USUAL, "layers": "last_stage"},
    "last_stage_by_hand_96px": {**_USUAL, "layers": "last_stage", "image_size": 96},
    "head_alone": {**_USUAL, "layers": "head"},
    "tutorial_sgd": {**_USUAL, "optimizer": "sgd"},
}
# Two configurations for a quarter of R each; the better one goes on to R.
EXPERTS_RACE = {
    "expert": ("untuned_default", "last_stage_by_hand"),
    "expert_96px": ("untuned_default_96px", "last_stage_by_hand_96px"),
}


def by_hand(name: str, space: SearchSpace) -> Config:
    """A configuration of ``BY_HAND`` in a space; what the space does not vary is left out.

    Raises:
        SpaceError: If the space has no such value, has a parameter that ``BY_HAND`` does not name, or does not vary the
            image size of a configuration that is there for its size.
    """
    config = {parameter: value for parameter, value in BY_HAND[name].items() if parameter in space.parameters}
    if name.endswith("px") and "image_size" not in config:
        raise SpaceError(f"{name!r} needs a space with the parameter image_size, but got {', '.join(space.parameters)}")
    space.check(config)
    return config
