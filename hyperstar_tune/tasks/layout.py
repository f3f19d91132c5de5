"""Finds the splits and classes of a folder of images, or says in one line why it cannot.

Splits go by many names: ``train``, ``training_set``, ``Train``, ``seg_train``, ``train2017``; one more folder may be
wrapped around everything or around a split. A folder whose classes cannot be told from its splits is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks.scan import NOTES, refuse_outside, visible_files, visible_folders

_WORDS = {
    "train": ("train", "training", "trn", "trainval", "trainvalid"),
    "val": ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation", "holdout", "heldout"),
    "test": ("test", "testing", "tst"),
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words}
_FILLERS = re.compile("^(?:seg|my|the|images?|imgs?|data|dataset)|(?:sets?|data|images?|imgs?|splits?|folders?|files)$")
_MOST_WRAPPERS = 3


@dataclass(frozen=True)
class Layout:
    """Where the classes of a task are."""

    train: Path  # holds one folder per class; training and validation images if there is no ``val``
    val: Path | None
    test: Path | None = None  # images that choose nothing; the finished model is judged on them
    unused: tuple[Path, ...] = ()  # folders beside the splits

    @property
    def splits(self) -> dict[str, Path]:
        """The folders of training and validation images by split; ``""`` if there is one for both."""
        return {"": self.train} if self.val is None else {"train": self.train, "val": self.val}


def split_kind(name: str) -> str | None:
    """``"train"``, ``"val"`` or ``"test"``, if a folder's name says so."""
    word = re.sub("[^a-z]", "", name.lower())
    while word not in _KINDS:
        shorter = _FILLERS.sub("", word, count=1)
        if shorter == word:
            return None
        word = shorter
    return _KINDS[word]


def find_layout(root: Path) -> Layout:
    """The splits of a task folder.

    Raises:
        TaskError: If there is one split only, a split exists twice, or the splits hold no classes.
    """
    base = root
    for _ in range(_MOST_WRAPPERS):
        layout = _splits(base, root)
        if layout is not None:
            return layout
        inner = _wrapped(base, root)
        if inner is None:
            break
        base = inner
    return Layout(base, None)


def unused_parts(root: Path, layout: Layout) -> tuple[str, ...]:
    """Folders beside the splits, and how many files lie outside the folders of classes, for messages."""
    loose = [
        f"{n} files straight in {folder.name}/"
        for folder in dict.fromkeys([root, *layout.splits.values()])
        if (n := sum(path.suffix.lower() not in NOTES for path in visible_files(folder)))
    ]
    return (*(f"{folder.name}/" for folder in layout.unused), *loose)


def refuse_disguised_splits(listed: Mapping[str, list[Path]], folder: Path) -> None:
    """Raises a TaskError if the class folders rather are splits, or all are divided in the same way.

    Args:
        listed: Files of each class.
        folder: The folder that the class folders are in.
    """
    inner = [_subfolders(folder / name, paths) for name, paths in listed.items()]
    shared = sorted(set.intersection(*inner)) if len(inner) > 1 else []
    by_split = {split_kind(name) for names in inner for name in names} - {None}
    if len(shared) > 1 or len(by_split) > 1:
        shown = ", ".join((shared or sorted(set.union(*inner)))[:4])
        raise TaskError(
            f"classes may not be divided alike or into splits, but folders in {folder} hold {shown}; if the outer "
            "folders are splits, call them train and val; if the inner ones are, put them above the classes; else keep "
            "one of them"
        )


def _splits(base: Path, root: Path) -> Layout | None:
    """The splits in a folder; None if it has none."""
    folders = visible_folders(base)
    named = {folder: kind for folder in folders if (kind := split_kind(folder.name)) is not None}
    found: dict[str, list[Path]] = {"train": [], "val": [], "test": []}
    for folder, kind in named.items():
        refuse_outside(folder, root)
        if visible_folders(folder):
            found[kind].append(folder)
    if not any(found.values()):
        if len(set(named.values())) > 1 or (named and len(named) == len(folders) > 1):
            names = " and ".join(sorted(folder.name for folder in named))
            raise TaskError(
                f"{names} need one folder per class, but {base} has none in them; put images into "
                f"{folders[0].name}/CLASS/"
            )
        return None
    for kind, twice in found.items():
        if len(twice) > 1:
            raise TaskError(
                f"a task has one folder for {kind}, but {base} has {' and '.join(f.name for f in twice)}; keep one"
            )
    held_out = found["val"] or found["test"]
    if not found["train"] or not held_out:
        has, needs = (held_out or found["train"])[0].name, "val" if found["train"] else "train"
        others = ", ".join((_WORDS["val"][:3] + _WORDS["test"][:2]) if needs == "val" else _WORDS["train"][:2])
        raise TaskError(
            f"a folder with {has}/ also needs one of {others}, with one folder per class, but {base} has none; "
            f"to cut validation images off, give {has}/ itself"
        )
    unused = tuple(folder for folder in folders if not any(folder in chosen for chosen in found.values()))
    inner = {kind: _unwrapped(chosen[0], root) for kind, chosen in found.items() if chosen}
    return Layout(inner["train"], inner.get("val"), inner.get("test"), unused)


def _unwrapped(folder: Path, root: Path) -> Path:
    for _ in range(_MOST_WRAPPERS):
        folder = _wrapped(folder, root) or folder
    return folder


def _wrapped(folder: Path, root: Path) -> Path | None:
    """The only folder in a folder, if it holds folders itself."""
    folders = visible_folders(folder)
    if len(folders) != 1:
        return None
    refuse_outside(folders[0], root)
    return folders[0] if visible_folders(folders[0]) else None


def _subfolders(class_folder: Path, paths: list[Path]) -> set[str]:
    depth = len(class_folder.parts)
    return {path.parts[depth] for path in paths if len(path.parts) > depth + 1}
