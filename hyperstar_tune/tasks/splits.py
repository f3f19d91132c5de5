"""Cuts off images for validation, and refuses arrays and classes that make no task."""

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np

from hyperstar_tune.errors import TaskError

_VAL_SHARE = 0.3  # share of images that is cut off if there is no validation split


def refuse_small_classes(members: Mapping[str, Sized], name: str) -> None:
    """Raises a TaskError if a class has fewer than two images; ``members`` holds the images of each class."""
    for class_name, images in members.items():
        if len(images) < 2:
            raise TaskError(
                f"a class needs at least 2 training images, but class {class_name!r} of {name} has {len(images)}; "
                "add images or remove the class"
            )


def hold_out(
    labels: np.ndarray, classes: Sequence[str], name: str, seed: int, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images kept for training and of those cut off for validation, class by class.

    Args:
        labels: int64 [n].
        classes: Names of the classes, for messages.
        name: Name of the task, for messages.
        seed: Random seed of the cut.
        order: The n positions in the order in which a class's images are counted.
    """
    members = [order[places] for places in by_class(labels[order], len(classes))]
    refuse_small_classes(dict(zip(classes, members, strict=True)), name)
    cuts = [stratified_cut(len(m), seed, label) for label, m in enumerate(members)]
    kept, cut = (np.concatenate([m[pair[i]] for m, pair in zip(members, cuts, strict=True)]) for i in (0, 1))
    return kept, cut


def by_class(labels: np.ndarray, n_classes: int) -> list[np.ndarray]:
    """Positions of the images of each class, sorted; labels are below ``n_classes``."""
    ends = np.cumsum(np.bincount(labels, minlength=n_classes))[:-1]
    return np.split(np.argsort(labels, kind="stable"), ends)


def stratified_cut(n: int, seed: int, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted positions of one class kept for training and cut off for validation, at least one each."""
    order = np.random.default_rng([seed, label]).permutation(n)
    n_cut = min(n - 1, max(1, round(n * _VAL_SHARE)))
    return np.sort(order[n_cut:]), np.sort(order[:n_cut])


def shares(counts: np.ndarray, total: int) -> np.ndarray:
    """How many images each class gives to ``total``: in proportion, at least one each, by largest remainder."""
    exact = counts * total / counts.sum()
    shares = np.maximum(1, np.floor(exact).astype(np.int64))
    for i in np.argsort(shares - exact, kind="stable"):
        if shares.sum() >= total:
            break
        shares[i] += 1
    return np.minimum(shares, counts)


def check_array(images: Any, name: str) -> np.ndarray:
    """The images as an array; raises a TaskError if it has another shape or type."""
    array = np.asarray(images)
    if (
        array.dtype != np.uint8
        or array.ndim not in (3, 4)
        or (array.ndim == 4 and array.shape[3] != 3)
        or not len(array)
    ):
        raise TaskError(f"{name} must be uint8 [n, H, W, 3] or [n, H, W], but got {array.dtype} {list(array.shape)}")
    return array


def check_labels(labels: Any, n: int, name: str) -> np.ndarray:
    """The labels as int64 [n]; raises a TaskError if they are not n whole numbers from 0."""
    array = np.asarray(labels)
    if array.shape != (n,) or not np.issubdtype(array.dtype, np.integer):
        raise TaskError(f"{name} must be {n} whole numbers, but got {array.dtype} {list(array.shape)}")
    if array.min() < 0:
        raise TaskError(f"{name} must count from 0, but got {array.min()}")
    return array.astype(np.int64)
