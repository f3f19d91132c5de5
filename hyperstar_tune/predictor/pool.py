"""The images of one task in meta-training: decoded once, and run through the frozen part of the backbone once."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperstar_tune.predictor.backbone import Backbone, to_tensor
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["ImagePool", "make_pool"]


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
    device = next(backbone.parameters()).device
    images = to_tensor(task.images("train", size, chosen), device)
    return ImagePool(backbone.prefix(images), task.sample_hash())
