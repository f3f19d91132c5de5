"""Folders of images as people have them, for tests."""

import struct
import zlib

import numpy as np
from PIL import Image

COLOURS = {"cats": (200, 60, 60), "dogs": (60, 60, 200)}


def noise(*seed, side=24, colour=(120, 120, 120)):
    """An image that no other looks like, uint8 [side, side, 3], around a colour."""
    blocks = np.random.default_rng(seed).integers(-55, 55, (6, 6, 3))
    return np.clip(np.kron(blocks, np.ones((side // 6, side // 6, 1))) + colour, 0, 255).astype(np.uint8)


def write_pets(folder, n=6, seed=0, suffix=".png", classes=("cats", "dogs")):
    """Two classes of n images each, which differ in their colour."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            pixels = noise(seed, label, i, colour=list(COLOURS.values())[label % 2])
            Image.fromarray(pixels).save(folder / name / f"{i}{suffix}")
    return folder


def png16(values):
    """A PNG of 16 bits per value, from uint16 [H, W, C] with three or four channels, which Pillow cannot write."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def tiff16(values, order="<"):
    """A TIFF of 16 bits per value, from uint16 [H, W, 3], in either order of bytes."""
    height, width, channels = values.shape
    data = values.astype(f"{order}u2").tobytes()
    entries = 10
    bits_at = 8 + 2 + 12 * entries + 4
    long, short = "HHII", "HHIHH"
    tags = [
        *((long, 256, 4, 1, width), (long, 257, 4, 1, height), (long, 258, 3, channels, bits_at)),
        *((short, 259, 3, 1, 1, 0), (short, 262, 3, 1, 2, 0), (long, 273, 4, 1, bits_at + 2 * channels)),
        *((short, 277, 3, 1, channels, 0), (long, 278, 4, 1, height), (long, 279, 4, 1, len(data))),
        (short, 284, 3, 1, 1, 0),
    ]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, entries)
    head += b"".join(struct.pack(f"{order}{kind}", *tag) for kind, *tag in tags)
    return head + struct.pack(f"{order}I{channels}H", 0, *[16] * channels) + data
