"""Finds validation images that look like a training image: copies of another size, compression or format.

Images whose perceptual hashes differ in few of 64 bits are compared pixel by pixel at a small size. Such hashes have
one of their eight bytes in common, so that only images with an equal byte are compared, not all pairs.
"""

import importlib.util
from collections.abc import Sequence

import numpy as np
from PIL import Image

from hyperstar_tune.tasks.pixels import to_square

AVAILABLE = importlib.util.find_spec("imagehash") is not None  # the extra "check"
_MOST_BITS = 10  # up to seven are always found, most of the others
_COMPARED = 50  # nearest training images that are compared with one validation image: drawings have few hashes
_SIDE = 16  # pixels of the images that are compared
_MOST_DIFFERENCE = 6.0  # mean difference of two looks of the same image, of 255
_LEAST_CORRELATION = 0.99
_BITS_OF_BYTE = np.array([bin(i).count("1") for i in range(256)], dtype=np.uint8)


def look(square: np.ndarray) -> tuple[np.uint64, np.ndarray]:
    """Perceptual hash and small version, ``uint8 [3 * 16 * 16]``, of an image ``uint8 [3, S, S]``."""
    import imagehash  # an extra of this package

    image = Image.fromarray(np.ascontiguousarray(square.transpose(1, 2, 0)))
    return np.packbits(imagehash.phash(image).hash).view(np.uint64)[0], to_square(image, _SIDE).ravel()


def lookalikes(
    train: Sequence[tuple[np.uint64, np.ndarray]], val: Sequence[tuple[np.uint64, np.ndarray]]
) -> list[tuple[int, int]]:
    """Pairs of a training and a validation image that look the same, at most one per validation image."""
    if not train or not val:
        return []
    hashes, small = np.array([code for code, _ in train]), np.array([pixels for _, pixels in train])
    octets = hashes.view(np.uint8).reshape(-1, 8)
    orders = np.argsort(octets, axis=0, kind="stable")
    in_order = np.take_along_axis(octets, orders, axis=0)
    pairs = []
    for index, (code, pixels) in enumerate(val):
        near = []
        for i, octet in enumerate(np.array([code]).view(np.uint8)):
            first, last = (np.searchsorted(in_order[:, i], octet, side=side) for side in ("left", "right"))
            near.append(orders[first:last, i])
        members = np.unique(np.concatenate(near))
        bits = _BITS_OF_BYTE[(hashes[members] ^ code).view(np.uint8).reshape(-1, 8)].sum(axis=1)
        order = np.argsort(bits, kind="stable")[:_COMPARED]
        members = members[order][bits[order] <= _MOST_BITS]
        same = members[_alike(small[members].astype(np.float32), pixels.astype(np.float32))]
        if len(same):
            pairs.append((int(same[0]), index))
    return pairs


def _alike(some: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Which of some images [n, P] equal one image [P] but for small differences."""
    a, b = some - some.mean(axis=1, keepdims=True), one - one.mean()
    correlation = (a @ b) / np.maximum(1e-6, np.sqrt((a**2).sum(axis=1) * (b**2).sum()))
    return (np.abs(some - one).mean(axis=1) <= _MOST_DIFFERENCE) & (correlation >= _LEAST_CORRELATION)
