"""Reads the journals that ``hyperstar collect`` writes: one JSON line a finished cell."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace, config_key

_LAST_EPOCH = 1_000_000
_MOST_VALUES = 500_000_000  # 2 GB
_LARGEST = float(np.finfo(np.float32).max)


def read_collection(directory: Path, objectives: Sequence[str]) -> dict[str, Any]:
    """The parts of a table from ``collection.json`` and ``cells/TASK.jsonl``.

    Returns:
        Arguments of ``MetaDataset``. Configurations are those of a finite space, else those that appear.

    Raises:
        MetaDatasetError: If a file is missing or damaged, or no cell is finished.
    """
    about = _read_about(directory)
    try:
        space = SearchSpace.from_json(about["space"])
        fingerprint = Fingerprint.from_json(about["fingerprint"])
        names = [str(row["name"]) for row in about["tasks"]]
        tasks = pd.DataFrame(about["tasks"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MetaDatasetError(f"{directory / 'collection.json'} is damaged: {error!r}") from error
    for name in names:
        check_task_name(name)
    cells = [list(_read_cells(directory / "cells" / f"{name}.jsonl", objectives)) for name in names]
    kept = [place for place, found in enumerate(cells) if found]
    if not kept:
        raise MetaDatasetError(f"a table needs a finished cell, but {directory} has none yet")
    finished = [cell for place in kept for cell in cells[place]]
    appearing = {config_key(cell["config"]): cell["config"] for cell in finished}
    configs = space.grid() if space.is_finite else list(appearing.values())
    rows = {config_key(config): row for row, config in enumerate(configs)}
    seeds = {seed: row for row, seed in enumerate(sorted({cell["seed"] for cell in finished}))}
    epochs = sorted({epoch for cell in finished for epoch in cell["epochs"]})
    columns = {epoch: column for column, epoch in enumerate(epochs)}
    size = len(kept) * len(configs) * len(seeds) * len(epochs) * len(objectives)
    if size > _MOST_VALUES:
        raise MetaDatasetError(f"a table may hold {_MOST_VALUES} values, but {directory} would make one of {size}")
    evaluations = np.full((len(kept), len(configs), len(seeds), len(epochs), len(objectives)), np.nan, dtype=np.float32)
    for row, place in enumerate(kept):
        for cell in cells[place]:
            key = config_key(cell["config"])
            if key not in rows:
                raise MetaDatasetError(f"cells must lie in the collection's space, but {names[place]!r} has {key}")
            reached = [columns[epoch] for epoch in cell["epochs"]]
            for column, objective in enumerate(objectives):
                curve = [np.nan if value is None else value for value in cell[objective]]
                if len(curve) != len(reached):
                    raise MetaDatasetError(
                        f"{objective} needs {len(reached)} epochs, but has {len(curve)} in {names[place]!r}, {key}"
                    )
                evaluations[row, rows[key], seeds[cell["seed"]], reached, column] = curve
    return {
        "space": space,
        "configs": configs,
        "epochs": np.array(epochs),
        "evaluations": evaluations,
        "tasks": tasks.iloc[kept].reset_index(drop=True),
        "fingerprint": fingerprint,
    }


def check_task_name(name: str) -> None:
    """Refuses a name that leads out of a folder of tasks, to which names are joined.

    Raises:
        MetaDatasetError: If it is no plain file name.
    """
    if name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise MetaDatasetError(f"a task name must be a file name, but got {name!r}; rename the task")


def _read_about(directory: Path) -> dict[str, Any]:
    path = directory / "collection.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MetaDatasetError(f"a collection needs collection.json, but {directory} has none") from None
    except (OSError, ValueError, RecursionError) as error:
        raise MetaDatasetError(f"{path} is damaged: {error}") from error
    if not isinstance(about, dict):
        raise MetaDatasetError(f"{path} must hold a JSON object, but holds {type(about).__name__}")
    return about


def _read_cells(path: Path, objectives: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Finished cells of a journal; what a kill tore off at its end is no finished cell."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise MetaDatasetError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            cell = json.loads(line)
            usable = cell["error"] is None and bool(cell["epochs"])
            absent = [name for name in ("config", "seed", *objectives) if usable and name not in cell]
            if absent:
                raise KeyError(absent[0])
            if usable:
                _check_cell(cell, objectives)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if number == len(lines):  # no newline after it: torn
                return
            raise MetaDatasetError(f"{path} is damaged in line {number}: {error!r}; remove that line") from error
        if usable:
            yield cell


def _check_cell(cell: dict[str, Any], objectives: Sequence[str]) -> None:
    if not isinstance(cell["config"], dict) or type(cell["seed"]) is not int:
        raise TypeError("config must be an object and seed a whole number")
    if not all(type(epoch) is int and 1 <= epoch <= _LAST_EPOCH for epoch in cell["epochs"]):
        raise ValueError(f"epochs must be whole numbers from 1 to {_LAST_EPOCH}")
    for name in objectives:
        if not isinstance(cell[name], list) or not all(type(v) in (int, float, NoneType) for v in cell[name]):
            raise TypeError(f"{name} must be a list of numbers")
        if any(abs(v) > _LARGEST for v in cell[name] if v is not None):
            raise ValueError(f"{name} must fit single precision")
