"""Looks a folder of images over before anything is trained on it: counts, unreadable files, duplicates, balance.

Every file is decoded once, which takes about as long as one epoch of reading. Nothing is changed on disk. A task that
is about to be trained needs no check: ``ImageTask`` itself refuses a folder that makes no task.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks.folders import list_classes, remedy
from hyperstar_tune.tasks.layout import Layout, find_layout, unused_parts
from hyperstar_tune.tasks.lookalikes import AVAILABLE, look, lookalikes
from hyperstar_tune.tasks.pixels import ValueRange
from hyperstar_tune.tasks.report import TaskReport
from hyperstar_tune.tasks.scan import NOTES, USUAL, by_ending
from hyperstar_tune.tasks.sources import Files, UnreadableImageError, in_threads, read_square
from hyperstar_tune.tasks.task import ImageTask, remarked

__all__ = ["PUBLISHED_SIZES", "check_folder"]

_DECODED_SIDE = 32  # pixels; the whole file is read whatever the size
_MAX_SHARE = 0.1  # of unreadable images, as ImageTask.from_folder, and of images of one colour
_UNIFORM = 8  # of 255 levels, between which no network sees a difference, and which compression may add

# Published numbers of classes, training and validation images, for the data sets of the paper that torchvision does not
# carry. Their sources and layouts are in docs/tasks.md.
PUBLISHED_SIZES: dict[str, tuple[int, int, int]] = {
    "bookcover30": (30, 51_300, 5_700),
    "deepfashion": (46, 209_222, 40_000),
    "ip102": (102, 45_095, 7_508),
    "mit-indoor": (67, 5_360, 1_340),
}


_File = tuple[Path, str, str]  # path, split, class


def check_folder(path: str | Path, published: str | None = None, seed: int = 0) -> TaskReport:
    """Checks a folder that ``ImageTask.from_folder`` is to read.

    Args:
        path: ``{train,val,test}/CLASS/*`` or ``CLASS/*``, which is split as ``from_folder`` would split it.
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
    task, refused = _try(root, seed)
    layout, files = _files(root, task)
    value_range = task.value_range if task is not None else None
    seen = in_threads(partial(_see, value_range), [path for path, _, _ in files], f"checking {root.name}")
    order = ("train", "val", *dict.fromkeys(split for _, split, _ in files))
    counts: dict[str, dict[str, int]] = {split: {} for split in sorted({s for _, s, _ in files}, key=order.index)}
    for (_, split, label), found in zip(files, seen, strict=True):
        counts[split][label] = counts[split].get(label, 0) + (found is not None)
    bad = [path for (path, _, _), found in zip(files, seen, strict=True) if found is None]
    readable = [(file, found) for file, found in zip(files, seen, strict=True) if found is not None]
    uniform = tuple(_name(root, path) for (path, _, _), found in readable if found.uniform)
    training = next(iter(counts.values()), {})
    smallest = min(training.values(), default=0)
    within, across, between = _duplicates(root, [file for file, _ in readable])
    alike = _lookalikes(root, readable, across) if AVAILABLE else None
    held_out = {_name(root, path) for (path, split, _), _ in readable if split != "train"}
    copies = held_out.intersection(chain(*across, *(pair for pair, is_copy in alike or () if is_copy)))
    wrong = []
    if len(copies) > _MAX_SHARE * len(held_out):
        wrong.append(
            f"{len(copies)} of {len(held_out)} held-out images are in training too, as they are or in another size "
            "or format, which makes accuracies look too good; delete the copies"
        )
    if len(uniform) > _MAX_SHARE * len(readable):
        wrong.append(
            f"{len(uniform)} of {len(readable)} images are of one uniform colour, or nearly so; if they are drawn in "
            "white on transparency, save them on another background; if they hold few low values, scale these up to 255"
        )
    twice = {name for group in between for name in group}
    if len(twice) > _MAX_SHARE * len(readable):
        wrong.append(
            f"{len(twice)} of {len(readable)} images equal one of another class; delete those in the wrong one"
        )
    return TaskReport(
        name=root.resolve().name,
        counts=counts,
        unreadable=tuple(_name(root, path) for path in bad if path.suffix.lower() in USUAL),
        left_out=dict(Counter(path.suffix.lower() for path in bad if path.suffix.lower() not in USUAL).most_common()),
        unused=unused_parts(root, layout) if layout is not None else (),
        uniform=uniform,
        duplicates_within=within,
        duplicates_across=across,
        duplicates_between_classes=between,
        lookalikes=tuple(pair for pair, _ in alike) if alike is not None else None,
        imbalance=max(training.values()) / smallest if smallest else None,
        value_range=value_range,
        remarks=tuple(task.remarks()) if task is not None else (),
        wrong=tuple(wrong),
        refused=refused or _refusal_when_decoding(counts, bad, len(files)),
        unexpected=_unexpected(counts, published),
    )


def _try(root: Path, seed: int) -> tuple[ImageTask | None, str | None]:
    """The task, or the reason why the folder makes none."""
    remarked.add(root)  # the report tells them
    try:
        return ImageTask.from_folder(root, seed=seed), None
    except TaskError as error:
        return None, str(error)


def _files(root: Path, task: ImageTask | None) -> tuple[Layout | None, list[_File]]:
    """Files that are or may be images with their split and class; files outside the folder are not looked at."""
    split_of = _splits(task) if task else {}
    unlisted = "train" if split_of else "all"  # unreadable files belong to no split of the task
    try:
        layout = find_layout(root)
        listed = {split: list_classes(folder, root, strict=False) for split, folder in layout.splits.items()}
    except (TaskError, OSError):
        return None, []
    names = {"train": "train", "val": layout.val.name} if layout.val is not None else {}
    if layout.test is not None:
        listed["test"] = list_classes(layout.test, root, strict=False)
        names["test"] = layout.test.name
    return layout, [
        (path, names.get(split) or split_of.get(path, unlisted), label)
        for split, classes in listed.items()
        for label, paths in classes.items()
        for path in paths
        if path.suffix.lower() not in NOTES
    ]


def _splits(task: ImageTask) -> dict[Path, str]:
    files = ((split, source) for split, source in task.sources.items() if isinstance(source, Files))
    return {path: split for split, source in files for path in source.paths}


@dataclass(frozen=True)
class _Seen:
    """What is kept of a decoded image."""

    size: tuple[int, int]
    format: str | None
    uniform: bool
    look: tuple[np.uint64, np.ndarray] | None


def _see(value_range: ValueRange | None, path: Path) -> _Seen | None:
    try:
        square = read_square(path, _DECODED_SIDE, value_range)
        with Image.open(path) as image:
            size, kind = image.size, image.format
    except UnreadableImageError:
        return None
    uniform = bool((square.max((1, 2)).astype(int) - square.min((1, 2)) <= _UNIFORM).all())
    return _Seen(size, kind, uniform, look(square) if AVAILABLE and not uniform else None)


def _lookalikes(
    root: Path, readable: list[tuple[_File, _Seen]], duplicates: tuple[tuple[str, ...], ...]
) -> list[tuple[tuple[str, str], bool]]:
    """Pairs of a training and a validation image that look alike, and whether size or format tell a copy."""
    known = {path: number for number, group in enumerate(duplicates) for path in group}
    sides: dict[bool, list[tuple[str, _Seen]]] = {True: [], False: []}
    for (path, split, _), seen in readable:
        if seen.look is not None:
            sides[split == "train"].append((_name(root, path), seen))
    pairs = lookalikes(*([seen.look for _, seen in sides[side] if seen.look is not None] for side in (True, False)))
    named = [(*sides[True][i], *sides[False][j]) for i, j in pairs]
    return [
        ((one, other), (a.size, a.format) != (b.size, b.format))
        for one, a, other, b in named
        if one not in known or known[one] != known.get(other)
    ]


def _duplicates(root: Path, files: list[_File]) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Groups of equal bytes: within one split, across splits, and under several classes."""
    sizes = Counter(path.stat().st_size for path, _, _ in files)
    alike: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        if sizes[file[0].stat().st_size] > 1:
            alike[hashlib.sha256(file[0].read_bytes()).hexdigest()].append(file)
    groups = [group for group in alike.values() if len(group) > 1]

    def named(chosen: list[list[_File]]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(_name(root, path) for path, _, _ in group) for group in chosen)

    return (
        named([group for group in groups if len({split for _, split, _ in group}) == 1]),
        named([group for group in groups if len({split for _, split, _ in group}) > 1]),
        named([group for group in groups if len({label for _, _, label in group}) > 1]),
    )


def _refusal_when_decoding(counts: dict[str, dict[str, int]], unreadable: list[Path], n: int) -> str | None:
    """Why training would be refused once images are decoded; None if it would not."""
    empty = next(((split, label) for split in counts for label, kept in counts[split].items() if not kept), None)
    if empty:
        return f"every class needs a readable image, but {empty[1]!r} has none in {empty[0]}"
    if len(unreadable) > _MAX_SHARE * n:
        found = f"{len(unreadable)} of {n} are ({by_ending(unreadable)}){remedy(unreadable)}"
        return f"at most {_MAX_SHARE:.0%} of the images may be unreadable, but {found}"
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
