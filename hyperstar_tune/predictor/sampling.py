"""Which training images the traits of a task are read off: few, but enough of each class.

Up to 64 classes, all of them share the images. Of more classes 640 images would hold one or two each, which teach no
probe anything. So some whole classes are looked at instead, as if they were the task.
"""

import numpy as np
import numpy.typing as npt

from hyperstar_tune.tasks.splits import by_class

__all__ = ["FEWEST", "MAX_IMAGES", "MOST_CLASSES", "sample_images"]

MAX_IMAGES = 640  # training images that are looked at; more of them hardly change a trait
MOST_CLASSES = 64  # that share the images
FEWEST = 3  # images of a class; of two, a half is one, which says nothing of its class
_PER_CLASS = MAX_IMAGES // MOST_CLASSES
Labels = npt.NDArray[np.int64]


def sample_images(labels: Labels) -> npt.NDArray[np.intp]:
    """Numbers of at most ``MAX_IMAGES`` images, sorted, the same every time.

    Args:
        labels: Classes of all training images, counted from 0, [n].
    """
    order = np.random.default_rng(0).permutation(len(labels))
    counts = np.bincount(labels)
    if len(counts) <= MOST_CLASSES:
        return _of_all_classes(labels, order)
    wanted = np.minimum(counts, _PER_CLASS)
    classes = np.random.default_rng(0).permutation(len(counts))
    classes = classes[np.argsort(wanted[classes] < FEWEST, kind="stable")]  # those with enough images first
    classes = classes[: np.searchsorted(np.cumsum(wanted[classes]), MAX_IMAGES, side="right")]
    members = by_class(labels[order], len(counts))
    return np.sort(np.concatenate([order[members[label][: wanted[label]]] for label in classes]))


def _of_all_classes(labels: Labels, order: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Each class gives its share of the images."""
    if len(labels) <= MAX_IMAGES:
        return np.arange(len(labels))
    ranks = np.empty(len(labels))  # place within the class, as a share of it
    for label in np.unique(labels):
        members = order[labels[order] == label]
        ranks[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(order[np.argsort(ranks[order], kind="stable")[:MAX_IMAGES]])
