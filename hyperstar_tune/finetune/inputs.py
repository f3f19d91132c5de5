"""The batches of one run: pixels or features of frozen layers, kept in memory if they fit and streamed if not."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hyperstar_tune.finetune.augmentation import augment
from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.network import Network
from hyperstar_tune.finetune.settings import VIEWS
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["Inputs"]

_PREFIX_BATCH = 128


class Inputs:
    """The inputs of the trained part of a network, batch by batch.

    If the first layers are frozen, their output is computed once for each of ``VIEWS`` augmented views, and the epochs
    take the views in turn. Otherwise, or if this would not fit ``memory_limit``, batches are computed as they come.

    Attributes:
        augments_afresh: The training batches are images in [0, 1] that the caller augments and normalizes.
    """

    def __init__(
        self, task: ImageTask, network: Network, policy: str, seed: int, memory_limit: int, cache: TensorCache
    ) -> None:
        self._task, self._network, self._policy, self._seed = task, network, policy, seed
        self._views = VIEWS if policy != "none" else 1
        self._device, self._size, self._cache = network.device, network.image_size, cache
        self._key = (task.token, str(network.device))
        self._resident = 3 * self._size**2 * (task.n_train + task.n_val) <= memory_limit
        self.augments_afresh = network.split is None
        self._keeps = False
        if network.split is not None:
            probe = network.features(torch.zeros(1, 3, self._size, self._size, device=network.device))
            self._keeps = probe.nbytes * (self._views * task.n_train + task.n_val) <= memory_limit

    def training(self, batches: list[Tensor], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch as ``(indices, inputs)``."""
        if self.augments_afresh:
            yield from zip(batches, self._images("train", batches), strict=True)
            return
        view = (epoch - 1) % self._views
        if self._keeps:
            features = self._kept("train", view)
            for indices in batches:
                yield indices, features[indices.to(features.device)]
            return
        for indices, images in zip(batches, self._images("train", batches), strict=True):
            views = [self._view(image[None], view, int(i)) for image, i in zip(images, indices, strict=True)]
            yield indices, self._network.features(torch.cat(views))

    def plain(self, split: str, batch_size: int) -> Iterator[Tensor]:
        """Inputs of a split in order, not augmented."""
        if self._keeps and split == "val":
            yield from self._kept("val", None).split(batch_size)
            return
        n = len(self._task.labels(split))
        for images in self._images(split, list(torch.arange(n).split(batch_size))):
            yield self._network.features(images)

    def _kept(self, split: str, view: int | None) -> Tensor:
        """Features [n, ...] of a split, of its plain images or of one augmented view."""
        seed = self._seed if self._policy != "none" else 0
        drawn = () if view is None else (self._policy, view, seed)

        def compute() -> Tensor:
            batches = list(torch.arange(len(self._task.labels(split))).split(_PREFIX_BATCH))
            parts = [
                self._network.features(images if view is None else self._view(images, view, number))
                for number, images in enumerate(self._images(split, batches))
            ]
            return torch.cat(parts)

        return self._cache.get(("features", *self._key, *self._network.key, split, *drawn), compute)

    def _view(self, images: Tensor, view: int, number: int) -> Tensor:
        """One view of some images, which is the same at every request; ``number`` tells images apart."""
        seed = int(np.random.SeedSequence([self._seed, view, number, 7]).generate_state(1)[0])
        return augment(images, self._policy, torch.Generator().manual_seed(seed))

    def _images(self, split: str, batches: list[Tensor]) -> Iterator[Tensor]:
        """Batches of images, float in [0, 1]."""

        def decode(indices: Tensor | None = None) -> Tensor:
            chosen = None if indices is None else indices.numpy()
            return torch.from_numpy(self._task.images(split, self._size, chosen)).to(self._device)

        pixels = self._cache.get(("pixels", *self._key, self._size, split), decode) if self._resident else None
        for indices in batches:
            images = decode(indices) if pixels is None else pixels[indices.to(self._device)]
            yield images.float().div_(255)
