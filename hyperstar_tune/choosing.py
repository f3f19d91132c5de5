"""The accuracy of a configuration that was chosen because of its accuracy.

Whoever takes the best of many results on the same validation images also takes the luckiest. So its accuracy on them is
too high, by 2 to 6 points in our replays of runs (``benchmarks/choosing.py``). ``chosen_accuracy`` says what to expect
on new images: it chooses again on nine tenths of the images and judges on the tenth that was left out, many times.

A bootstrap sample in place of the nine tenths, as in the source, chooses like half of the images: the figure is then
0.5 to 0.8 points too low, though it varies less. No correction is needed where images that decided nothing are kept
apart, as in tables.

Source: Tsamardinos, Greasidou & Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation", Machine Learning 107 (2018).
"""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hyperstar_tune.classification import wilson_interval
from hyperstar_tune.errors import HyperStarError

__all__ = ["ChosenAccuracy", "chosen_accuracy", "pack_correct", "unpack_correct"]

_FOLDS = 10
_REPEATS = 200
_EFFECTIVE = 0.6  # share of the images whose plain accuracy varies as the corrected figure: choosing adds variance


class ChosenAccuracy(NamedTuple):
    """What is known of the best of many results."""

    plain: float  # accuracy on the images that chose it
    corrected: float  # accuracy to expect on new images
    low: float  # ends of the 95 % interval of the accuracy on new images
    high: float
    n_images: int

    def __str__(self) -> str:
        """One line for a person."""
        return (
            f"accuracy {self.corrected:.3f}, 95 % interval [{self.low:.3f}, {self.high:.3f}], to be expected on new "
            f"images; {self.plain:.3f} on the {self.n_images} validation images that chose it"
        )


def chosen_accuracy(correct: npt.ArrayLike, seed: int = 0, weights: npt.ArrayLike | None = None) -> ChosenAccuracy:
    """Accuracy on new images of the best of M results.

    Args:
        correct: Whether each result had each of the n validation images right, shape [M, n]. Of equally good results
            the first is chosen, so they come in the order in which the run met them.
        seed: Random seed of the folds.
        weights: What each image counts, shape [n], of mean 1. With ``n / (classes * images of its class)`` the balanced
            accuracy chooses and is corrected. None: all alike.

    Raises:
        HyperStarError: If there is no result, or fewer than two images.
    """
    right = np.asarray(correct, dtype=np.float32)
    if right.ndim != 2 or not len(right) or right.shape[1] < 2:
        raise HyperStarError(
            f"correcting an accuracy needs results on at least two images, but got the shape {list(right.shape)}"
        )
    n = right.shape[1]
    if weights is not None:
        right = right * np.asarray(weights, dtype=np.float32)
    total = right.sum(axis=1)  # [M]
    rng = np.random.default_rng(seed)
    folds = np.arange(n) % min(_FOLDS, n)
    judged = 0.0
    for _ in range(_REPEATS):
        member = rng.permutation(folds)[:, None] == np.arange(folds.max() + 1)  # [n, folds]
        left_out = right @ member.astype(np.float32)  # right answers in each fold, [M, folds]
        chosen = (total[:, None] - left_out).argmax(axis=0)
        judged += float(left_out[chosen, np.arange(len(chosen))].sum())
    corrected = judged / (_REPEATS * n)
    return ChosenAccuracy(float(total.max()) / n, corrected, *wilson_interval(corrected, _EFFECTIVE * n), n)


def pack_correct(correct: npt.ArrayLike) -> str:
    """Which of n images were classified right, as a short text that any log can hold: n, and base64 of the bits."""
    right = np.asarray(correct, dtype=bool)
    return f"{len(right)}:{base64.b64encode(np.packbits(right).tobytes()).decode()}"


def unpack_correct(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """What ``pack_correct`` made of M results on the same n images, shape [M, n].

    Raises:
        HyperStarError: If a text is damaged, or they are of different numbers of images.
    """
    rows: list[npt.NDArray[np.bool_]] = []
    for text in texts:
        count, _, bits = text.partition(":")
        try:
            packed = np.frombuffer(base64.b64decode(bits, validate=True), dtype=np.uint8)
            row = np.unpackbits(packed, count=int(count)).astype(bool)
        except ValueError as error:
            raise HyperStarError(f"val_correct must be a count and bits, but is {text[:40]!r}") from error
        if len(packed) != -(-int(count) // 8) or (rows and len(rows[0]) != len(row)):
            raise HyperStarError(f"val_correct must be bits of the same images in all results, but is {text[:40]!r}")
        rows.append(row)
    return np.stack(rows)
