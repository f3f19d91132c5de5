"""The names and places of what ships with the package.

That is a small backbone, which we trained, a few predictors, and a table of learning curves.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path

from hyperstar_tune._files import sha256
from hyperstar_tune.errors import MetaDatasetError

__all__ = [
    "BACKBONE",
    "DEFAULT_PREDICTOR",
    "OWN_MODEL",
    "backbone_hash",
    "backbone_path",
    "predictor_names",
    "predictor_path",
    "table_path",
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


def table_path(folder_or_name: str | Path) -> Path:
    """The folder of a table, given by itself or by the name of one that ships.

    Raises:
        MetaDatasetError: If there is neither.
    """
    folder = Path(folder_or_name).expanduser()
    names = sorted(path.name for path in (_DATA / "tables").iterdir() if path.is_dir())
    if folder.exists():
        return folder
    if str(folder_or_name) not in names:
        raise MetaDatasetError(
            f"a table is a folder, or one that ships ({', '.join(names)}), but got {str(folder_or_name)!r}; the other "
            "tables of this project are in its repository"
        )
    return _DATA / "tables" / str(folder_or_name)
