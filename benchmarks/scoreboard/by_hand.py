"""What a person does without a tuner: it stands beside every method.

Source: docs/protocol.md, protocol 2.
"""

from hyperstar_tune.space import Config

__all__ = ["BY_HAND", "EXPERTS_RACE"]

_ADAMW = {"optimizer": "adamw", "lr": 1e-3, "augmentation": "basic"}

BY_HAND: dict[str, Config] = {
    "untuned default, 64 px": {"layers": "all", **_ADAMW, "image_size": 64},
    "untuned default, 96 px": {"layers": "all", **_ADAMW, "image_size": 96},
    "last stage, 64 px": {"layers": "last_stage", **_ADAMW, "image_size": 64},
    "last stage, 96 px": {"layers": "last_stage", **_ADAMW, "image_size": 96},
    "head alone, 64 px": {"layers": "head", **_ADAMW, "image_size": 64},
    "the tutorial's SGD, 64 px": {
        "layers": "all",
        "optimizer": "sgd",
        "lr": 1e-3,
        "augmentation": "basic",
        "image_size": 64,
    },
}
# Two configurations for a quarter of R each; the better one goes on to R.
EXPERTS_RACE = {
    "expert's race, 64 px": ("untuned default, 64 px", "last stage, 64 px"),
    "expert's race, 96 px": ("untuned default, 96 px", "last stage, 96 px"),
}
