"""Finds the image files of a folder of classes, by their content and not by their ending.

Hidden files and what machines leave behind (thumbnails, checkpoints of notebooks) are skipped at any depth. Headers are
read by many threads at once, because a network disk answers each request late but many together. A header is read once
per process, and of a large folder only a sample is read as long as that raises no doubt.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks.sources import in_threads, read_header

USUAL = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif"})
# Endings of notes about images. They are counted when they lie among images, but never taken for lost images.
NOTES = frozenset(
    f".{ending}"
    for endings in ("txt csv tsv json jsonl xml yaml yml md html htm", "ini cfg log py ipynb xmp aae url lnk db")
    for ending in endings.split()
)
_MACHINES = frozenset(
    {
        *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "__macosx", "__pycache__", "lost+found", "lost.dir"),
        *("$recycle.bin", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    }
)
_ALL_HEADERS = 2000  # images of a folder up to which every header is read
_SAMPLED_HEADERS = 1000
_THREADS = 32
_seen: dict[Path, tuple[tuple[int, int], tuple[str | None, bool]]] = {}  # (time and size of the file), header


@dataclass(frozen=True)
class Scan:
    """What was found below some class folders."""

    files: dict[str, list[Path]]  # class -> images, sorted
    problems: dict[Path, str]  # files with the ending of an image that are none, and why
    left_out: dict[Path, str]  # other files that could not be read as images, and why
    n_notes: int  # files of text beside the images
    deep: list[Path]  # images of more than 8 bits, as far as headers were read

    @property
    def n_files(self) -> int:
        """Number of files that are images or may be meant as such."""
        return sum(map(len, self.files.values())) + len(self.problems) + len(self.left_out)


def visible_folders(folder: Path) -> list[Path]:
    """The folders in a folder that people made, sorted."""
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if not _skipped(entry.name) and entry.is_dir())


def visible_files(folder: Path) -> list[Path]:
    """The files straight in a folder, without hidden ones."""
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if not _skipped(entry.name) and entry.is_file()]


def list_files(folder: Path, root: Path, strict: bool = True) -> list[Path]:
    """Files below a class folder, sorted, without hidden ones; a link to a folder counts as a file.

    Raises:
        TaskError: If ``strict`` and a symlink leads out of the root. Otherwise, such a link is left out.
    """
    return sorted(_walk(folder, root, strict))


def scan_classes(listed: Mapping[str, list[Path]], what: str) -> Scan:
    """Tells images from other files, by their headers where needed.

    Args:
        listed: Files of each class.
        what: Name of the folder, for messages about progress.
    """
    files = {name: [path for path in paths if path.suffix.lower() not in NOTES] for name, paths in listed.items()}
    usual = [path for paths in files.values() for path in paths if path.suffix.lower() in USUAL]
    other = [path for paths in files.values() for path in paths if path.suffix.lower() not in USUAL]
    step = 1 if len(usual) <= _ALL_HEADERS else len(usual) // _SAMPLED_HEADERS
    first = [paths[0] for paths in files.values() if paths]
    headers = _headers(list(dict.fromkeys([*usual[::step], *first, *other])), what)
    if step > 1 and any(headers[path][0] is not None for path in [*usual[::step], *first]):
        headers |= _headers(usual, what)
    problems = {path: why for path, (why, _) in headers.items() if why is not None}
    return Scan(
        files={name: [path for path in paths if path not in problems] for name, paths in files.items()},
        problems={path: why for path, why in problems.items() if path.suffix.lower() in USUAL},
        left_out={path: why for path, why in problems.items() if path.suffix.lower() not in USUAL},
        n_notes=sum(map(len, listed.values())) - len(usual) - len(other),
        deep=[path for path, (_, deep) in headers.items() if deep],
    )


def by_ending(paths: Mapping[Path, str] | list[Path]) -> str:
    """Numbers of files by ending, most frequent first: ``30 .heic, 2 without ending``."""
    counts = Counter(path.suffix.lower() for path in paths)
    return ", ".join(f"{n} {ending or 'without ending'}" for ending, n in counts.most_common())


def refuse_outside(path: Path, root: Path) -> None:
    """The folder that the user named may be a symlink itself; what it holds may not lead out of it."""
    try:
        leaves = path.is_symlink() and not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:
        raise TaskError(f"symlinks must lead to a file, but {path} is a loop; remove it") from error
    if leaves:
        raise TaskError(f"symlinks may not leave the task folder, but {path} does; copy the files into {root}")


def _skipped(name: str) -> bool:
    return name.startswith(".") or name.lower() in _MACHINES


def _walk(folder: Path, root: Path, strict: bool) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if _skipped(entry.name):
                continue
            path = Path(entry.path)
            if entry.is_symlink():
                try:
                    refuse_outside(path, root)
                except TaskError:
                    if strict:
                        raise
                    continue
            elif entry.is_dir():
                yield from _walk(path, root, strict)
                continue
            if entry.is_symlink() or entry.is_file():
                yield path


def _headers(paths: list[Path], what: str) -> dict[Path, tuple[str | None, bool]]:
    return dict(zip(paths, in_threads(_header, paths, f"reading headers of {what}", _THREADS), strict=True))


def _header(path: Path) -> tuple[str | None, bool]:
    try:
        found = path.stat()
    except OSError as error:
        return str(error), False
    state, known = (found.st_mtime_ns, found.st_size), _seen.get(path)
    if known is None or known[0] != state:
        _seen[path] = known = (state, read_header(path))
    return known[1]
