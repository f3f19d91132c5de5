"""The files of a meta-dataset: Syne Tune's tabular schema, written as a whole or not at all.

Nothing here is pickled. ``metadata.json`` states the SHA-256 of the other files. This shows damage, not forgery, since
whoever can change a table can change its checksums too.

Source of the schema: ``syne_tune/blackbox_repository/{blackbox_tabular,serialize}.py`` (0.16).
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace.hyperparameters import FloatHyperparameter, IntegerHyperparameter
from pyarrow import parquet

from hyperstar_tune._files import sha256
from hyperstar_tune.errors import MetaDatasetError, first_line
from hyperstar_tune.space import SearchSpace, values_of

HYPERPARAMETERS = "hyperparameters.parquet"
EVALUATIONS = "objectives_evaluations.npy"
FIDELITIES = "fidelities_values.npy"
CONFIG_SPACE = "configspace.json"
FIDELITY_SPACE = "fidelityspace.json"
METADATA = "metadata.json"
TASKS = "tasks.parquet"
_SUMMED = (HYPERPARAMETERS, EVALUATIONS, FIDELITIES, CONFIG_SPACE, FIDELITY_SPACE, TASKS)
_MOST_ROWS = 1_000_000  # configurations or tasks of a table
_MOST_CURVE_ROWS = 50_000_000


def syne_space(space: SearchSpace) -> dict[str, Any]:
    """A search space in the JSON form of Syne Tune's ``config_space_to_json_dict``."""
    return {name: _syne_domain(hp) for name, hp in space.configuration_space.items()}


def syne_fidelity_space(max_epochs: int) -> dict[str, Any]:
    """The epochs as Syne Tune's fidelity space."""
    return {"epoch": _domain("Integer", {"lower": 1, "upper": max_epochs})}


def _syne_domain(hp: Any) -> dict[str, Any]:
    if isinstance(hp, FloatHyperparameter | IntegerHyperparameter):
        kind, number = ("Float", float) if isinstance(hp, FloatHyperparameter) else ("Integer", int)
        return _domain(kind, {"lower": number(hp.lower), "upper": number(hp.upper)}, hp.log)
    values = values_of(hp) or []
    if len({type(choice) for choice in values}) > 1:
        raise MetaDatasetError(
            f"a table stores one type of value per parameter, but {hp.name!r} has {values}; write them all alike"
        )
    return _domain("Categorical", {"categories": values})


def _domain(kind: str, arguments: dict[str, Any], log: bool = False) -> dict[str, Any]:
    return {
        "domain_cls": kind,
        "domain_kwargs": arguments,
        "sampler_cls": "LogUniform" if log else "Uniform",
        "sampler_kwargs": {"base": math.e} if log else {},
    }


def write_file(directory: Path, name: str, data: Any) -> None:
    """Writes one file of a table by its suffix: JSON document (NaN is refused), array or frame."""
    path = directory / name
    if path.suffix == ".json":
        path.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    elif path.suffix == ".npy":
        np.save(path, data, allow_pickle=False)
    else:
        data.to_parquet(path, index=False, compression="gzip", engine="pyarrow")  # gzip: Syne Tune's reader knows it


def sums(directory: Path) -> dict[str, str]:
    """SHA-256 of the files of a table but the one that states them, by name."""
    return {name: sha256(_existing(directory, name)) for name in _SUMMED}


def check_sums(directory: Path, stated: Any) -> None:
    """Refuses a table of which a file is missing, has no stated checksum or has another one."""
    for name, found in sums(directory).items():
        if not isinstance(stated, dict) or stated.get(name) != found:
            raise MetaDatasetError(
                f"{directory / name} is damaged: its SHA-256 must be as in {METADATA}, but is {found[:12]}; "
                "restore it from a copy"
            )


def read_file(directory: Path, name: str) -> Any:
    """Reads one file of the table by its suffix: JSON document, array or frame.

    Raises:
        MetaDatasetError: If it is missing, damaged or would need pickle.
    """
    path = _existing(directory, name)
    try:
        if path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        if path.suffix == ".npy":
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))  # mapped: no more memory than the file
        return _read_parquet(path, _MOST_ROWS)
    except Exception as error:  # pyarrow and numpy raise whatever their decoders meet
        raise MetaDatasetError(f"{path} is damaged: {first_line(error)}; restore it from a copy") from error


def read_curves(path: Path) -> pd.DataFrame:
    """Reads a frame for ``MetaDataset.from_frame`` from a CSV or Parquet file.

    Raises:
        MetaDatasetError: If it is missing, damaged or neither.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise MetaDatasetError(f"curves are read from a .csv or .parquet file, but got {str(path)!r}; convert it")
    if not path.is_file():
        raise MetaDatasetError(f"a file of curves must exist, but there is no file {str(path)!r}; check the path")
    try:
        if path.suffix == ".csv":  # "None" and "NA" may be values of a parameter
            return pd.read_csv(path, keep_default_na=False, na_values=["", "nan", "NaN", "null"])
        return _read_parquet(path, _MOST_CURVE_ROWS)
    except Exception as error:  # as above
        raise MetaDatasetError(f"{path} must be a table that pandas reads, but: {first_line(error)}") from error


def _read_parquet(path: Path, most_rows: int) -> pd.DataFrame:
    n_rows = parquet.read_metadata(path).num_rows
    if n_rows > most_rows:  # a few bytes can stand for any number of equal rows
        raise ValueError(f"{n_rows} rows, more than {most_rows}")
    return pd.read_parquet(path, engine="pyarrow")


def _existing(directory: Path, name: str) -> Path:
    path = directory / name
    if not path.is_file():
        raise MetaDatasetError(f"a meta-dataset needs the file {name}, but {directory} has none")
    return path
