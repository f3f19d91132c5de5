"""Sound images and folders as people have them, drawn at random, whose content is known.

Nothing here is damaged. A picture is encoded in some container, mode, depth and orientation, and a folder lies around
it under some names of splits. Whatever is drawn has to be read, and as what it shows: a picture that is read as another
one is a silent change of meaning, which no error tells.
"""

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from hyperstar_tune.errors import HyperStarError
from hyperstar_tune.tasks import ImageTask, check_folder, read_square
from hyperstar_tune.tasks.sources import UnreadableImageError

__all__ = ["draw_folder", "draw_image", "encoded", "recognize_folder", "recognize_image"]

SIDE, SCALE, N_PICTURES = 24, 4, 4
_CORNER = np.zeros((SIDE, SIDE), bool)
_CORNER[3:12, 5:21] = True
_CORNER[3:20, 15:21] = True  # no turn and no mirror image of it is the same
MASKS = [np.rot90(_CORNER, k) for k in range(N_PICTURES)]
_STORED = {  # how a camera that writes an orientation lays the pixels down
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda a: np.rot90(np.transpose(a), 2),
    8: lambda a: np.rot90(a, -1),
}
_ORIENTATION = 0x0112
_WITH_EXIF = ("jpeg", "mpo", "png", "webp", "avif", "tiff")
_LOSSY = ("jpeg", "mpo", "webp", "avif", "jpeg2000")
_KINDS = (
    *(("jpeg", mode) for mode in ("L", "RGB", "CMYK")),
    *(("png", mode) for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16", "RGB;16", "RGBA;16", "tRNS")),
    *(("tiff", mode) for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I;16B", "I", "F")),
    *(("tiff", mode) for mode in ("white is 0", "16 bits, white is 0", "RGB;16")),
    *((kind, mode) for kind in ("webp", "avif") for mode in ("RGB", "RGBA")),
    *(("gif", "P"), ("gif", "tRNS"), ("bmp", "1"), ("bmp", "L"), ("bmp", "P"), ("bmp", "RGB"), ("mpo", "RGB")),
    *(("ppm", "1"), ("ppm", "L"), ("ppm", "RGB"), ("ppm", "I;16"), ("ppm", "F"), ("ico", "RGBA"), ("pcx", "P")),
    *(("tga", "L"), ("tga", "P"), ("tga", "RGB"), ("tga", "RGBA"), ("jpeg2000", "L"), ("jpeg2000", "RGB")),
    *(("jpeg2000", "RGBA"), ("jpeg2000", "I;16"), ("sgi", "L"), ("sgi", "RGB"), ("sgi", "RGBA"), ("dds", "RGBA")),
    *(("im", "L"), ("im", "RGB"), ("xbm", "1"), ("pcx", "L"), ("pcx", "RGB"), ("dds", "RGB")),
)
_DEEP = {  # the mode's usual values of black, and steps to the next of 255 levels: one pair for a folder
    **dict.fromkeys(("I;16", "I;16B", "I"), ((0, 16), (0, 257), (27_000, 15), (100, 4))),
    "F": ((0.0, 1 / 255), (270.0, 0.2), (-1.0, 2 / 255), (0.0, 16.0)),
    **dict.fromkeys(("RGB;16", "RGBA;16", "16 bits, white is 0"), ((0, 16), (0, 257))),
}
Kind = tuple[str, str, tuple[float, float]]  # container, mode, black and step of values


def draw_kinds(chance: random.Random) -> list[Kind]:
    """All kinds of images of 8 bits, and one deep mode with one scale, as a folder may hold them."""
    deep = chance.choice(sorted(_DEEP))
    scale = chance.choice(_DEEP[deep])
    shallow: list[Kind] = [(kind, mode, (0, 1)) for kind, mode in _KINDS if mode not in _DEEP]
    return [*shallow, *((kind, mode, scale) for kind, mode in _KINDS if mode == deep)]


def encoded(label: int, kinds: list[Kind], chance: random.Random) -> tuple[str, bytes]:
    """A picture as a file: container, mode and orientation as text, and the bytes."""
    kind, mode, scale = chance.choice(kinds)
    orientation = chance.randrange(1, 9) if kind in _WITH_EXIF and mode not in ("RGB;16", "RGBA;16") else 1
    shown = np.where(MASKS[label], 255, chance.randrange(0, 110)).astype(np.uint8)
    pixels = np.kron(_STORED[orientation](shown), np.ones((SCALE, SCALE), np.uint8))
    options: dict[str, Any] = {"quality": 95} if kind in ("jpeg", "mpo", "webp", "avif") else {}
    if kind == "tiff":
        options["tiffinfo"] = TiffImagePlugin.ImageFileDirectory_v2()
        options["tiffinfo"][_ORIENTATION] = orientation
    elif orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][_ORIENTATION] = orientation
    what = f"{kind} {mode} {orientation}"
    if mode in ("RGB;16", "RGBA;16"):
        return what, (_png16 if kind == "png" else _tiff16)(pixels, mode, int(scale[1]), chance)
    if kind == "tiff" and mode not in ("F", "YCbCr"):
        options["compression"] = chance.choice((None, "tiff_lzw", "tiff_adobe_deflate"))
    elif kind == "jpeg":
        options |= {"progressive": chance.random() < 0.5, "optimize": chance.random() < 0.5}
    elif kind == "webp":
        options["lossless"] = chance.random() < 0.5
    elif kind == "ico":
        options["sizes"] = [(pixels.shape[1], pixels.shape[0])]
    elif kind in ("gif", "webp", "png") and mode in ("L", "RGB", "P") and chance.random() < 0.2:  # an animation
        options |= {"save_all": True, "append_images": [Image.fromarray(255 - pixels)]}
    image = _of_mode(pixels, mode, scale, options)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return what, buffer.getvalue()


def draw_image(_: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """One picture; its label is the name of its folder."""
    label = chance.randrange(N_PICTURES)
    what, content = encoded(label, draw_kinds(chance), chance)
    suffix = chance.choice(("", ".bin", ".jfif", ".JPG", ".png", f".{what.split()[0]}"))
    return {f"{label}/{what.replace(';', '-')}{suffix}": content}


def recognize_image(folder: Path) -> None:
    """Reads a picture; an AssertionError if it is not read, or as another one."""
    path = next(path for path in folder.rglob("*") if path.is_file())
    try:
        square = read_square(path, SIDE)
    except UnreadableImageError as error:
        raise AssertionError(f"a sound image must be read, but: {error}") from error
    _check(square, int(path.parent.name), path.name)


def draw_folder(_: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """A folder of two classes with its splits, and what machines leave in it."""
    labels = chance.sample(range(N_PICTURES), 2)
    names = chance.choice(
        (("cats", "dogs"), ("0", "1"), ("Ärzte", "日本"), ("train_station", "harbour"), ("a b", "c d"))
    )
    splits = chance.choice(
        (
            *((("", 10),), (("train", 6), ("val", 4)), (("training_set", 6), ("test_set", 4))),
            *((("seg_train/seg_train", 6), ("seg_test/seg_test", 4)), (("train2017", 6), ("val2017", 4))),
            *((("train", 6), ("valid", 4), ("test", 4)), (("TRAINING", 6), ("Dev", 4))),
        )
    )
    wrapper = chance.choice(("", "", "data/", "archive/images/"))
    # A cut-out of one colour has no range of values to observe, so it does not fix the scale of a folder.
    files, kinds = {}, [kind for kind in draw_kinds(chance) if kind[1] != "RGBA;16"]
    for split, n in splits:
        for label, name in zip(labels, names, strict=True):
            inner = chance.choice(("", "", "original/"))
            place = "/".join(part for part in (f"{wrapper}{split}", name) if part)
            for i in range(n):
                what, content = encoded(label, kinds, chance)
                suffix = chance.choice(("", ".jfif", ".JPEG", ".png", f".{what.split()[0]}"))
                files[f"{place}/{inner}{label}-{i}{suffix}"] = content
                if chance.random() < 0.1:
                    hidden = chance.choice((".ipynb_checkpoints", "@eaDir", "__MACOSX", ".thumbnails", "#recycle"))
                    files[f"{place}/{hidden}/{1 - label}-{i}.png"] = content
            if chance.random() < 0.3:
                files[f"{place}/{chance.choice(('Thumbs.db', '.DS_Store', 'labels.csv', 'notes.txt'))}"] = b"nothing"
    return files


def recognize_folder(folder: Path) -> None:
    """Reads a folder as a task; an AssertionError if it is refused, or has other classes or images than it shows."""
    try:
        task, report = ImageTask.from_folder(folder), check_folder(folder)
    except HyperStarError as error:
        raise AssertionError(f"a sound folder must be read, but: {error}") from error
    images = [path for path in folder.rglob("*-*") if not any(p.startswith((".", "@", "#", "__")) for p in path.parts)]
    assert report.refused is None, report.refused
    tested = sum(map(task.test_folder.__eq__, (p for path in images for p in path.parents))) if task.test_folder else 0
    assert task.n_train + task.n_val + tested == len(images), (task, len(images), sorted(map(str, images)))
    assert len(task.classes) == 2, task.classes
    for split in ("train", "val"):
        shown = task.images(split, SIDE)
        for index, label in enumerate(task.labels(split)):
            path = Path(task.sources[split].name(index))
            assert task.classes[label] in path.parts, (path, task.classes[label])
            _check(shown[index], int(path.name[0]), str(path))


def _check(square: np.ndarray, label: int, what: str) -> None:
    """Holds an image against all pictures: light and dark may be another, what is light and what is dark may not."""
    grey = square.mean(axis=0)
    alike = [float(np.corrcoef(grey.ravel(), mask.ravel())[0, 1]) for mask in MASKS]
    assert alike[label] > 0.9, (
        f"{what}: picture {label} was read as {int(np.argmax(alike))} {np.round(alike, 2).tolist()}"
    )


def _of_mode(pixels: np.ndarray, mode: str, scale: tuple[float, float], options: dict[str, Any]) -> Image.Image:
    if mode in ("LA", "RGBA"):  # white parts are transparent, and black below
        image = Image.fromarray(np.where(pixels == 255, 0, pixels)).convert(mode)
        image.putalpha(Image.fromarray(np.where(pixels == 255, 0, 255).astype(np.uint8)))
        return image
    if mode == "tRNS":  # one value or colour of the palette is transparent
        dark = int(pixels.min())
        light = (dark + 128) % 256
        options["transparency"] = light
        return Image.fromarray(np.where(pixels == 255, light, dark).astype(np.uint8))
    if mode in ("I;16", "I;16B", "I", "F"):
        values = scale[0] + pixels.astype(np.float64) * scale[1]
        if mode == "I;16B":
            return Image.frombytes("I;16B", pixels.shape[::-1], values.astype(">u2").tobytes())
        return Image.fromarray(values.astype({"F": np.float32, "I": np.int32}.get(mode, np.uint16)))
    if mode.endswith("white is 0"):
        options["tiffinfo"][262] = 0
        if mode.startswith("16"):
            return Image.fromarray((65535 - pixels.astype(np.uint16) * int(scale[1])).astype(np.uint16))
        return Image.fromarray(pixels)  # Pillow inverts it
    image = Image.fromarray(pixels)
    if mode == "1":
        return image.point(lambda v: 255 if v > 200 else 0).convert("1")
    return image.quantize(16) if mode == "P" else image.convert("RGB").convert(mode)


def _png16(pixels: np.ndarray, mode: str, step: int, _: random.Random) -> bytes:
    """A PNG of 16 bits per value, which Pillow cannot write."""
    values = pixels.astype(np.uint16)[..., None].repeat(3, axis=2) * step
    if mode == "RGBA;16":
        alpha = np.where(pixels == 255, 0, 65535).astype(np.uint16)
        values = np.concatenate([np.where(pixels[..., None] == 255, 0, values), alpha[..., None]], axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, {3: 2, 4: 6}[values.shape[2]], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def _tiff16(pixels: np.ndarray, _: str, step: int, chance: random.Random) -> bytes:
    """A TIFF of 16 bits per value and three channels, which Pillow cannot write."""
    order = chance.choice("<>")
    height, width = pixels.shape
    data = (pixels.astype(np.uint16)[..., None].repeat(3, axis=2) * step).astype(f"{order}u2").tobytes()
    entries, bits_at = 10, 8 + 2 + 12 * 10 + 4
    long, short = "HHII", "HHIHH"
    tags = [
        *((long, 256, 4, 1, width), (long, 257, 4, 1, height), (long, 258, 3, 3, bits_at), (short, 259, 3, 1, 1, 0)),
        *(
            (short, 262, 3, 1, 2, 0),
            (long, 273, 4, 1, bits_at + 6),
            (short, 277, 3, 1, 3, 0),
            (long, 278, 4, 1, height),
        ),
        *((long, 279, 4, 1, len(data)), (short, 284, 3, 1, 1, 0)),
    ]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, entries)
    head += b"".join(struct.pack(f"{order}{form}", *tag) for form, *tag in tags)
    return head + struct.pack(f"{order}I3H", 0, 16, 16, 16) + data
