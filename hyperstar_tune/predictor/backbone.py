"""The convolutional part of g: our own small ShuffleNet, cut into a frozen and a trained part.

The layers below the first trained one always give the same features, so the images of a task are decoded and run
through them once (``ImagePool``). Batch normalization keeps the statistics of pretraining, because a batch of one task
would teach it that task's statistics.
"""

import copy
import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.shufflenet import shufflenet_stages
from hyperstar_tune.shipped import backbone_path
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["CHUNK", "Backbone", "ImagePool", "make_pool", "normalize", "to_tensor"]

_N_FROZEN = {"none": 7, "last_stage": 4, "all": 0}  # stages below the trained part
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1], as in pretraining
CHUNK = 64  # images per forward pass; more do not fit a CPU's cache


class Backbone(nn.Module):
    """ShuffleNet v2 x1.0 up to its pooled features.

    Args:
        trained: Which part meta-training changes: ``"none"``, ``"last_stage"`` (stage 4 and the last convolution) or
            ``"all"`` (the paper's end-to-end).

    Attributes:
        part: The argument ``trained``.
        frozen: Turns normalized images into what is cached of them.
        trained: Turns that into image features.
    """

    n_features = 1024  # length of an image's features

    def __init__(self, trained: str = "none") -> None:
        super().__init__()
        if trained not in _N_FROZEN:
            raise PredictorError(
                f"the trained part of the backbone is one of {', '.join(_N_FROZEN)}, but got {trained!r}"
            )
        self.part = trained
        with torch.random.fork_rng(devices=[]):  # its random start is thrown away
            network = nn.ModuleDict(shufflenet_stages())
        state = {name: value for name, value in load_file(backbone_path()).items() if not name.startswith("fc.")}
        network.load_state_dict(state)  # copies into float32, whatever the file's precision
        stages: list[tuple[str, nn.Module]] = list(network.items())
        stages.append(("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())))
        cut = _N_FROZEN[trained]
        self.frozen = nn.Sequential(OrderedDict(stages[:cut]))
        self.trained = nn.Sequential(OrderedDict(stages[cut:]))
        self.requires_grad_(False)
        self.trained.requires_grad_(True)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.train(False)

    def train(self, mode: bool = True) -> "Backbone":
        """Stays in evaluation mode, because batch normalization keeps the statistics of pretraining."""
        del mode
        return super().train(False)

    def prefix(self, images: Tensor) -> Tensor:
        """What is kept of uint8 images [n, 3, S, S]: their features after the frozen part, without gradients.

        Without a frozen part these are the images themselves, four times smaller than as floats.
        """
        if not len(self.frozen):
            return images
        with torch.no_grad():
            return torch.cat([self.frozen(normalize(chunk)) for chunk in images.split(CHUNK)])

    def suffix(self, cached: Tensor) -> Tensor:
        """Image features [n, n_features] from what ``prefix`` gave."""
        return self.trained(cached) if len(self.frozen) else self(cached)

    def forward(self, images: Tensor) -> Tensor:
        """Image features of uint8 images, [n, 3, S, S] -> [n, n_features]."""
        return torch.cat([self.features(normalize(chunk)) for chunk in images.split(CHUNK)])

    def features(self, normalized: Tensor) -> Tensor:
        """Image features of normalized images, [n, 3, S, S] -> [n, n_features]."""
        return self.trained(self.frozen(normalized))

    def fused(self) -> "Backbone":
        """A copy with each batch normalization folded into the convolution before it: the same output, faster."""
        twin = copy.deepcopy(self)
        for sequence in [module for module in twin.modules() if isinstance(module, nn.Sequential)]:
            layers: list[tuple[str, Any]] = list(sequence.named_children())
            for (before, convolution), (name, normalization) in itertools.pairwise(layers):
                if isinstance(convolution, nn.Conv2d) and isinstance(normalization, nn.BatchNorm2d):
                    setattr(sequence, before, fuse_conv_bn_eval(convolution, normalization))
                    setattr(sequence, name, nn.Identity())
        return twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclass(frozen=True)
class ImagePool:
    """The input of the trained part of the backbone, for a fixed sample of a task's training images."""

    cached: Tensor  # [n, ...]
    image_hash: str  # ImageTask.sample_hash

    def sample(self, n: int, rng: np.random.Generator) -> Tensor:
        """A batch of ``n`` images, shape [n, ...]; none comes twice before all have come."""
        size = len(self.cached)
        rounds = [rng.permutation(size) for _ in range(-(-n // size))]
        return self.cached[torch.from_numpy(np.concatenate(rounds)[:n])]


def make_pool(task: ImageTask, backbone: Backbone, size: int, n_images: int, seed: int) -> ImagePool:
    """Caches a seeded sample of at most ``n_images`` training images of a task at ``size`` pixels."""
    chosen = np.sort(np.random.default_rng([seed, 2]).permutation(task.n_train)[:n_images])
    images = to_tensor(task.images("train", size, chosen), next(backbone.parameters()).device)
    return ImagePool(backbone.prefix(images), task.sample_hash())


def normalize(images: Tensor) -> Tensor:
    """Images, uint8 RGB [n, 3, S, S], as the backbone expects them: float32 with ImageNet's mean and deviation."""
    scale = 1 / (255 * torch.tensor(_STD, device=images.device).view(3, 1, 1))
    shift = -255 * torch.tensor(_MEAN, device=images.device).view(3, 1, 1) * scale
    # channels_last: the first convolution would otherwise run in the other layout, at half the network's speed.
    # Changing type and layout in one step would take four times as long.
    return images.float().mul_(scale).add_(shift).contiguous(memory_format=torch.channels_last)


def to_tensor(images: npt.NDArray[np.uint8] | Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Images as a uint8 tensor on a device.

    Raises:
        PredictorError: If they are not uint8 of shape [..., 3, S, S].
    """
    tensor = torch.as_tensor(images)
    if tensor.dtype != torch.uint8 or tensor.ndim < 4 or tensor.shape[-3] != 3:
        raise PredictorError(
            f"images must be uint8 of shape [..., 3, S, S], but are {tensor.dtype} of shape {list(tensor.shape)}"
        )
    return tensor.to(device)
