"""How one image of any Pillow mode becomes a small RGB array: the same way in training, validation and prediction.

Images of 8 bits are taken as they are. Images of more bits (scientific PNGs and TIFFs) are scaled by one range of
values for the whole task, since a range of their own would make every image as bright as the others. Transparent pixels
show a white background, and images lie as their EXIF orientation says.
"""

import io
import re
import sys
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from PIL import Image

with suppress(ImportError):  # photographs of phones, where the package is installed
    import pillow_heif

    pillow_heif.register_heif_opener()

BACKGROUND = (255, 255, 255)  # white, as paper and web pages are
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112  # of EXIF
_WHITE_IS_0 = (262, 0)  # TIFF tag and value of an image whose low values are light; Pillow heeds it for 8 bits only
_NO_DATA = 42113  # the TIFF tag in which geographic software keeps the value of pixels that were not measured
_TOPS = (1, 255, 1023, 4095, 16383, 65535)  # what white is in the usual depths; 1 for shares
_SAMPLED_VALUES = 4096  # per image
_ROWS = 256
# Pillow reads 16-bit colour by its upper bytes. Read with the bytes of each value exchanged, it gives the lower ones.
_EXCHANGED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}

ValueRange = tuple[float, float]


def is_deep(image: Image.Image) -> bool:
    """Whether an image that was opened but not loaded has more than 8 bits per value."""
    return image.mode.startswith("I") or image.mode == "F" or _deep_colour(image) is not None


def deep_values(image: Image.Image) -> np.ndarray | None:
    """Values of an image of more than 8 bits; None if it has 8.

    Returns:
        float32 [H, W], NaN where unknown, or uint16 [H, W, 3].
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.array(image, dtype=np.float32)
        with suppress(AttributeError, KeyError, ValueError, TypeError):
            values[values == np.float32(image.tag_v2[_NO_DATA].strip("\0 "))] = np.nan  # type: ignore[attr-defined]
        values[~(np.abs(values) < 1e30)] = np.nan  # infinite, or the lowest float as a mark of missing values
        if getattr(image, "tag_v2", {}).get(_WHITE_IS_0[0]) == _WHITE_IS_0[1]:
            values = (65535 if image.mode.startswith("I;16") else 0) - values
        return values
    exchanged, file = _deep_colour(image), getattr(image, "fp", None)
    if exchanged is None or not isinstance(file, io.BytesIO):
        return None
    with Image.open(io.BytesIO(file.getvalue())) as low:
        low.tile = [
            tile._replace(args=(exchanged, *tile.args[1:]) if isinstance(tile.args, tuple) else exchanged)
            for tile in getattr(low, "tile", ())
        ]
        values = np.asarray(low)[..., :3].astype(np.uint16)
    values += np.left_shift(np.asarray(image)[..., :3], 8, dtype=np.uint16)
    return values


def sample_values(image: Image.Image) -> np.ndarray | None:
    """Some of the values that ``deep_values`` gives, float32 [n], without those of transparent pixels."""
    values = deep_values(image)
    if values is None:
        return None
    if image.mode == "RGBA":
        values = values[np.asarray(image.getchannel("A")) > 0]
    if values.size <= _SAMPLED_VALUES:
        return values.ravel().astype(np.float32)
    return values.ravel()[np.random.default_rng(0).integers(0, values.size, _SAMPLED_VALUES)].astype(np.float32)


def observed_range(samples: Sequence[np.ndarray]) -> ValueRange:
    """Which values become black and white, from samples of the values of some images.

    These are 0 and the white of a usual depth (1, 8, 10, 12, 14 or 16 bits) if the values fill more than half of it.
    Otherwise they are the values that 0.1 % of the pixels lie below and above.
    """
    values = np.concatenate([sample.ravel() for sample in samples])
    values = values[np.isfinite(values)]
    low, high = (float(v) for v in np.percentile(values, [0.1, 99.9])) if values.size else (0.0, 0.0)
    top = next((top for top in _TOPS if high <= top), high)
    if low >= 0 and (high - low > top / 2 or low == high):
        return 0.0, float(top)
    return (low, high) if low < high else (low - 1.0, low + 1.0)


def to_rgb(image: Image.Image, value_range: ValueRange | None = None) -> Image.Image:
    """An image of any Pillow mode as 8-bit RGB on a white background.

    Args:
        image: The image, which is loaded.
        value_range: The values of black and white in an image of more than 8 bits; by default its own range.
    """
    values = deep_values(image)
    if values is not None:
        if value_range is None:
            seen = values[np.asarray(image.getchannel("A")) > 0] if image.mode == "RGBA" else values
            value_range = observed_range([seen])
        scaled = Image.fromarray(_scaled(values, value_range))
        if image.mode == "RGBA":
            scaled.putalpha(image.getchannel("A"))
        image = scaled
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa"):
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            image = Image.alpha_composite(Image.new("RGBA", image.size, (*BACKGROUND, 255)), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def to_square(image: Image.Image, size: int) -> np.ndarray:
    """Resizes to ``uint8 [3, size, size]``, antialiased bilinear; nothing is cut off, so the aspect ratio changes."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


def upright_square(image: Image.Image, size: int, value_range: ValueRange | None = None) -> np.ndarray:
    """An opened image as ``uint8 [3, size, size]``, turned as its EXIF orientation says."""
    image.draft("RGB", (2 * size, 2 * size))  # large JPEGs: decode at a fraction, still above the target
    rgb = to_rgb(image, value_range)
    rgb.load()  # TIFFs are turned when they are loaded, and then have no orientation any more
    turn = None
    with suppress(Exception):  # damaged EXIF data are no reason to lose the image
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    if turn is None:
        return to_square(rgb, size)
    small = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return to_square(small.transpose(turn), size)


def _scaled(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Values as uint8 of the same shape; some rows at a time, since a large image would not fit several times."""
    low, high = value_range
    scaled = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS):
        part = np.nan_to_num(values[start : start + _ROWS].astype(np.float32), copy=False, nan=low)
        part = (part - np.float32(low)) * np.float32(255.0 / (high - low))
        scaled[start : start + _ROWS] = np.rint(np.clip(part, 0, 255))
    return scaled


def _deep_colour(image: Image.Image) -> str | None:
    """The raw mode with the bytes of each value exchanged, if the image is 16-bit colour and not loaded."""
    rawmodes = {_rawmode(tile.args) for tile in getattr(image, "tile", ())}
    found = re.fullmatch(r"(RGBA?);16([BLN])", rawmodes.pop()) if len(rawmodes) == 1 else None
    return f"{found[1]};16{_EXCHANGED[found[2]]}" if found else None


def _rawmode(args: object) -> str:
    return str(args[0] if isinstance(args, tuple) and args else args)
