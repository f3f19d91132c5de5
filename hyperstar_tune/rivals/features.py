"""Features of the frozen backbone for many tasks, which rankers share and which can be kept on disk.

The images of a task are decoded and run through the frozen backbone once. Leaving out one family after another then
costs no more than training small networks.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save

from hyperstar_tune._files import write_file
from hyperstar_tune.predictor.backbone import Backbone
from hyperstar_tune.predictor.pool import ImagePool, make_pool
from hyperstar_tune.rivals.base import images_of, task_name
from hyperstar_tune.shipped import backbone_hash
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["FeatureStore"]


class FeatureStore:
    """The features that the frozen part of the backbone gives for the training images of some tasks.

    Args:
        images: The tasks by name.
        image_size: Side of the images in pixels.
        n_images: Largest number of training images of a task.
        train_backbone: The part of the backbone that rankers will train on top; see ``TrainingSettings``.
        seed: Random seed of the sample of images.
        cache: Folder in which features are kept for later processes; it holds no pixels.
    """

    def __init__(
        self,
        images: Mapping[str, ImageTask],
        image_size: int = 64,
        n_images: int = 640,
        train_backbone: str = "none",
        seed: int = 0,
        cache: str | Path | None = None,
    ) -> None:
        self.images = images
        self._cache = Path(cache) if cache is not None and train_backbone == "none" else None
        self.train_backbone = train_backbone
        self._size, self._n_images, self._seed = image_size, n_images, seed
        self._backbone = Backbone(train_backbone)
        self._pools: dict[str, ImagePool] = {}

    def pool(self, task: Any) -> ImagePool:
        """The cached features of a task, given by its images, its row of a table or its name.

        Raises:
            PredictorError: If there are no images of it.
        """
        name = task_name(task)
        if name not in self._pools:
            self._pools[name] = self._stored(images_of(task, self.images))
        return self._pools[name]

    def _stored(self, task: ImageTask) -> ImagePool:
        """The features of a task, from the cache if they are there."""
        if self._cache is None:
            return make_pool(task, self._backbone, self._size, self._n_images, self._seed)
        # The file is named after everything that the features depend on.
        parts = (task.sample_hash(), str(self._size), str(self._n_images), str(self._seed), backbone_hash())
        digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
        path = self._cache / f"{task.name.replace('/', '_')}-{digest}.safetensors"
        if path.exists():
            return ImagePool(load_file(path)["cached"], task.sample_hash())
        pool = make_pool(task, self._backbone, self._size, self._n_images, self._seed)
        write_file(path, save({"cached": pool.cached.contiguous()}))
        return pool

    @cached_property
    def end_to_end(self) -> "FeatureStore":
        """A store of the same images for rankers that train the whole backbone."""
        return FeatureStore(self.images, self._size, self._n_images, "all", self._seed)

    def backbone(self) -> Backbone:
        """A backbone to be trained by one ranker; a shared one where nothing of it is trained."""
        return self._backbone if self.train_backbone == "none" else Backbone(self.train_backbone)
