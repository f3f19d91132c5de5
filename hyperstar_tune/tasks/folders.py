"""Reads a folder of images, with one folder per class, and refuses one that makes no task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperstar_tune.errors import TaskError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.tasks.layout import find_layout, refuse_disguised_splits, unused_parts
from hyperstar_tune.tasks.pixels import ValueRange, observed_range
from hyperstar_tune.tasks.scan import Scan, by_ending, list_files, refuse_outside, scan_classes, visible_folders
from hyperstar_tune.tasks.sources import in_threads, read_values
from hyperstar_tune.tasks.splits import refuse_small_classes, stratified_cut

_RANGE_IMAGES = 64  # training images whose values are looked at


@dataclass(frozen=True)
class Folder:
    """The images of a task folder."""

    files: dict[str, dict[str, list[Path]]]  # split -> class -> files
    problems: dict[Path, str]
    value_range: ValueRange | None  # of images of more than 8 bits
    test: Path | None  # folder of test images of the same classes
    remarks: tuple[str, ...]  # which files and folders are not used


def read_folder(root: Path, name: str, seed: int, max_unreadable: float) -> Folder:
    """Image files by split and class; raises a TaskError if they make no task."""
    layout = find_layout(root)
    scans = {split: _scan(folder, root) for split, folder in layout.splits.items()}
    for folder, scan in zip(layout.splits.values(), scans.values(), strict=True):
        refuse_empty_classes(scan, folder)
    problems = {path: why for scan in scans.values() for path, why in (scan.problems | scan.left_out).items()}
    refuse_unreadable(problems, sum(scan.n_files for scan in scans.values()), max_unreadable, name)
    first = next(iter(scans.values()))
    if layout.val is None:
        refuse_small_classes(first.files, name)
        files: dict[str, dict[str, list[Path]]] = {"train": {}, "val": {}}
        for label, (class_name, paths) in enumerate(first.files.items()):
            kept, cut = stratified_cut(len(paths), seed, label)
            files["train"][class_name] = [paths[i] for i in kept]
            files["val"][class_name] = [paths[i] for i in cut]
    else:
        files = {split: scan.files for split, scan in scans.items()}
        only = sorted(set(files["train"]) ^ set(files["val"]))
        if only:
            where = (layout.train if only[0] in files["train"] else layout.val).name
            raise TaskError(f"train and validation need the same classes, but class {only[0]!r} is only in {where}/")
        refuse_small_classes(files["train"], name)
    test = _test_folder(layout.test, files["train"], root)
    remarks = [f"files that cannot be read: {by_ending(problems)}"] if problems else []
    if unused := unused_parts(root, layout):
        remarks.append(f"not used: {', '.join(unused)}")
    return Folder(files, problems, _value_range(scans.values(), files["train"]), test, tuple(remarks))


def list_classes(folder: Path, root: Path, strict: bool = True) -> dict[str, list[Path]]:
    """Files by class of a folder that holds one folder per class.

    Raises:
        TaskError: If there is no class, or ``strict`` and a symlink leads out of the root.
    """
    refuse_outside(folder, root)
    classes = visible_folders(folder)
    if not classes:
        raise TaskError(f"a task folder needs one folder per class, but {folder} has none; put images into CLASS/")
    if strict:
        for class_folder in classes:
            refuse_outside(class_folder, root)
    return {class_folder.name: list_files(class_folder, root, strict) for class_folder in classes}


def refuse_empty_classes(scan: Scan, folder: Path) -> None:
    """Raises a TaskError if a class has no image."""
    problems = scan.problems | scan.left_out
    for name, files in scan.files.items():
        if not files:
            why = next((f" ({path}: {why})" for path, why in problems.items() if (folder / name) in path.parents), "")
            raise TaskError(
                f"every class needs readable images, but class {name!r} in {folder} has none{why}{remedy(problems)}"
            )


def refuse_unreadable(problems: Mapping[Path, str] | Sequence[str], n_files: int, allowed: float, name: str) -> None:
    """Raises a TaskError if more than the allowed share of a task's images is unreadable."""
    if len(problems) <= allowed * n_files:
        return
    first, kinds = str(next(iter(problems))), ""
    if isinstance(problems, Mapping):
        first, kinds = ": ".join(map(str, next(iter(problems.items())))), f" ({by_ending(problems)})"
    raise TaskError(
        f"at most {allowed:.0%} of a task's images may be unreadable, but {len(problems)} of {n_files} of {name} are"
        f"{kinds}, the first {first}; repair or remove them, or raise max_unreadable{remedy(problems)}"
    )


def remedy(paths: Iterable[object]) -> str:
    """What reads the files, if only a package is missing."""
    phone = any(str(path).lower().endswith((".heic", ".heif", ".hif")) for path in paths)
    return "; pip install pillow-heif reads HEIC" if phone else ""


def _test_folder(folder: Path | None, classes: Iterable[str], root: Path) -> Path | None:
    """The test folder, unless it has other classes, like one of images without labels."""
    if folder is None:
        return None
    refuse_outside(folder, root)
    others = sorted({path.name for path in visible_folders(folder)} - set(classes))
    if not others:
        return folder
    LOGGER.warning(f"{folder.name}/ is not used, as it has classes that training images lack, such as {others[0]!r}")
    return None


def _scan(folder: Path, root: Path) -> Scan:
    listed = list_classes(folder, root)
    refuse_disguised_splits(listed, folder)
    return scan_classes(listed, folder.relative_to(root.parent).as_posix())


def _value_range(scans: Iterable[Scan], train: Mapping[str, list[Path]]) -> ValueRange | None:
    """The values of black and white in a sample of the training images of more than 8 bits; None if there are none."""
    deep = [path for scan in scans for path in scan.deep]
    training = {path for paths in train.values() for path in paths}
    deep = [path for path in deep if path in training] or deep
    values = in_threads(read_values, deep[:: max(1, -(-len(deep) // _RANGE_IMAGES))])
    found = [sample for sample in values if sample is not None]
    return observed_range(found) if found else None
