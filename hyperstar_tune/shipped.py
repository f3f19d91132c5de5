"""The names and places of what ships with the package: a small backbone, which we trained, and a few predictors."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from hyperstar_tune._files import sha256

__all__ = [
    "BACKBONE",
    "DEFAULT_PREDICTOR",
    "OWN_MODEL",
    "backbone_hash",
    "backbone_path",
    "predictor_names",
    "predictor_path",
]

BACKBONE = "shufflenet_v2_x1_0_in200"
OWN_MODEL = "torchvision/shufflenet_v2_x1_0"  # the network that these weights belong to
DEFAULT_PREDICTOR = "mobilenet-v2-64px"
_DATA = Path(str(files("hyperstar_tune"))) / "data"


def backbone_path() -> Path:
    """The file of the backbone's weights."""
    return _DATA / "backbones" / f"{BACKBONE}.safetensors"


@cache
def backbone_hash() -> str:
    """First 16 digits of the SHA-256 of the backbone's weights."""
    return sha256(backbone_path())[:16]


def predictor_names() -> tuple[str, ...]:
    """Names of the predictors, sorted."""
    return tuple(sorted(path.name for path in (_DATA / "predictors").iterdir() if path.is_dir()))


def predictor_path(name: str) -> Path:
    """The folder of a predictor."""
    return _DATA / "predictors" / name
