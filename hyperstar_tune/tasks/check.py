"""Looks a folder of images over before anything is trained on it: counts, unreadable files, duplicates, balance.

Every file is decoded once, which takes about as long as one epoch of reading. Nothing is changed on disk. A task that
is about to be trained needs no check: ``ImageTask`` itself refuses a folder that makes no task.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks.folders import TRAIN_FOLDERS, VAL_FOLDERS, split_folder
from hyperstar_tune.tasks.sources import Files, UnreadableImageError, image_files, in_threads
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["PUBLISHED_SIZES", "TaskReport", "check_folder"]

_DECODED_SIDE = 32  # pixels; the whole file is read whatever the size
_SHOWN = 10
_MAX_UNREADABLE = 0.1  # as ImageTask.from_folder

# Published numbers of classes, training and validation images, for the data sets of the paper that torchvision does not
# carry. Their sources and layouts are in docs/tasks.md.
PUBLISHED_SIZES: dict[str, tuple[int, int, int]] = {
    "bookcover30": (30, 51_300, 5_700),
    "deepfashion": (46, 209_222, 40_000),
    "ip102": (102, 45_095, 7_508),
    "mit-indoor": (67, 5_360, 1_340),
}


@dataclass(frozen=True)
class TaskReport:
    """What was found in a folder. Paths are relative to it; duplicates have the same bytes."""

    name: str
    counts: dict[str, dict[str, int]]  # split -> class -> readable images
    unreadable: tuple[str, ...]
    duplicates_within: tuple[tuple[str, ...], ...]  # groups inside one split
    duplicates_across: tuple[tuple[str, ...], ...]  # groups with a file in more than one split
    duplicates_between_classes: tuple[tuple[str, ...], ...]  # groups with more than one label, also listed above
    imbalance: float | None  # training images of the largest class over those of the smallest
    refused: str | None  # why training would be refused
    unexpected: tuple[str, ...]  # differences from the published sizes

    def to_json(self) -> dict[str, Any]:
        """The report as plain Python values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        lines = [f"{self.name}:"]
        for split, counts in self.counts.items():
            lines.append(f"  {split}: {sum(counts.values())} readable images of {len(counts)} classes")
        if self.imbalance is not None:
            training = next(iter(self.counts.values()))
            smallest, largest = min(training, key=lambda c: training[c]), max(training, key=lambda c: training[c])
            lines.append(
                f"  class balance: {training[largest]} images of {largest}, {training[smallest]} of {smallest} "
                f"(ratio {self.imbalance:.1f})"
            )
        for what, found in (
            ("unreadable", [(path,) for path in self.unreadable]),
            ("duplicates across splits (they make validation look too good)", self.duplicates_across),
            ("duplicates within a split", self.duplicates_within),
            ("duplicates under several classes", self.duplicates_between_classes),
        ):
            lines.append(f"  {what}: {len(found)}")
            lines += [f"    {' = '.join(group)}" for group in found[:_SHOWN]]
            lines += [f"    and {len(found) - _SHOWN} more"] * (len(found) > _SHOWN)
        lines += [f"  not as published: {difference}" for difference in self.unexpected]
        lines.append(f"  training would be refused: {self.refused}" if self.refused else "  ready for training")
        return "\n".join(lines)


def check_folder(path: str | Path, published: str | None = None, seed: int = 0) -> TaskReport:
    """Checks a folder that ``ImageTask.from_folder`` is to read.

    Args:
        path: ``{train,val|valid|validation|test}/CLASS/*`` or ``CLASS/*``. The latter is split as ``from_folder``
            would split it.
        published: A name of ``PUBLISHED_SIZES`` to compare classes and counts with.
        seed: Random seed of the split, for a folder without splits.

    Raises:
        TaskError: If there is no such folder, or no such published data set.
    """
    root = Path(path).expanduser().absolute()
    if not root.is_dir():
        raise TaskError(f"a task folder must exist and be a folder, but got {str(path)!r}; check the path")
    if published is not None and published not in PUBLISHED_SIZES:
        raise TaskError(f"a published data set is one of {', '.join(PUBLISHED_SIZES)}, but got {published!r}")
    refused, split_of = _try(root, seed)
    files = list(_files(root, split_of))
    source = Files([path for path, _, _ in files])
    readable = in_threads(partial(_is_readable, source), range(len(files)))
    counts: dict[str, dict[str, int]] = {split: {} for split in sorted({s for _, s, _ in files}, key="train".__ne__)}
    for (_, split, label), good in zip(files, readable, strict=True):
        counts[split][label] = counts[split].get(label, 0) + good
    unreadable = tuple(_name(root, path) for (path, _, _), good in zip(files, readable, strict=True) if not good)
    training = next(iter(counts.values()), {})
    smallest = min(training.values(), default=0)
    within, across, between = _duplicates(root, files)
    return TaskReport(
        name=root.resolve().name,
        counts=counts,
        unreadable=unreadable,
        duplicates_within=within,
        duplicates_across=across,
        duplicates_between_classes=between,
        imbalance=max(training.values()) / smallest if smallest else None,
        refused=refused or _refusal_when_decoding(counts, unreadable, len(files)),
        unexpected=_unexpected(counts, published),
    )


def _try(root: Path, seed: int) -> tuple[str | None, dict[Path, str]]:
    """The reason why the folder makes no task (else None), and the split of each file."""
    try:
        task = ImageTask.from_folder(root, seed=seed)
    except TaskError as error:
        return str(error), {}
    files = ((split, source) for split, source in task.sources.items() if isinstance(source, Files))
    return None, {path: split for split, source in files for path in source.paths}


def _files(root: Path, split_of: dict[Path, str]) -> Iterable[tuple[Path, str, str]]:
    """Image files with their split and class; files outside the folder are not looked at."""
    resolved = root.resolve()
    train, val = (split_folder(root, names) for names in (TRAIN_FOLDERS, VAL_FOLDERS))
    folders = [(train, "train")] if train is not None else []
    folders += [(val, val.name)] if val is not None else []
    folders = folders or [(root, "")]
    unlisted = "train" if split_of else "all"  # unreadable files belong to no split of the task
    for folder, split in folders:
        for class_folder in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
            for path in image_files(class_folder):
                if _leads_into(path, resolved):
                    yield path, split or split_of.get(path, unlisted), class_folder.name


def _leads_into(path: Path, root: Path) -> bool:
    """Whether there is a file within the folder: not a symlink that is broken, is a loop or leaves the folder."""
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):
        return False


def _is_readable(source: Files, index: int) -> bool:
    try:
        source.square(index, _DECODED_SIDE)
    except UnreadableImageError:
        return False
    return True


def _duplicates(root: Path, files: list[tuple[Path, str, str]]) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Groups of equal bytes: within one split, across splits, and under several classes."""
    sizes = Counter(path.stat().st_size for path, _, _ in files)
    alike: dict[str, list[tuple[Path, str, str]]] = defaultdict(list)
    for file in files:
        if sizes[file[0].stat().st_size] > 1:
            alike[hashlib.sha256(file[0].read_bytes()).hexdigest()].append(file)
    groups = [group for group in alike.values() if len(group) > 1]

    def named(chosen: list[list[tuple[Path, str, str]]]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(_name(root, path) for path, _, _ in group) for group in chosen)

    return (
        named([group for group in groups if len({split for _, split, _ in group}) == 1]),
        named([group for group in groups if len({split for _, split, _ in group}) > 1]),
        named([group for group in groups if len({label for _, _, label in group}) > 1]),
    )


def _refusal_when_decoding(counts: dict[str, dict[str, int]], unreadable: tuple[str, ...], n: int) -> str | None:
    """Why training would be refused once images are decoded; None if it would not."""
    empty = next(((split, label) for split in counts for label, kept in counts[split].items() if not kept), None)
    if empty:
        return f"every class needs a readable image, but {empty[1]!r} has none in {empty[0]}"
    if len(unreadable) > _MAX_UNREADABLE * n:
        return f"at most {_MAX_UNREADABLE:.0%} of the images may be unreadable, but {len(unreadable)} of {n} are"
    return None


def _unexpected(counts: dict[str, dict[str, int]], published: str | None) -> tuple[str, ...]:
    if published is None:
        return ()
    found = [len(next(iter(counts.values()), {})), *(sum(c.values()) for c in counts.values())]
    wanted = PUBLISHED_SIZES[published]
    names = ("classes", "training images", "validation images")
    return tuple(
        f"{got} {name}, but {published} has {want}"
        for name, got, want in zip(names, [*found, 0, 0][:3], wanted, strict=True)
        if got != want
    )


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
