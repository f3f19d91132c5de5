"""Reads the first table of learning curves, of protocol 0: good to build on, not to publish figures from.

It differs from docs/protocol.md: cosine schedule (an early epoch is no prefix of a shorter run), R = 16, one seed, and
validation images that are not split in halves: ``val_accuracy`` is over all of them, the columns of half B are NaN.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace, config_key

_EPOCHS = 16
_RENAMED = {"depth": "layers", "augment": "augmentation"}
_CURVES = {"val_accuracy": "val_acc", "val_loss": "val_loss", "train_loss": "train_loss"}
_SMALL = "@100"  # about 100 training images, stratified from the task of the same name
_LARGEST = {"n_train": 600, "n_val": 400}  # images the curves were made with at most
_FAMILIES = {"pacs_": "pacs", "caltech101_": "caltech101", "corn_": "plantvillage", "chestxray_": "chestxray"}


def read_curves_v0(
    directory: Path, objectives: Sequence[str], about: Sequence[Mapping[str, Any]], weights: str
) -> dict[str, Any]:
    """The arguments of ``MetaDataset``, from the arguments of ``import_curves_v0``."""
    paths = sorted(directory.glob("*.jsonl"))
    if not paths:
        raise MetaDatasetError(f"curves are files NAME.jsonl, but {directory} has none")
    space = SearchSpace.from_name("shufflenet-v2-x1")
    configs = space.grid()
    known = {str(task["name"]): task for task in about}
    keys = [config_key(config) for config in configs]
    lengths: dict[int, str] = {}  # of curves, and where each was first met
    evaluations = np.stack([_read_task(path, keys, objectives, lengths) for path in paths])
    if len(lengths) > 1:
        found = ", ".join(f"{length} in {where}" for length, where in lengths.items())
        raise MetaDatasetError(f"curves must be equally long, with null where one diverged, but have {found} epochs")
    n_epochs = next(iter(lengths), _EPOCHS)
    return {
        "space": space,
        "configs": configs,
        "epochs": np.arange(1, n_epochs + 1),
        "evaluations": evaluations[:, :, :, :n_epochs],
        "tasks": pd.DataFrame([_describe(path.stem, known) for path in paths]),
        "fingerprint": Fingerprint(
            space=space.fingerprint,
            model="torchvision/shufflenet_v2_x1_0",
            weights=weights,
            image_size=64,
            schedule="cosine",
            batch_size=32,
            max_epochs=n_epochs,
            views=4,
            protocol=0,
        ),
    }


def _read_task(
    path: Path, keys: list[str], objectives: Sequence[str], lengths: dict[int, str]
) -> npt.NDArray[np.float32]:
    """Evaluations of one task, shape [H, 1, 16, O]; notes how long its curves are."""
    rows = {key: row for row, key in enumerate(keys)}
    evaluations = np.full((len(keys), 1, _EPOCHS, len(objectives)), np.nan, dtype=np.float32)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise MetaDatasetError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            cell = json.loads(line)
            names = {_RENAMED.get(old, old): old for old in ("lr", "optimizer", "depth", "augment")}
            row = rows[config_key({new: cell[old] for new, old in names.items()})]
            for objective, old in _CURVES.items():
                curve = [np.nan if value is None else value for value in cell[old]]
                evaluations[row, 0, : len(curve), objectives.index(objective)] = curve
                lengths.setdefault(len(curve), f"line {number} of {path.name}")
            # Only the trial's total was measured, on one core of a busy machine.
            evaluations[row, 0, :, objectives.index("epoch_seconds")] = cell["seconds"] / _EPOCHS
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise MetaDatasetError(f"{path} is damaged in line {number}: {error!r}; remove that line") from error
    return evaluations


def _describe(name: str, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    parent = name.removesuffix(_SMALL)
    task = known.get(parent, {})
    n_train = min(int(task.get("train", 0)), _LARGEST["n_train"])
    return {
        "name": name,
        "family": next((family for start, family in _FAMILIES.items() if parent.startswith(start)), parent),
        "location": "",
        "classes": int(task.get("classes", 0)),
        "n_train": min(n_train, 100) if name.endswith(_SMALL) else n_train,
        "n_val": min(int(task.get("val", 0)), _LARGEST["n_val"]),
        "licence": str(task.get("licence", "")),
        "image_hash": "",
    }
