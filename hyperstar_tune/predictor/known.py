"""What a predictor keeps of the tasks that it learned from: how good each configuration was there, and what it cost.

A race takes the complement of a ranking's first configuration from it (``hyperstar_tune/complement.py``), and a budget
in seconds the price of each configuration. No image is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hyperstar_tune.complement import LARGEST_FALL, shortfalls
from hyperstar_tune.predictor.plus import interpolated
from hyperstar_tune.predictor.targets import CURVES, default_curve, usable_cells
from hyperstar_tune.space import Config

if TYPE_CHECKING:
    from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["KNOWN_TASKS", "KnownTasks"]

Floats = npt.NDArray[np.float64]

KNOWN_TASKS = "known_tasks"  # their names on a predictor's card
_PREFIX = "known."  # of the tensors' names


@dataclass(frozen=True, eq=False)
class KnownTasks:
    """Measurements of T known tasks and H configurations."""

    names: tuple[str, ...]  # T
    encoded: Floats  # the encoded configurations, [H, d]
    falls: Floats  # what ``shortfalls`` gives, [T, H]
    image_seconds: Floats  # seconds of an epoch for each image of a task, training and validation, [H]

    @classmethod
    def of(cls, table: "MetaDataset", encode: Callable[[Sequence[Config]], Floats] | None = None) -> "KnownTasks":
        """Takes the complete tasks of a table, or all of them where too few are complete.

        Accuracies are steady ones, or the last ones where a schedule settles a training. A cell that was not trained
        has the mean of its configuration over the tasks that have it.

        Args:
            table: The table.
            encode: How configurations become numbers; None: as the table's space encodes them.
        """
        accuracies = CURVES[default_curve(table)](table)
        rows, columns = usable_cells(table, accuracies)
        falls = shortfalls(accuracies[np.ix_(rows, columns)])
        falls = np.where(np.isnan(falls), np.nanmean(falls, axis=0), falls)
        tasks = table.tasks.iloc[rows]
        n_images = (tasks["n_train"] + tasks["n_val"]).to_numpy(dtype=np.float64)
        seconds = table.curve("epoch_seconds")[np.ix_(rows, columns)].astype(np.float64)  # [T, H, S, F]
        per_image = seconds / np.maximum(n_images, 1)[:, None, None, None]
        encoded = (encode or table.space.encode)(table.configs)
        arrays = (encoded[columns], falls, np.nanmedian(per_image, axis=(0, 2, 3)))
        # Rounded to the precision in which they are stored: a loaded predictor ranks like the saved one.
        return cls(tuple(tasks["name"].astype(str)), *(a.astype(np.float32).astype(np.float64) for a in arrays))

    @classmethod
    def joined(cls, parts: Sequence["KnownTasks"]) -> "KnownTasks":
        """What is known of the tasks of several tables, whose configurations are encoded alike.

        A configuration of another table has an estimate on a task, from the task's own ones that are similar. Seconds
        are those of the first table's network: those of the others are brought to its level.
        """
        first, *others = parts
        if not others:
            return first
        encoded = np.concatenate([part.encoded for part in parts])
        falls = [np.clip(interpolated(part.falls, part.encoded, encoded), -LARGEST_FALL, 0) for part in parts]
        seconds = [first.image_seconds]
        for part in others:
            if (first.image_seconds <= 0).any() or (part.image_seconds <= 0).any():
                seconds.append(np.zeros(len(part.encoded)))
                continue
            level = interpolated(np.log(first.image_seconds), first.encoded, part.encoded)
            seconds.append(part.image_seconds * np.exp(np.mean(level - np.log(part.image_seconds))))
        names = tuple(name for part in parts for name in part.names)
        arrays = (encoded, np.concatenate(falls), np.concatenate(seconds))
        return cls(names, *(a.astype(np.float32).astype(np.float64) for a in arrays))

    @classmethod
    def restore(cls, card: Mapping[str, Any], tensors: dict[str, Tensor]) -> "KnownTasks | None":
        """Takes its tensors out of a predictor's.

        Returns:
            None if the predictor has none.

        Raises:
            RuntimeError: If one is damaged; also whatever else a damaged card leads to.
        """
        own = {name: tensors.pop(name) for name in sorted(tensors) if name.startswith(_PREFIX)}
        if not own and KNOWN_TASKS not in card:
            return None
        names = tuple(map(str, card[KNOWN_TASKS]))
        n = len(own[f"{_PREFIX}image_seconds"])
        dim = own[f"{_PREFIX}encoded"].shape[-1]
        shapes = {"encoded": (n, dim), "falls": (len(names), n), "image_seconds": (n,)}
        if own.keys() != {f"{_PREFIX}{name}" for name in shapes} or not n:
            raise RuntimeError(f"what is known of tasks must be {', '.join(shapes)}")
        arrays = {}
        for name, shape in shapes.items():
            stored = own[f"{_PREFIX}{name}"]
            if stored.shape != shape or stored.dtype != torch.float32 or not torch.isfinite(stored).all():
                raise RuntimeError(f"{name} of known tasks must be finite float32 of shape {[*shape]}")
            arrays[name] = stored.numpy().astype(np.float64)
        falls, half = arrays["falls"], LARGEST_FALL / 2
        if (arrays["image_seconds"] < 0).any() or (np.abs(falls + half) > half + 1e-6).any():
            raise RuntimeError(f"seconds of known tasks must be at least 0, and shortfalls in [-{LARGEST_FALL}, 0]")
        return cls(names, **arrays)

    def tensors(self) -> dict[str, Tensor]:
        """What ``restore`` takes back."""
        arrays = {"encoded": self.encoded, "falls": self.falls, "image_seconds": self.image_seconds}
        return {f"{_PREFIX}{name}": torch.tensor(array, dtype=torch.float32) for name, array in arrays.items()}

    def about(self, encoded: npt.NDArray[np.floating], n_images: int) -> dict[str, Any]:
        """What a ranking of n configurations takes from it.

        Args:
            encoded: The encoded configurations, [n, d].
            n_images: Training and validation images of the task that is ranked.
        """
        falls = np.clip(interpolated(self.falls, self.encoded, encoded), -LARGEST_FALL, 0.0)
        about = {"known_tasks": self.names, "falls": falls}
        costs = self.costs(encoded, n_images)
        return about if costs is None else {**about, "costs": costs}

    def costs(self, encoded: npt.NDArray[np.floating], n_images: int) -> Floats | None:
        """Predicted seconds of an epoch, [n], with arguments as for ``about``; None if the table measured no time."""
        if (self.image_seconds <= 0).any():
            return None
        return np.asarray(n_images * np.exp(interpolated(np.log(self.image_seconds), self.encoded, encoded)))
