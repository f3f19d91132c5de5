"""The files of a collection: what it is measured with, and one line for every finished cell.

    DIR/collection.json     format, fingerprint, network, space, one row per task
    DIR/cells/TASK.jsonl    one JSON object per line: config, seed, epochs, a list per objective, device, seconds, error

They are read here, both to go on with a collection and to make a table of it. A last line without an end was cut off by
a kill, and its cell is not finished. Numbers that are not finite are null. ``epoch_seconds`` is the mean over the
epochs since the one listed before, so that the sum over all epochs is kept although not all are listed.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from hyperstar_tune._files import write_file
from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace, config_key
from hyperstar_tune.tables.objectives import OBJECTIVES
from hyperstar_tune.tasks.identity import data_changes

__all__ = ["IDENTITY", "LAST_EPOCH", "Collection", "cells_path", "check_task_names", "read_cells"]

LAST_EPOCH = 1_000_000
_FILE = "collection.json"
_FORMAT = 1
_LARGEST = float(np.finfo(np.float32).max)
_TASK_FIELDS = ("classes", "n_train", "n_val", "image_hash")  # what stays the same for a task
IDENTITY = "identity"  # the entry of a row that tells whether labels or images have changed; older rows have none
_READ_ERRORS = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)  # of damaged JSON


@dataclass(frozen=True)
class Collection:
    """What the cells of a collection are measured with. The names of its tasks are distinct file names."""

    fingerprint: Fingerprint
    space: SearchSpace
    network: dict[str, Any]  # settings that the fingerprint does not hold, as JSON has them
    rows: list[dict[str, Any]]  # what a table says of each task

    def __post_init__(self) -> None:
        check_task_names(str(row["name"]) for row in self.rows)

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """The rows by the names of their tasks."""
        return {str(row["name"]): row for row in self.rows}

    @classmethod
    def read(cls, directory: Path) -> "Collection":
        """Reads ``collection.json``.

        Raises:
            MetaDatasetError: If it is missing, damaged or of another format.
        """
        path = directory / _FILE
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            if about.get("format", _FORMAT) != _FORMAT:
                raise ValueError(f"its format is {about['format']!r}, not {_FORMAT}")
            return cls(
                Fingerprint.from_json(about["fingerprint"]),
                SearchSpace.from_json(about["space"]),
                dict(about.get("network", {})),
                [dict(row) for row in about["tasks"]],
            )
        except FileNotFoundError:
            raise MetaDatasetError(f"a collection needs {_FILE}, but {directory} has none") from None
        except MetaDatasetError:
            raise
        except (OSError, *_READ_ERRORS) as error:
            raise MetaDatasetError(
                f"{path} must describe a collection, but: {error!r}; restore it from a copy or use another folder"
            ) from error

    def write(self, directory: Path) -> None:
        """Writes ``collection.json``."""
        content = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint.to_json(),
            "network": self.network,
            "space": self.space.to_json(),
            "tasks": self.rows,
        }
        write_file(directory / _FILE, json.dumps(content, indent=1).encode())

    def differences(self, other: "Collection") -> list[str]:
        """Readable texts, one for each difference of settings that keeps the cells of the two out of one table."""
        found = self.fingerprint.differences(other.fingerprint)
        if space := self.space.difference(other.space):
            found = [f"space: {space}", *(line for line in found if not line.startswith("space"))]
        here, there = self.network, other.network
        pairs = [(key, here.get(key), there.get(key)) for key in sorted({*here, *there})]
        return found + [_told(*pair) for pair in pairs if pair[1] != pair[2]]

    def changed_data(self, other: "Collection") -> list[str]:
        """Readable texts, one for each task whose labels or images are others than in an earlier collection."""
        mine, theirs = self.tasks, other.tasks
        found = []
        for name in sorted(mine.keys() & theirs.keys()):
            here, there = mine[name], theirs[name]
            pairs = [(field, here.get(field), there.get(field)) for field in _TASK_FIELDS]
            changes = [_told(*pair) for pair in pairs if pair[1] != pair[2]]
            if IDENTITY in here and IDENTITY in there:
                try:
                    changes = data_changes(there[IDENTITY], here[IDENTITY])
                except _READ_ERRORS as error:
                    changes = [f"what was written of its data is damaged ({error!r})"]
            if changes:
                found.append(f"task {name}: {', '.join(changes)}")
        return found


def _told(what: str, here: Any, there: Any) -> str:
    return f"{what}: {here} here, {there} there"


def check_task_names(names: Iterable[str]) -> None:
    """Refuses a name that leads out of a folder of tasks, to which it is joined, and one that appears twice."""
    seen = set()
    for name in names:
        if name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise MetaDatasetError(f"a task name must be a file name, but got {name!r}; rename the task")
        if any("\ud800" <= letter <= "\udfff" for letter in name):  # half of a character, which no file can keep
            raise MetaDatasetError(f"a task name must be Unicode text, but got {name!r}; rename the task")
        if name in seen:
            raise MetaDatasetError(f"task names must be distinct, but {name!r} appears twice; rename one")
        seen.add(name)


def cells_path(directory: Path, task: str) -> Path:
    """The file of a task's cells."""
    return directory / "cells" / f"{task}.jsonl"


def read_cells(directory: Path, task: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Finished cells of a task by ``config_key`` and seed, of equal ones the last; failed ones included.

    Raises:
        MetaDatasetError: If the file cannot be read or a line is no cell.
    """
    path = cells_path(directory, task)
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise MetaDatasetError(f"{path} cannot be read: {error}") from error
    cells = {}
    for number, line in enumerate(lines, 1):
        try:
            cell = json.loads(line)
            _check_cell(cell)
            cells[config_key(cell["config"]), cell["seed"]] = cell
        except _READ_ERRORS as error:
            raise MetaDatasetError(f"{path} is damaged in line {number}: {error!r}; remove that line") from error
    return cells


def _check_cell(cell: dict[str, Any]) -> None:
    if not isinstance(cell["config"], dict) or type(cell["seed"]) is not int:
        raise TypeError("config must be an object and seed a whole number")
    if cell["error"] is not None:
        return  # nothing was measured
    epochs = cell["epochs"]
    if not all(type(epoch) is int and 1 <= epoch <= LAST_EPOCH for epoch in epochs):
        raise ValueError(f"epochs must be whole numbers from 1 to {LAST_EPOCH}")
    for name in OBJECTIVES:
        curve = cell[name]
        if not isinstance(curve, list) or not all(type(value) in (int, float, NoneType) for value in curve):
            raise TypeError(f"{name} must be a list of numbers")
        if len(curve) != len(epochs):
            raise ValueError(f"{name} needs {len(epochs)} epochs, but has {len(curve)}")
        if any(abs(value) > _LARGEST for value in curve if value is not None):
            raise ValueError(f"{name} must fit single precision")
