"""Features of the frozen backbone, kept in a folder so that later processes need not decode the images again."""

import hashlib
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save

from hyperstar_tune._files import write_file
from hyperstar_tune.predictor.backbone import ImagePool
from hyperstar_tune.rivals.features import FeatureStore
from hyperstar_tune.shipped import backbone_hash
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["KeptFeatures"]


class KeptFeatures(FeatureStore):
    """A store with a folder, which holds no pixels. Files are named after everything that the features depend on.

    Args:
        arguments: Those of ``FeatureStore``; the backbone must be frozen.
        folder: Folder of the features; None: nothing is kept.
    """

    def __init__(self, *arguments: Any, folder: str | Path | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._folder = Path(folder) if folder is not None else None

    def make_pool(self, task: ImageTask) -> ImagePool:
        """Reads the features of a task, or computes and writes them."""
        if self._folder is None:
            return super().make_pool(task)
        parts = (task.sample_hash(), *map(str, self.sample), backbone_hash())
        digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
        file = self._folder / f"{task.name.replace('/', '_')}-{digest}.safetensors"
        if file.exists():
            return ImagePool(load_file(file)["cached"], task.sample_hash())
        pool = super().make_pool(task)
        write_file(file, save({"cached": pool.cached.contiguous()}))
        return pool
