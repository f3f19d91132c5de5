"""Files and directories that are written as a whole or not at all, whenever a run is killed."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["recover_directory", "replacing", "replacing_directory", "sha256", "write_file"]

_BLOCK_BYTES = 1 << 20


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a new binary file, which replaces ``path`` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o644)  # mkstemp lets nobody else read
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Writes a file. A kill at any moment leaves either the old content or the new one."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing_directory(directory: Path) -> Iterator[Path]:
    """Makes a folder for files, which replaces ``directory`` as a whole when the block ends without an error.

    A kill at any moment leaves either the old directory or the new one; ``recover_directory`` puts it in its place.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    recover_directory(directory)
    fresh = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".new", dir=directory.parent))
    try:
        yield fresh
        fresh.chmod(0o755)  # mkdtemp lets nobody else in
        for path in (*fresh.iterdir(), fresh):
            _sync(path)
        if directory.exists():
            directory.rename(_aside(directory))
        fresh.rename(directory)
        _sync(directory.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(_aside(directory), ignore_errors=True)


def recover_directory(directory: Path) -> None:
    """Puts the old directory back if the process was killed between the two renames of ``replacing_directory``."""
    aside = _aside(directory)
    if aside.exists() and directory.exists():
        shutil.rmtree(aside)
    elif aside.exists():
        aside.rename(directory)


def sha256(path: Path) -> str:
    """SHA-256 of a file of any size, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _aside(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.old")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
