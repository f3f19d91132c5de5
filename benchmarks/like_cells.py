"""What an epoch of a cell that a GPU trained beside others would have cost on one core of a CPU.

Cells that share a GPU tell nothing of what one costs alone. So their seconds are those of like cells (same layers and
image size, and the same batch size where there is one) that one core trained, in proportion to the images.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SecondsOfLikeCells"]

_EVALUATED = 1 / 3  # cost of an image that is evaluated, beside one that is trained
_KINDS = (("layers", "image_size", "batch_size"), ("layers", "image_size"))  # from fine to coarse


class SecondsOfLikeCells:
    """Seconds of each epoch of a cell, from cells that were timed.

    Args:
        sizes: Numbers of training and validation images of each task.
        timed: Cells as journals have them, each with its task's name; those without seconds say nothing.
    """

    def __init__(self, sizes: Mapping[str, tuple[int, int]], timed: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        self._sizes = dict(sizes)
        rates: dict[Any, list[npt.NDArray[np.float64]]] = {}
        for task, cell in timed:
            if cell["error"] is None and cell["epoch_seconds"] and None not in cell["epoch_seconds"]:
                rate = np.array(cell["epoch_seconds"]) / self._images(task, cell["epochs"])
                for kind in _KINDS:
                    rates.setdefault((kind, *(cell["config"][name] for name in kind)), []).append(rate)
        self._rates = {kind: np.median(found, axis=0) for kind, found in rates.items()}

    def of(self, task: str, config: Mapping[str, Any], epochs: Sequence[int]) -> list[float | None]:
        """Mean seconds of an epoch since the measured epoch before, as a cell has them; None where no cell is alike."""
        for kind in _KINDS:
            rate = self._rates.get((kind, *(config.get(name) for name in kind)))
            if rate is not None:
                return [round(float(v), 4) for v in rate * self._images(task, epochs)]
        return [None] * len(epochs)

    def _images(self, task: str, epochs: Sequence[int]) -> npt.NDArray[np.float64]:
        """Images of an epoch, those of the evaluation at the end of each span by their cost."""
        n_train, n_val = self._sizes[task]
        return n_train + _EVALUATED * n_val / np.diff(epochs, prepend=0)
