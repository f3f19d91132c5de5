"""The images of a run as small pictures inside its page: some of each class, and the most confident mistakes."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hyperstar_tune.errors import TaskError, first_line
from hyperstar_tune.tasks.sources import UnreadableImageError, read_square
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["MOST_MISTAKES", "Pictures", "take_pictures"]

MOST_MISTAKES = 24  # of each kind of images
_SIDE = 96  # pixels
_PER_CLASS = 4
_MOST_CLASSES = 24
_QUALITY = 82


@dataclass(frozen=True)
class Pictures:
    """Pictures as addresses that hold them (``data:``)."""

    classes: dict[str, list[str]] = field(default_factory=dict)  # a few training images of each class
    mistakes: dict[str, str] = field(default_factory=dict)  # by name of the image; one that is gone has none
    n_left_out: int = 0  # classes for which there was no room
    trouble: str = ""  # why there are none


def take_pictures(record: Mapping[str, Any], seed: int = 0) -> Pictures:
    """Reads the images of a run where the run had found them.

    Args:
        record: The content of a run's ``run.json``.
        seed: Random seed of the choice.
    """
    try:
        task = ImageTask.of(record["task"]["location"])
    except (TaskError, OSError) as error:
        return Pictures(trouble=f"The images could not be read again: {first_line(error)}")
    rng, train, val = np.random.default_rng(seed), task.sources["train"], task.sources["val"]
    names = [name for name in record["task"]["classes"] if name in task.classes]  # some may have gone since
    classes = {}
    for name in names[:_MOST_CLASSES]:
        chosen = rng.permutation(np.flatnonzero(task.train_labels == task.classes.index(name)))[:_PER_CLASS]
        found = [_picture(partial(train.square, int(i), _SIDE)) for i in chosen]
        classes[name] = [picture for picture in found if picture]
    places = {val.name(i): i for i in range(task.n_val)}
    mistakes = {}
    for kind in ("validation", "test"):
        for name in (mistake["image"] for mistake in (record.get(kind) or {}).get("mistakes", ())[:MOST_MISTAKES]):
            if name in places:
                mistakes[name] = _picture(partial(val.square, places[name], _SIDE))
            else:
                mistakes[name] = _picture(partial(read_square, Path(name), _SIDE, task.value_range))
    return Pictures(classes, mistakes, max(0, len(names) - _MOST_CLASSES))


def _picture(read: Callable[[], np.ndarray]) -> str:
    """A JPEG as an address; empty if the image cannot be read."""
    try:
        square = read()  # [3, S, S]
    except (UnreadableImageError, OSError):
        return ""
    buffer = io.BytesIO()
    Image.fromarray(square.transpose(1, 2, 0)).save(buffer, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
