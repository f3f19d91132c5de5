"""Where a task's images come from: files, arrays, or a torchvision data set.

All answer the same questions: one image as RGB, its bytes for hashing, a stamp of it, and a name for messages.
Nothing here knows of labels.
"""

import hashlib
import io
import os
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from hyperstar_tune.log import LOGGER
from hyperstar_tune.tasks.pixels import ValueRange, is_deep, sample_values, to_rgb, to_square, upright_square

MAX_PIXELS = 64_000_000  # one image; as RGB that is 192 MB, beyond it decoding in threads could exhaust a machine
MAX_BYTES = 1 << 29  # one file; 64 megapixels of 16-bit RGB are 384 MB
_WITHOUT_DECODER = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})  # Pillow knows them by name alone
_TELL_EVERY_S = 5.0
# What Pillow raises on damaged files; the last ones come from its PNG, TIFF, GIF and AVIF readers.
_DECODE_ERRORS = (
    *(UnidentifiedImageError, OSError, ValueError, IndexError, Image.DecompressionBombError, MemoryError),
    *(SyntaxError, TypeError, KeyError, OverflowError, struct.error, EOFError, RuntimeError, zlib.error),
)

T = TypeVar("T")
R = TypeVar("R")


class UnreadableImageError(Exception):
    """One image that cannot be used; ``task.py`` counts it and goes on."""


class Source(Protocol):
    """Images of one split, by position."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What to call the image in messages."""

    def raw(self, index: int) -> bytes:
        """The bytes that identify the image."""

    def square(self, index: int, size: int) -> np.ndarray:
        """The image as RGB, ``uint8 [3, size, size]``."""

    def stamp(self, index: int) -> tuple[str, str]:
        """Place of the image, and what changes if it is exchanged, as far as that is known without reading a file."""


def in_threads(function: Callable[[T], R], items: Sequence[T], doing: str = "", threads: int | None = None) -> list[R]:
    """Applies a function in threads, as it mostly waits for Pillow or the disk; the order is kept.

    Args:
        function: What is applied to each item.
        items: The items.
        doing: What is logged every few seconds, with the number of items done.
        threads: The most threads, by default eight or one per core.
    """
    workers = min(threads or min(8, os.cpu_count() or 1), max(1, len(items) // 16))
    with ThreadPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        results: list[R] = []
        told = time.monotonic()
        for result in (pool.map if pool else map)(function, items):
            results.append(result)
            if doing and time.monotonic() - told > _TELL_EVERY_S:
                told = time.monotonic()
                LOGGER.info(f"{doing}: {len(results):,} of {len(items):,}")
        return results


class Files:
    """Image files on disk, which are decoded anew at every request."""

    def __init__(self, paths: Sequence[Path], root: Path | None = None, value_range: ValueRange | None = None) -> None:
        self.paths, self.root, self.value_range = tuple(paths), root, value_range

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Path of the file."""
        return str(self.paths[index])

    def raw(self, index: int) -> bytes:
        """Content of the file."""
        return self.paths[index].read_bytes()

    def square(self, index: int, size: int) -> np.ndarray:
        """The image as RGB, ``uint8 [3, size, size]``."""
        return read_square(self.paths[index], size, self.value_range)

    def stamp(self, index: int) -> tuple[str, str]:
        """Path below the root, and size of the file."""
        path = self.paths[index]
        return path.relative_to(self.root).as_posix() if self.root else path.name, str(path.stat().st_size)


class Arrays:
    """Images in memory, ``uint8 [n, H, W, 3]`` or ``[n, H, W]``."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Number of the image."""
        return f"image {index}"

    def raw(self, index: int) -> bytes:
        """Bytes of its pixels."""
        return np.ascontiguousarray(self.images[index]).tobytes()

    def stamp(self, index: int) -> tuple[str, str]:
        """Digest of its pixels, which has no place."""
        return "", hashlib.sha256(self.raw(index)).hexdigest()

    def square(self, index: int, size: int) -> np.ndarray:
        """The image as RGB, ``uint8 [3, size, size]``."""
        return to_square(to_rgb(Image.fromarray(np.ascontiguousarray(self.images[index]))), size)


class Dataset:
    """A map-style data set that yields ``(PIL image, label)``, as torchvision's do without a transform."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, index: int) -> str:
        """Name of the data set and number of the image."""
        return f"{type(self.dataset).__name__}[{index}]"

    def raw(self, index: int) -> bytes:
        """Bytes of its pixels as RGB."""
        return to_rgb(self.dataset[index][0]).tobytes()

    def square(self, index: int, size: int) -> np.ndarray:
        """The image as RGB, ``uint8 [3, size, size]``."""
        try:
            return upright_square(self.dataset[index][0], size)
        except _DECODE_ERRORS as error:
            raise UnreadableImageError(f"{self.name(index)}: {error}") from error

    def stamp(self, index: int) -> tuple[str, str]:
        """Number of the image: the images of a data set can only be told apart by decoding them."""
        return str(index), ""


class Subset:
    """Some images of another source, in a given order."""

    def __init__(self, source: Source, indices: np.ndarray) -> None:
        self.source, self.indices = source, np.asarray(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        """The name that the other source has for the image."""
        return self.source.name(int(self.indices[index]))

    def raw(self, index: int) -> bytes:
        """The bytes that the other source has for the image."""
        return self.source.raw(int(self.indices[index]))

    def square(self, index: int, size: int) -> np.ndarray:
        """The image as RGB, ``uint8 [3, size, size]``."""
        return self.source.square(int(self.indices[index]), size)

    def stamp(self, index: int) -> tuple[str, str]:
        """What the other source has."""
        return self.source.stamp(int(self.indices[index]))


class Joined:
    """The images of two sources, one after the other."""

    def __init__(self, first: Source, second: Source) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def name(self, index: int) -> str:
        """The name that its source has for the image."""
        source, own = self._of(index)
        return source.name(own)

    def raw(self, index: int) -> bytes:
        """The bytes that its source has for the image."""
        source, own = self._of(index)
        return source.raw(own)

    def square(self, index: int, size: int) -> np.ndarray:
        """The image as RGB, ``uint8 [3, size, size]``."""
        source, own = self._of(index)
        return source.square(own, size)

    def stamp(self, index: int) -> tuple[str, str]:
        """What its source has."""
        source, own = self._of(index)
        return source.stamp(own)

    def _of(self, index: int) -> tuple[Source, int]:
        n = len(self.first)
        return (self.first, index) if index < n else (self.second, index - n)


def read_header(path: Path) -> tuple[str | None, bool]:
    """Why a file cannot be an image (None if it looks readable), and whether it has more than 8 bits per value."""
    try:
        _check_bytes(path)
        try:
            return None, _has_deep_header(path)
        except MemoryError:  # a damaged PNG in an icon asks a file for as many bytes as it claims to have
            return None, _has_deep_header(io.BytesIO(path.read_bytes()))
    except _DECODE_ERRORS as error:
        return str(error).replace("\n", " ") or type(error).__name__, False


def read_values(path: Path) -> np.ndarray | None:
    """Some values of an image of more than 8 bits, float32 [n]; None for other images and unreadable ones."""
    try:
        _check_bytes(path)
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            _check_size(image.size)
            return sample_values(image)
    except _DECODE_ERRORS:
        return None


def read_square(path: Path, size: int, value_range: ValueRange | None = None) -> np.ndarray:
    """An image file as RGB, ``uint8 [3, size, size]``.

    Args:
        path: The file.
        size: Side in pixels.
        value_range: ``ImageTask.value_range`` of the task that the image belongs to.

    Raises:
        UnreadableImageError: If the file holds no image that can be decoded.
    """
    try:
        # From memory: of a file, Pillow asks for as many bytes as a damaged PNG claims to have, and gets a buffer.
        _check_bytes(path)
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            _check_size(image.size)
            return upright_square(image, size, value_range)
    except _DECODE_ERRORS as error:
        raise UnreadableImageError(f"{path}: {error}") from error


def _has_deep_header(file: Path | io.BytesIO) -> bool:
    with Image.open(file) as image:
        _check_size(image.size)
        if image.format in _WITHOUT_DECODER:
            raise UnidentifiedImageError(f"a file of format {image.format}, which is no image")
        return is_deep(image)


def _check_bytes(path: Path) -> None:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"a file of {size:,} bytes, more than {MAX_BYTES:,}")


def _check_size(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"{size[0]} x {size[1]} pixels, more than {MAX_PIXELS:,}")
