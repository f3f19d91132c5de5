"""Which classes and training images a smaller version of a task has: docs/protocol.md (Data)."""

import hashlib

import numpy as np

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks.splits import shares

_SIZES = {"small": (80, 160), "large": (200, 320)}  # training images
SUB_TASKS = (*_SIZES, "100")
_PER_CLASS = 5  # least training images per class, so that there is something to learn


def choose_sub_task(
    name: str, train_labels: np.ndarray, n_classes: int, kind: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the chosen classes, sorted, and positions of the chosen training images; as ``ImageTask.sub_task``."""
    if kind not in SUB_TASKS:
        raise TaskError(f"a sub-task is one of {', '.join(SUB_TASKS)}, but got {kind!r}")
    if kind == "100":
        chosen, rng = np.arange(n_classes), np.random.default_rng(seed)
        n_images = np.full(n_classes, round(100 / n_classes))
    else:
        low, high = _SIZES[kind]
        n_train = len(train_labels)
        if n_train < low:
            raise TaskError(f"sub-task {kind} needs {low} training images, but {name} has {n_train}")
        digest = hashlib.sha256(f"{name}@{kind}:{seed}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        target = int(rng.integers(low, min(high, n_train) + 1))
        n_chosen = n_classes
        if n_classes > 2:
            n_chosen = int(rng.integers(2, max(2, min(n_classes, target // _PER_CLASS)) + 1))
        order = rng.permutation(n_classes)
        counts = np.bincount(train_labels, minlength=n_classes)
        while counts[order[:n_chosen]].sum() < low:  # classes too small for the size: take more of them
            n_chosen += 1
        chosen = np.sort(order[:n_chosen])
        n_images = shares(counts[chosen], min(target, int(counts[chosen].sum())))
    members = (rng.permutation(np.flatnonzero(train_labels == label)) for label in chosen)
    return chosen, np.concatenate([np.sort(m[: max(1, n)]) for m, n in zip(members, n_images, strict=True)])
