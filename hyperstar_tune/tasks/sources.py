"""Where a task's images come from, and how they become small RGB arrays.

Three sources (files, arrays, a torchvision data set) answer the same three questions: one image as RGB, its bytes for
hashing, and a name for messages. Nothing here knows of labels.
"""

import io
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif"})
MAX_PIXELS = 64_000_000  # one image; as RGB that is 192 MB, beyond it decoding in threads could exhaust a machine
MAX_BYTES = 1 << 29  # one file; 64 megapixels of 16-bit RGB are 384 MB
# What Pillow raises on damaged files; the last five come from its PNG and TIFF readers.
_DECODE_ERRORS = (
    *(UnidentifiedImageError, OSError, ValueError, IndexError, Image.DecompressionBombError, MemoryError),
    *(SyntaxError, TypeError, KeyError, OverflowError, struct.error),
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


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Applies a function in threads, as it mostly waits for Pillow or the disk; the order is kept."""
    workers = min(8, os.cpu_count() or 1, max(1, len(items) // 16))
    if workers == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any Pillow mode as 8-bit RGB; 16-bit and float images are scaled, not clipped."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.array(image, dtype=np.float32)  # changed in place: a large image would not fit several times
        np.nan_to_num(values, copy=False)
        top = float(values.max()) if values.size else 0.0
        if image.mode.startswith("I;16") or top > 255:
            values /= 257.0  # 65535 / 255
        elif image.mode == "F" and top <= 1.0:
            values *= 255.0
        image = Image.fromarray(np.clip(values, 0, 255, out=values).astype(np.uint8))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def to_square(image: Image.Image, size: int) -> np.ndarray:
    """Resizes to ``uint8 [3, size, size]``, antialiased bilinear; nothing is cut off, so the aspect ratio changes."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


class Files:
    """Image files on disk, which are decoded anew at every request."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

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
        try:
            # From memory: of a file, Pillow asks for as many bytes as a damaged PNG claims to have, and gets a buffer.
            _check_bytes(self.paths[index])
            with Image.open(io.BytesIO(self.raw(index))) as image:
                _check_size(image.size)
                image.draft("RGB", (2 * size, 2 * size))  # large JPEGs: decode at a fraction, still above the target
                return to_square(to_rgb(image), size)
        except _DECODE_ERRORS as error:
            raise UnreadableImageError(f"{self.paths[index]}: {error}") from error


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
            return to_square(to_rgb(self.dataset[index][0]), size)
        except _DECODE_ERRORS as error:
            raise UnreadableImageError(f"{self.name(index)}: {error}") from error


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


def header_problem(path: Path) -> str | None:
    """Why a file cannot be an image, from its header alone; None if it looks readable."""
    try:
        _check_bytes(path)
        with Image.open(path) as image:
            _check_size(image.size)
    except _DECODE_ERRORS as error:
        return str(error).replace("\n", " ")
    return None


def image_files(folder: Path) -> list[Path]:
    """Image files below a class folder, sorted, hidden files left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file() or path.is_symlink())


def _check_bytes(path: Path) -> None:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"a file of {size:,} bytes, more than {MAX_BYTES:,}")


def _check_size(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"{size[0]} x {size[1]} pixels, more than {MAX_PIXELS:,}")
