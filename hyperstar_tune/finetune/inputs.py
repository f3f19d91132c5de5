"""The batches of one run: pixels or features of frozen layers, kept in memory if they fit and streamed if not."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hyperstar_tune.finetune.augmentation import augment
from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.network import Network
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["Inputs"]

_PREFIX_BATCH = 128


class Inputs:
    """The inputs of the trained part of a network, batch by batch.

    If the first layers are frozen, their output is computed once for each of ``views`` augmented views, and the epochs
    take the views in turn. Otherwise, or if this would not fit ``memory_limit``, batches are computed as they come.

    Attributes:
        augments_afresh: The training batches are images in [0, 1] that the caller augments and normalizes.
    """

    def __init__(
        self,
        task: ImageTask,
        network: Network,
        policy: str,
        views: int,
        seed: int,
        memory_limit: int,
        cache: TensorCache,
    ) -> None:
        self._task, self._network, self._policy, self._views, self._seed = task, network, policy, views, seed
        self._device, self._size, self._cache = network.device, network.image_size, cache
        self._key = (task.token, str(network.device))
        self._resident = 3 * self._size**2 * (task.n_train + task.n_val) <= memory_limit
        self.augments_afresh = network.split is None
        self._keeps = False
        if network.split is not None:
            probe = network.features(torch.zeros(1, 3, self._size, self._size, device=network.device))
            self._keeps = probe.nbytes * (views * task.n_train + task.n_val) <= memory_limit

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

    def validation(self, batch_size: int) -> Iterator[Tensor]:
        """Inputs of the validation images in order."""
        return self.plain("val", batch_size)

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
        key = (
            "features",
            *self._key,
            *self._network.key,
            split,
            *((self._policy, view, seed) if view is not None else ()),
        )
        return self._cache.get(key, lambda: self._compute(split, view))

    def _compute(self, split: str, view: int | None) -> Tensor:
        parts = []
        n = len(self._task.labels(split))
        for number, images in enumerate(self._images(split, list(torch.arange(n).split(_PREFIX_BATCH)))):
            parts.append(self._network.features(images if view is None else self._view(images, view, number)))
        return torch.cat(parts)

    def _view(self, images: Tensor, view: int, number: int) -> Tensor:
        """One view of some images, which is the same at every request; ``number`` tells images apart."""
        seed = int(np.random.SeedSequence([self._seed, view, number, 7]).generate_state(1)[0])
        return augment(images, self._policy, torch.Generator().manual_seed(seed))

    def _images(self, split: str, batches: list[Tensor]) -> Iterator[Tensor]:
        """Batches of images, float in [0, 1]."""
        if self._resident:
            key = ("pixels", *self._key, self._size, split)
            pixels: Tensor = self._cache.get(
                key, lambda: torch.from_numpy(self._task.images(split, self._size)).to(self._device)
            )
            for indices in batches:
                yield pixels[indices.to(self._device)].float().div_(255)
            return
        loader = DataLoader(
            _Decoded(self._task, split, self._size),
            batch_sampler=[indices.tolist() for indices in batches],
            collate_fn=_as_is,
            pin_memory=self._device.type == "cuda",
        )
        for images in loader:
            yield images.to(self._device, non_blocking=True).float().div_(255)


class _Decoded(Dataset[Any]):
    """Decodes a batch at a time, in the threads of ``ImageTask.images``."""

    def __init__(self, task: ImageTask, split: str, size: int) -> None:
        self._decode: Callable[[list[int]], np.ndarray] = lambda indices: task.images(split, size, indices)

    def __getitems__(self, indices: list[int]) -> Tensor:
        return torch.from_numpy(self._decode(indices))


def _as_is(batch: Any) -> Any:
    return batch
