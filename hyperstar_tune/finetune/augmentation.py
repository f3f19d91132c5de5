"""Augmentation policies: torchvision's v2 transforms, drawn separately for every image.

``none`` leaves images alone; ``basic`` crops 60-100 % of the area and flips; ``strong`` crops 30-100 %, flips, applies
one random operation (TrivialAugment, Mueller and Hutter 2021) and erases a rectangle from half of them. A v2 transform
draws once per call, so images go through it one by one. On a CPU that costs a tenth of training them.
"""

from functools import cache

import torch
from torch import Tensor
from torchvision.transforms import v2

from hyperstar_tune.errors import SpaceError

__all__ = ["POLICIES", "augment"]

POLICIES = ("none", "basic", "strong")


def augment(images: Tensor, policy: str, generator: torch.Generator) -> Tensor:
    """Augments a batch.

    Args:
        images: [B, 3, S, S], float in [0, 1].
        policy: One of ``POLICIES``.
        generator: Random generator on the CPU; the same state gives the same images on any device.

    Returns:
        [B, 3, S, S], float in [0, 1].

    Raises:
        SpaceError: If there is no such policy.
    """
    if policy not in POLICIES:
        raise SpaceError(f"augmentation is one of {', '.join(POLICIES)}, but got {policy!r}")
    if policy == "none":
        return images
    transform = _transform(policy, images.shape[-1])
    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's global state
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        return torch.stack([transform(image) for image in images])


@cache
def _transform(policy: str, size: int) -> v2.Compose:
    if policy == "basic":
        return v2.Compose([v2.RandomResizedCrop(size, scale=(0.6, 1), ratio=(1, 1)), v2.RandomHorizontalFlip()])
    crop = v2.RandomResizedCrop(size, scale=(0.3, 1))
    return v2.Compose([crop, v2.RandomHorizontalFlip(), v2.TrivialAugmentWide(), v2.RandomErasing(p=0.5)])
