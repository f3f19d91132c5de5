"""Turns finished experiments of Ray Tune, ours or anybody's, into cells of a table of the user's own.

Read is what Tune's JSON logger has written of each trial, ``RUN/TRIAL/result.json``: one line per result, with the
configuration. Nothing is unpickled, and Ray is not needed. A trial that Hyperband stopped early is a cell that was not
trained to the end: its curve is kept, but it has no score.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.log import LOGGER
from hyperstar_tune.space import SearchSpace, config_key
from hyperstar_tune.tables.building import TASK_DEFAULTS
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tables.objectives import OBJECTIVES

__all__ = ["flat_config", "frame_of", "has_results", "read_run", "record"]

_RESULTS = "result.json"
_OBSERVED = "recorded"  # name of a space that is made of the values that runs have had
_SECONDS = "time_this_iter_s"  # Tune's own measure


def record(
    run: str | Path,
    table: MetaDataset | None,
    *,
    metric: str = "val_accuracy",
    mode: str = "max",
    time_attr: str = "training_iteration",
    max_epochs: int | None = None,
    space: SearchSpace | None = None,
    task: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> MetaDataset:
    """Adds the trials of an experiment to a table, as cells of one task.

    Args:
        run: Folder of the experiment.
        table: The table to extend; None makes one. A cell that it has already is replaced.
        metric: The reported accuracy, in [0, 1]; or with mode "min" an error rate, which is kept as 1 minus its value.
        mode: "max" or "min".
        time_attr: The reported number of epochs.
        max_epochs: R, the epochs of a trial that was trained to the end; None: of the table, or the most of any trial.
        space: The space of the configurations; what it does not have is left out of them. None: that of the table, or
            one of all parameters that differ between the trials, with the values they have had.
        task: What is known of the task, as columns of ``MetaDataset.tasks``; by default its ``name`` is the run's.
        seed: Seed of the cells; a configuration that was trained several times has the next ones too. If the trials
            have a parameter ``seed`` that is a whole number, it counts instead.

    Returns:
        The extended table.

    Raises:
        MetaDatasetError: If there is no result, the metric is missing or out of its range, or the run and the table
            do not fit.
        SpaceError: If a configuration is not in the space.
    """
    if mode not in ("max", "min"):
        raise MetaDatasetError(f"mode must be 'max' or 'min', but got {mode!r}")
    run = Path(run).expanduser()
    about: dict[str, Any] = {**TASK_DEFAULTS, "name": run.name, **(task or {})}
    about.setdefault("family", about["name"])
    trials = list(read_run(run))
    growing = space is None and (table is None or table.space.name == _OBSERVED)
    if space is None and table is not None and not growing:
        space = table.space
    if space is None:
        known = table.space.parameters if table is not None else None
        names = known or _varying([config for config, _ in trials])
    else:
        names = space.parameters
    last = max_epochs or (int(table.epochs[-1]) if table is not None else None)
    fresh = pd.DataFrame(list(_rows(trials, names, metric, mode, time_attr, last, str(about["name"]), seed)))
    for name in names if growing else ():
        if name not in fresh or fresh[name].isna().any():
            raise MetaDatasetError(f"every trial must have the parameter {name!r} of the table, but one has not")
    reached = int(fresh["epoch"].max())
    if last is not None and reached > last:
        raise MetaDatasetError(
            f"curves of this table end at epoch {last}, but the run has trained {reached}; record it into another table"
        )
    rows: list[Any] = [about]
    frame, fingerprint = fresh, Fingerprint(max_epochs=last or reached, protocol=None)
    if table is not None:
        old = frame_of(table)
        frame = pd.concat([old, fresh], ignore_index=True)
        key = ["task", "seed", *names]
        again = frame[key].astype(str).agg("|".join, axis=1)
        is_new = np.arange(len(frame)) >= len(old)
        stale = ~is_new & again.isin(set(again[is_new])).to_numpy()
        if stale.any():
            LOGGER.info("%d cells that the table had already are replaced", again[stale].nunique())
        frame, fingerprint = frame[~stale], replace(table.fingerprint, space="" if growing else table.fingerprint.space)
        rows = [row for row in table.tasks.to_dict("records") if row["name"] != about["name"]] + [about]
    if growing:
        values = {name: sorted(frame[name].unique(), key=lambda v: (isinstance(v, str), v)) for name in names}
        space = SearchSpace.from_values({name: [_plain(v) for v in values[name]] for name in names}, _OBSERVED)
    frame = frame.drop(columns="family", errors="ignore")
    return MetaDataset.from_frame(frame, space, tasks=pd.DataFrame(rows), fingerprint=fingerprint)


def read_run(run: Path) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The trials of an experiment: a flat configuration and the results in order.

    The name of a parameter is the last part of its place in the configuration, or all of it where that is not unique. A
    last line that was cut off by a kill is left out.

    Raises:
        MetaDatasetError: If there is none, or a file is damaged elsewhere.
    """
    paths = sorted(run.glob(f"*/{_RESULTS}"))
    if not paths:
        raise MetaDatasetError(
            f"a run is recorded from its TRIAL/{_RESULTS}, but {run} has none; Tune writes them unless "
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1 is set"
        )
    for path in paths:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        results = []
        for number, line in enumerate(lines, 1):
            try:
                if line.strip():
                    results.append(dict(json.loads(line)))
            except (ValueError, TypeError) as error:
                if number == len(lines):
                    break
                raise MetaDatasetError(f"{path} is damaged in line {number}: {error!r}; remove that line") from error
        if results:
            yield flat_config(results[-1].get("config") or {}), results


def frame_of(table: MetaDataset) -> pd.DataFrame:
    """A table as the long frame of which ``MetaDataset.from_frame`` makes it again."""
    trained = np.isfinite(table.curve("epoch_seconds"))  # [T, H, S, F]
    task, config, seed, epoch = np.nonzero(trained)
    columns: dict[str, Any] = {
        "task": table.tasks["name"].to_numpy()[task],
        "seed": seed,
        "epoch": table.epochs[epoch],
    }
    for name in table.space.parameters:
        values = np.array([c.get(name) for c in table.configs], dtype=object)
        columns[name] = values[config]
    for name in OBJECTIVES:
        columns[name] = table.curve(name)[trained]
    return pd.DataFrame(columns)


def _rows(
    trials: list[tuple[dict[str, Any], list[dict[str, Any]]]],
    names: tuple[str, ...],
    metric: str,
    mode: str,
    time_attr: str,
    last: int | None,
    task: str,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """A row for each epoch of each trial; of epochs that were trained again the later one."""
    seen: Counter[str] = Counter()
    curves = []
    for config, results in trials:
        part = {name: config[name] for name in names if name in config}
        key = config_key(part)
        own = config.get("seed")
        cell_seed = own if type(own) is int and own >= 0 and "seed" not in names else seed + seen[key]
        seen[key] += 1
        curve = {}
        for result in results:
            for name in (metric, time_attr):
                if name not in result:
                    raise MetaDatasetError(
                        f"every result of a run must have {name!r}, but one of {task!r} has only "
                        f"{', '.join(sorted(map(str, result)))[:200]}; name metric and time attribute as "
                        "it reports them"
                    )
            epoch = result[time_attr]
            if type(epoch) not in (int, float) or not float(epoch).is_integer() or epoch < 1:
                raise MetaDatasetError(f"{time_attr!r} must be a whole number of epochs from 1 on, but is {epoch!r}")
            curve[int(epoch)] = result
        curves.append((part, cell_seed, curve))
    end = last or max(epoch for _, _, curve in curves for epoch in curve)
    for part, cell_seed, curve in curves:
        for epoch, result in curve.items():
            yield {"task": task, "seed": cell_seed, "epoch": epoch, **part, **_objectives(result, metric, mode)}
        final = max(curve)
        if not math.isfinite(_number(curve[final][metric])):  # it diverged, and was not trained any more
            rest = _objectives(curve[final], metric, mode)
            for epoch in range(final + 1, end + 1):
                yield {"task": task, "seed": cell_seed, "epoch": epoch, **part, **rest}


def _objectives(result: Mapping[str, Any], metric: str, mode: str) -> dict[str, float]:
    value = _number(result[metric])
    value = 1 - value if mode == "min" else value
    if math.isfinite(value) and not 0 <= value <= 1:
        raise MetaDatasetError(
            f"a table holds accuracies in [0, 1], but {metric!r} is {result[metric]!r}; record a share: percent "
            "divided by 100, or with mode 'min' an error rate"
        )
    others = {name: _number(result[name]) for name in OBJECTIVES[1:] if name in result}
    seconds = {"epoch_seconds": _number(result.get(_SECONDS, 1.0))}
    return {"val_accuracy": value, **seconds, **others}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def has_results(run: Path) -> bool:
    """Whether a folder holds results that ``read_run`` reads."""
    return any(run.glob(f"*/{_RESULTS}"))


def flat_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a nested configuration, each by the last part of its place, or by all of it if need be."""
    leaves = list(_leaves(config, ()))
    ends = Counter(path[-1] for path, _ in leaves)
    return {path[-1] if ends[path[-1]] == 1 else "/".join(path): _scalar(value) for path, value in leaves}


def _scalar(value: Any) -> Any:
    """A value as a table holds it: a list, or null, becomes text."""
    return value if isinstance(value, str | int | float) else json.dumps(value)


def _leaves(config: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def _varying(configs: list[dict[str, Any]]) -> tuple[str, ...]:
    """Parameters of all trials that differ between them, ``seed`` aside."""
    shared = [name for name in configs[0] if all(name in config for config in configs) and name != "seed"]
    names = tuple(name for name in shared if len({config_key({"": config[name]}) for config in configs}) > 1)
    if not names:
        raise MetaDatasetError(
            "the trials of a run must differ in a parameter that all have, but do not; name their space with --space"
        )
    return names
