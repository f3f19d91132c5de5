"""Torchvision's classification data sets as two splits of images and labels.

Used by ``task.py`` only. The constructors of the data sets name the splits in five ways (``train=``,
``split="train"``, ``"trainval"``, ``"train-standard"``, not at all), and their labels in four.
"""

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from hyperstar_tune.errors import TaskError, first_line
from hyperstar_tune.tasks.sources import Dataset, Source, Subset
from hyperstar_tune.tasks.splits import hold_out

_NOT_CLASSIFICATION = frozenset({"ImageFolder", "DatasetFolder", "FakeData", "VisionDataset"})
_TRAIN_SPLITS = ("train", "trainval", "train-standard")
_VAL_SPLITS = ("val", "valid", "test")
_LABELS = ("targets", "labels", "_labels", "y")
_CLASSES = ("classes", "categories")


def read_torchvision(
    name: str, root: Path, download: bool
) -> tuple[list[str], dict[str, Source], dict[str, np.ndarray]]:
    """Classes, images and labels of a data set; without a validation split it is split 70/30, stratified, seed 0.

    Of a data set with folds of its training images, such as STL10, ``NAME/fold0`` takes the first fold for training and
    the other training images for validation.

    Raises:
        TaskError: If torchvision has no such data set, or its files are not under ``root``.
    """
    from torchvision import datasets  # takes a second to import: only for those who use it

    name, slash, fold = name.partition("/")
    kind: Any = getattr(datasets, name, None)
    if not isinstance(kind, type) or name in _NOT_CLASSIFICATION:
        raise TaskError(f"torchvision.datasets must have the data set, but got {name!r}; spell it as in its docs")
    has_folds = "folds" in inspect.signature(kind).parameters
    if slash and not (has_folds and fold.startswith("fold") and fold.removeprefix("fold").isdecimal()):
        raise TaskError(f"a part of a data set is NAME/fold0, where NAME has folds (STL10), but got {name}/{fold}")
    try:
        parts = [kind(str(root), split="train", download=download)] if slash else _parts(kind, str(root), download)
        in_fold = _in_fold(parts[0], int(fold.removeprefix("fold"))) if slash else None
    except (RuntimeError, OSError, ValueError, TypeError) as error:
        raise TaskError(
            f"{name} must be readable under {root}, but: {first_line(error)}; pass download=True"
        ) from error
    labels = [dataset_labels(part) for part in parts]
    if not all(len(found) for found in labels):
        raise TaskError(f"{name} must have images under {root}, but a split has none; pass download=True")
    names = next((getattr(parts[0], a) for a in _CLASSES if getattr(parts[0], a, None)), None)
    classes = [str(c) for c in names or range(int(max(found.max() for found in labels)) + 1)]
    sources: list[Source]
    if in_fold is not None:
        places = (np.flatnonzero(in_fold), np.flatnonzero(~in_fold))
        sources = [Subset(Dataset(parts[0]), place) for place in places]
        labels = [labels[0][place] for place in places]
    elif len(parts) == 2:
        sources = [Dataset(part) for part in parts]
    else:
        whole = Dataset(parts[0])
        places = hold_out(labels[0], classes, name, 0, _order(parts[0]))
        sources = [Subset(whole, place) for place in places]
        labels = [labels[0][place] for place in places]
    return classes, dict(zip(("train", "val"), sources, strict=True)), dict(zip(("train", "val"), labels, strict=True))


def _in_fold(dataset: Any, fold: int) -> np.ndarray:
    """Which images of a whole training split are in one of its folds, bool [n]; a ValueError if there is no such."""
    path = Path(dataset.root) / dataset.base_folder / dataset.folds_list_file
    lines = path.read_text(encoding="utf-8").splitlines()
    if fold >= len(lines):
        raise ValueError(f"there are {len(lines)} folds, counted from 0, and no fold {fold}")
    found = np.zeros(len(dataset), dtype=bool)
    found[np.array(lines[fold].split(), dtype=np.int64)] = True
    return found


def dataset_labels(dataset: Any) -> np.ndarray:
    """Labels, int64 [n], from an attribute where there is one: decoding every image for its label takes minutes."""
    for attribute in _LABELS:
        labels = getattr(dataset, attribute, None)
        if labels is not None and len(labels) == len(dataset):
            return np.asarray(labels, dtype=np.int64).reshape(-1)
    return np.asarray([int(dataset[i][1]) for i in range(len(dataset))], dtype=np.int64)


def _parts(kind: Any, root: str, download: bool) -> list[Any]:
    """A training and a validation part, or one that holds all images."""
    known = inspect.signature(kind).parameters
    extra: dict[str, Any] = {"download": download} if "download" in known else {}
    if "small" in known:
        extra["small"] = True  # Places365 at 256 pixels: a tenth of the bytes, and no task is read larger
    if "train" in known:
        return [kind(root, train=flag, **extra) for flag in (True, False)]
    if "split" in known:
        return [_first_split(kind, root, splits, extra) for splits in (_TRAIN_SPLITS, _VAL_SPLITS)]
    return [kind(root, **extra)]


def _first_split(kind: Any, root: str, splits: tuple[str, ...], extra: dict[str, Any]) -> Any:
    refused: ValueError | None = None
    for split in splits:
        try:
            return kind(root, split=split, **extra)
        except ValueError as error:  # torchvision's answer to a split it does not have
            refused = error
    raise refused if refused is not None else ValueError("no split")


def _order(dataset: Any) -> np.ndarray:
    """Positions sorted by file name: SUN397 lists its files as the file system does, which differs by machine."""
    files = getattr(dataset, "_image_files", None)
    if files is None or len(files) != len(dataset):
        return np.arange(len(dataset))
    return np.array(sorted(range(len(files)), key=lambda i: str(files[i])), dtype=np.int64)
