"""Makes the parts of a table from a collection, or from a long frame of curves that were measured elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune.errors import MetaDatasetError, first_line
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace, config_key, plain
from hyperstar_tune.tables.collection import IDENTITY, LAST_EPOCH, Collection, read_cells
from hyperstar_tune.tables.objectives import OBJECTIVES

__all__ = ["TASK_DEFAULTS", "parts_of_collection", "parts_of_frame"]

_MOST_VALUES = 500_000_000  # values of a table, which are 2 GB
_NEEDED = ("task", "seed", "epoch", "val_accuracy")
_LARGEST_SEED = 2**63 - 1
TASK_DEFAULTS = {"location": "", "classes": 0, "n_train": 0, "n_val": 0, "licence": "", "image_hash": ""}


def parts_of_collection(directory: Path) -> dict[str, Any]:
    """The arguments of ``MetaDataset`` for ``MetaDataset.from_collection``.

    The configurations are all those of a finite space, else those that appear. Tasks without a measured cell are left
    out.
    """
    collection = Collection.read(directory)
    known = collection.tasks
    cells = [
        (task, cell)
        for task in known
        for cell in read_cells(directory, task).values()
        if cell["error"] is None and cell["epochs"]
    ]
    if not cells:
        raise MetaDatasetError(f"a table needs a finished cell, but {directory} has none yet")
    space = collection.space
    appearing = {config_key(cell["config"]): cell["config"] for _, cell in cells}
    configs = space.grid() if space.is_finite else list(appearing.values())
    rows = _places(map(config_key, configs))
    tasks = _places(task for task, _ in cells)
    seeds = _places(sorted({cell["seed"] for _, cell in cells}))
    epochs = _places(sorted({epoch for _, cell in cells for epoch in cell["epochs"]}))
    evaluations = _blank(len(tasks), len(configs), len(seeds), len(epochs))
    for task, cell in cells:
        row = rows.get(config_key(cell["config"]))
        if row is None:
            raise MetaDatasetError(f"cells must lie in the collection's space, but {task!r} has {cell['config']}")
        reached = [epochs[epoch] for epoch in cell["epochs"]]
        curves = np.array([cell[objective] for objective in OBJECTIVES], dtype=np.float64)  # null becomes NaN
        evaluations[tasks[task], row, seeds[cell["seed"]], reached] = curves.T
    try:
        frame = pd.DataFrame([known[task] for task in tasks]).drop(columns=IDENTITY, errors="ignore")
    except (ValueError, TypeError) as error:  # text that no file can hold, nested values of unequal length
        raise MetaDatasetError(f"{directory} must describe tasks plainly, but: {first_line(error)[:120]}") from error
    return {
        "space": space,
        "configs": configs,
        "epochs": np.array(list(epochs)),
        "evaluations": evaluations,
        "tasks": frame,
        "fingerprint": collection.fingerprint,
    }


def parts_of_frame(
    frame: pd.DataFrame, space: SearchSpace | None, tasks: pd.DataFrame | None, fingerprint: Fingerprint | None
) -> dict[str, Any]:
    """The arguments of ``MetaDataset`` from those of ``MetaDataset.from_frame``."""
    frame = frame.rename(columns=str).reset_index(drop=True)
    space, parameters = _space_of(frame, space)
    _check_complete(frame, [name for name in ("task", "family") if name in frame])
    task_codes, names = pd.factorize(frame["task"].astype(str))
    codes = frame.groupby(parameters, sort=False, dropna=False).ngroup().to_numpy()  # in order of appearance
    given: Any = frame[parameters].drop_duplicates().to_dict("records")
    own = [space.from_row(row) for row in given]
    configs = list({config_key(config): config for config in own}.values())
    rows = _places(map(config_key, configs))
    config_codes = np.array([rows[config_key(config)] for config in own])[codes]
    seeds, seed_codes = np.unique(_whole(frame, "seed", 0, _LARGEST_SEED), return_inverse=True)
    epochs, epoch_codes = np.unique(_whole(frame, "epoch", 1, LAST_EPOCH), return_inverse=True)
    places = (task_codes, config_codes, seed_codes, epoch_codes)
    doubled = np.flatnonzero(pd.DataFrame(dict(enumerate(places))).duplicated())
    if len(doubled):
        task, config, seed, epoch = (codes[doubled[0]] for codes in places)
        raise MetaDatasetError(
            f"every task, configuration, seed and epoch needs one row, but {names[task]!r}, {configs[config]}, "
            f"seed {seeds[seed]}, epoch {epochs[epoch]} has two; drop one or number the seeds"
        )
    evaluations = _blank(len(names), len(configs), len(seeds), len(epochs))
    for column, objective in enumerate(OBJECTIVES):
        if objective in frame:
            evaluations[(*places, column)] = _numbers(frame, objective)
        elif objective == "epoch_seconds":
            evaluations[(*places, column)] = 1.0
    about = fingerprint or Fingerprint(max_epochs=int(epochs[-1]), protocol=None)
    return {
        "space": space,
        "configs": configs,
        "epochs": epochs,
        "evaluations": evaluations,
        "tasks": _task_rows(frame, tasks),
        "fingerprint": replace(about, space=about.space or space.fingerprint),
    }


def _space_of(frame: pd.DataFrame, space: SearchSpace | None) -> tuple[SearchSpace, list[str]]:
    """The space and the columns of its parameters, when every other column is known."""
    columns = [str(name) for name in frame.columns]
    needed = _NEEDED if space is None else (*_NEEDED, *space.parameters)
    if missing := [name for name in needed if name not in columns]:
        raise MetaDatasetError(
            f"curves need the columns {', '.join(_NEEDED)} and one for each parameter, but {missing[0]!r} is missing"
        )
    if not len(frame):
        raise MetaDatasetError("curves need one row for each task, configuration, seed and epoch, but there is none")
    if doubled := [name for name in columns if columns.count(name) > 1]:
        raise MetaDatasetError(f"columns of curves must be distinct, but {doubled[0]!r} is there twice; drop one")
    known = (*_NEEDED, "family", *OBJECTIVES)
    parameters = [name for name in columns if name not in known]
    if space is None:
        _check_complete(frame, parameters)
        return SearchSpace.from_values({name: _values(frame[name]) for name in parameters}, "imported"), parameters
    if foreign := [name for name in parameters if name not in space.parameters]:
        raise MetaDatasetError(
            f"a column is a parameter of space {space.name!r} or one of {', '.join(dict.fromkeys(known))}, "
            f"but got {foreign[0]!r}; drop or rename it"
        )
    return space, list(space.parameters)


def _values(column: pd.Series) -> list[Any]:
    """The distinct values of a parameter: numbers rising, others in order of appearance."""
    values = [plain(value) for value in column.dropna().unique()]
    return sorted(values) if pd.api.types.is_numeric_dtype(column) else values


def _check_complete(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    for name in columns:
        gaps = np.flatnonzero(frame[name].isna())
        if len(gaps):
            raise MetaDatasetError(f"column {name!r} needs a value in every row, but row {gaps[0]} has none; add it")


def _numbers(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    try:
        return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        raise MetaDatasetError(f"column {name!r} must hold numbers, but: {first_line(error)}") from error


def _whole(frame: pd.DataFrame, name: str, least: int, most: int) -> npt.NDArray[np.int64]:
    values = _numbers(frame, name)
    bad = np.flatnonzero(~((values >= least) & (values < most + 1) & (values == np.floor(values))))
    if len(bad):
        value = frame[name].iloc[bad[0]]
        raise MetaDatasetError(
            f"column {name!r} must hold whole numbers of at least {least}, but row {bad[0]} has {value}"
        )
    return values.astype(np.int64)


def _task_rows(frame: pd.DataFrame, tasks: pd.DataFrame | None) -> pd.DataFrame:
    """What is known of each task, in order of appearance."""
    stated = frame[[name for name in ("task", "family") if name in frame]].astype(str).drop_duplicates()
    if "family" not in stated:
        stated["family"] = stated["task"].str.partition("@")[0]
    if repeated := stated["task"][stated["task"].duplicated()].tolist():
        raise MetaDatasetError(f"a task belongs to one family, but {repeated[0]!r} has several in the rows; keep one")
    if tasks is not None and "name" not in tasks:
        raise MetaDatasetError(f"tasks need the column 'name', but have {', '.join(map(str, tasks))}")
    known = {} if tasks is None else {str(row["name"]): row for row in tasks.to_dict("records")}
    rows = zip(stated["task"], stated["family"], strict=True)
    return pd.DataFrame(
        [{"name": name, "family": family, **TASK_DEFAULTS, **known.get(name, {})} for name, family in rows]
    )


def _places(values: Iterable[Any]) -> dict[Any, int]:
    """The place of each distinct value, in order of appearance."""
    return {value: place for place, value in enumerate(dict.fromkeys(values))}


def _blank(n_tasks: int, n_configs: int, n_seeds: int, n_epochs: int) -> npt.NDArray[np.float32]:
    """Evaluations of cells that were not measured, shape [T, H, S, F, O]."""
    shape = (n_tasks, n_configs, n_seeds, n_epochs, len(OBJECTIVES))
    size = int(np.prod(shape, dtype=object))
    if size > _MOST_VALUES:
        raise MetaDatasetError(
            f"a table may hold {_MOST_VALUES} values, but this one would have {size}; leave tasks out"
        )
    return np.full(shape, np.nan, dtype=np.float32)
