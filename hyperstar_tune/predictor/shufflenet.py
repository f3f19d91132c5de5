"""ShuffleNet v2 x1.0 up to its last convolution, layer by layer with torchvision's names, so that its weights fit.

Importing torchvision's own networks takes two seconds, which is longer than a whole ranking needs.

Source: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design" (ECCV 2018), Fig. 3 and
Table 5.
"""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["shufflenet_stages"]

_STAGES = {"stage2": (116, 4), "stage3": (232, 8), "stage4": (464, 4)}  # channels and units
_FIRST, _LAST = 24, 1024  # channels of the first and the last convolution


class _Unit(nn.Module):
    """One unit: the channels are split (or all taken twice, where the image is halved), worked on and shuffled."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        half = n_out // 2
        n_right = n_in if stride > 1 else half
        self.stride = stride
        self.branch1 = nn.Sequential(*_depthwise(n_in, stride), *_pointwise(n_in, half)) if stride > 1 else None
        self.branch2 = nn.Sequential(*_pointwise(n_right, half), *_depthwise(half, stride), *_pointwise(half, half))

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1) if self.branch1 is None else (self.branch1(x), x)
        joined = torch.cat((left, self.branch2(right)), dim=1)
        n, channels, height, width = joined.shape
        shuffled = joined.view(n, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return shuffled.view(n, channels, height, width)


def shufflenet_stages() -> dict[str, nn.Module]:
    """The parts of the network in order, with new weights: images [n, 3, S, S] to features [n, 1024, S/32, S/32]."""
    stages: dict[str, nn.Module] = {
        "conv1": nn.Sequential(*_convolution(3, _FIRST, 3, stride=2, padding=1), nn.ReLU(inplace=True)),
        "maxpool": nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    }
    n_in = _FIRST
    for name, (channels, units) in _STAGES.items():
        stages[name] = nn.Sequential(
            _Unit(n_in, channels, 2), *(_Unit(channels, channels, 1) for _ in range(units - 1))
        )
        n_in = channels
    return stages | {"conv5": nn.Sequential(*_pointwise(n_in, _LAST))}


def _convolution(n_in: int, n_out: int, size: int, **options: Any) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(n_in, n_out, size, bias=False, **options), nn.BatchNorm2d(n_out)


def _pointwise(n_in: int, n_out: int) -> tuple[nn.Module, ...]:
    return *_convolution(n_in, n_out, 1), nn.ReLU(inplace=True)


def _depthwise(channels: int, stride: int) -> tuple[nn.Module, ...]:
    return _convolution(channels, channels, 3, stride=stride, padding=1, groups=channels)
