"""Reads a folder of images, with one folder per class, and refuses one that makes no task."""

from collections.abc import Sequence
from pathlib import Path

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks.sources import header_problem, image_files, in_threads
from hyperstar_tune.tasks.splits import refuse_small_classes, stratified_cut

TRAIN_FOLDERS = ("train", "training")
VAL_FOLDERS = ("val", "valid", "validation", "test", "testing")


def read_splits(
    root: Path, name: str, seed: int, max_unreadable: float
) -> tuple[dict[str, dict[str, list[Path]]], list[str]]:
    """Image files by split and class, and a text ``path: reason`` for each unreadable one."""
    train_folder, val_folder = (split_folder(root, names) for names in (TRAIN_FOLDERS, VAL_FOLDERS))
    if train_folder is None and val_folder is None:
        names = {p.name.lower() for p in root.iterdir() if p.is_dir()}
        if names and names <= {*TRAIN_FOLDERS, *VAL_FOLDERS}:
            raise TaskError(f"{' and '.join(sorted(names))} need one folder per class, but {root} has none in them")
        files, unreadable, n_found = list_folder(root, root)
        refuse_unreadable(unreadable, n_found, max_unreadable, name)
        refuse_small_classes(files, name)
        splits: dict[str, dict[str, list[Path]]] = {"train": {}, "val": {}}
        for label, (class_name, paths) in enumerate(files.items()):
            kept, cut = stratified_cut(len(paths), seed, label)
            splits["train"][class_name] = [paths[i] for i in kept]
            splits["val"][class_name] = [paths[i] for i in cut]
        return splits, unreadable
    if train_folder is None or val_folder is None:
        has, needs = (train_folder or val_folder or root).name, TRAIN_FOLDERS if train_folder is None else VAL_FOLDERS
        raise TaskError(f"a folder with {has}/ also needs one of {', '.join(needs)}, but {root} has none")
    train, unreadable, n_train = list_folder(train_folder, root)
    val, val_unreadable, n_val = list_folder(val_folder, root)
    unreadable += val_unreadable
    refuse_unreadable(unreadable, n_train + n_val, max_unreadable, name)
    only = sorted(set(train) ^ set(val))
    if only:
        where = (train_folder if only[0] in train else val_folder).name
        raise TaskError(f"train and validation need the same classes, but class {only[0]!r} is only in {where}/")
    refuse_small_classes(train, name)
    return {"train": train, "val": val}, unreadable


def split_folder(root: Path, names: Sequence[str]) -> Path | None:
    """The folder of a split, in upper or lower case. Unlike the folder of a class of that name, it holds folders."""
    folders = {p.name.lower(): p for p in sorted(root.iterdir(), reverse=True) if p.is_dir()}
    found = (folders[name] for name in names if name in folders)
    return next((folder for folder in found if any(inner.is_dir() for inner in folder.iterdir())), None)


def list_folder(folder: Path, root: Path) -> tuple[dict[str, list[Path]], list[str], int]:
    """Readable files per class, a text ``path: reason`` for each other file, and the number of all files."""
    refuse_outside(folder, root)
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise TaskError(f"a task folder needs one folder per class, but {folder} has none; put images into CLASS/")
    files: dict[str, list[Path]] = {}
    unreadable: list[str] = []
    n_found = 0
    for class_folder in classes:
        paths = image_files(class_folder)
        for path in [class_folder, *paths]:
            refuse_outside(path, root)
        problems = in_threads(header_problem, paths)
        unreadable += [f"{p}: {why}" for p, why in zip(paths, problems, strict=True) if why is not None]
        files[class_folder.name] = [p for p, why in zip(paths, problems, strict=True) if why is None]
        n_found += len(paths)
        if not files[class_folder.name]:
            why = f" ({unreadable[-1]})" if paths else ""
            raise TaskError(
                f"every class needs readable images, but class {class_folder.name!r} in {folder} has none{why}"
            )
    return files, unreadable, n_found


def refuse_outside(path: Path, root: Path) -> None:
    """The folder that the user named may be a symlink itself; what it holds may not lead out of it."""
    try:
        leaves = path.is_symlink() and not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:
        raise TaskError(f"symlinks must lead to a file, but {path} is a loop; remove it") from error
    if leaves:
        raise TaskError(f"symlinks may not leave the task folder, but {path} does; copy the files into {root}")


def refuse_unreadable(unreadable: Sequence[str], n_found: int, allowed: float, name: str) -> None:
    """Raises a TaskError if more than the allowed share of a task's images is unreadable."""
    if len(unreadable) > allowed * n_found:
        raise TaskError(
            f"at most {allowed:.0%} of a task's images may be unreadable, but {len(unreadable)} of {n_found} of {name} "
            f"are, the first {unreadable[0]}; repair or remove them, or raise max_unreadable"
        )
