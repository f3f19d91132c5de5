"""Features of the frozen backbone for many tasks, which rankers share.

The images of a task are decoded and run through the frozen backbone once. Leaving out one family after another then
costs no more than training small networks.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from hyperstar_tune.predictor.backbone import Backbone, ImagePool, make_pool
from hyperstar_tune.rivals.base import images_of
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["FeatureStore"]


class FeatureStore:
    """The features that the frozen part of the backbone gives for the training images of some tasks.

    Args:
        images: The tasks by name.
        image_size: Side of the images in pixels.
        n_images: Largest number of training images of a task.
        train_backbone: The part of the backbone that rankers will train on top; see ``TrainingSettings``.
    """

    def __init__(
        self,
        images: Mapping[str, ImageTask],
        image_size: int = 64,
        n_images: int = 640,
        train_backbone: str = "none",
    ) -> None:
        self.images, self.train_backbone = images, train_backbone
        self.sample = (image_size, n_images, 0)  # and the random seed of the images
        self._backbone = Backbone(train_backbone)
        self._pools: dict[str, ImagePool] = {}

    def pool(self, task: Any) -> ImagePool:
        """The features of a task, given as for ``images_of``; they are computed when first asked for.

        Raises:
            PredictorError: If there are no images of it.
        """
        source = images_of(task, self.images)
        if source.name not in self._pools:
            self._pools[source.name] = self.make_pool(source)
        return self._pools[source.name]

    def make_pool(self, task: ImageTask) -> ImagePool:
        """Computes the features of a task."""
        return make_pool(task, self._backbone, *self.sample)

    @cached_property
    def end_to_end(self) -> "FeatureStore":
        """A store of the same images for rankers that train the whole backbone."""
        return FeatureStore(self.images, *self.sample[:2], "all")

    def backbone(self) -> Backbone:
        """A backbone to be trained by one ranker; a shared one where nothing of it is trained."""
        return self._backbone if self.train_backbone == "none" else Backbone(self.train_backbone)
