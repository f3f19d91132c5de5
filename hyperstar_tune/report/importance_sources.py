"""Where the trials for an importance come from: the folder of a run of Ray Tune, or a table of learning curves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import UniformFloatHyperparameter, UniformIntegerHyperparameter

from hyperstar_tune.errors import MetaDatasetError, SearchError, SpaceError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.metrics import normalize_scores
from hyperstar_tune.report.importance import Importance, importance
from hyperstar_tune.space import Config, SearchSpace, config_key, listed_parameter, plain
from hyperstar_tune.tables.files import METADATA
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["importance_of", "space_of"]

_SIZE = "image_size"
_MOST_LISTED = 12  # distinct numbers of a parameter that count as a list
_LOG_RATIO = 10  # a range of positive numbers that spans more is logarithmic


def importance_of(
    source: str | Path,
    *,
    metric: str = "val_accuracy",
    mode: str = "max",
    task: str | None = None,
    **options: Any,
) -> dict[str, Importance]:
    """Importances from a run or a table, by what they are of.

    Args:
        source: Folder of an experiment of Ray Tune (whatever trained in it), or of a meta-dataset. A run with several
            image sizes gives one importance for each.
        metric: Of a run: reported metric; the best value of a trial counts. Of a table it is half-A accuracy.
        mode: "max" or "min".
        task: Of a table: a task; None: the mean over its complete tasks, each with mean 0 and variance 1.
        options: Keyword arguments of ``importance``.

    Returns:
        Importances by label, such as ``"64 px"``.

    Raises:
        SearchError: If the folder is neither.
        MetaDatasetError: If the table is damaged or has no such task.
        SpaceError: If there is nothing to judge.
    """
    folder = Path(source).expanduser()
    if (folder / METADATA).is_file():
        table = MetaDataset.load(folder)
        return {f"{folder.name}: {task or 'all tasks'}": _of_table(table, task, options)}
    if mode not in ("max", "min"):
        raise SearchError(f"mode must be 'max' or 'min', but got {mode!r}")
    trials = _trials(folder, metric, mode)
    groups: dict[str, list[tuple[Config, float]]] = {}
    for config, score in trials:
        groups.setdefault(f"{config[_SIZE]} px" if _SIZE in config else folder.name, []).append((config, score))
    space = space_of([config for config, _ in trials], folder.name)  # one space, so that marginals can be compared
    found: dict[str, Importance] = {}
    refused: SpaceError | None = None
    for label, group in groups.items():
        configs = [{name: value for name, value in config.items() if name in space.parameters} for config, _ in group]
        try:
            found[label] = importance(configs, [score for _, score in group], space, **options)
        except SpaceError as error:
            refused = error
            LOGGER.warning("%s: %s", label, error)
    if not found and refused is not None:
        raise refused
    return found


def _of_table(table: MetaDataset, task: str | None, options: Mapping[str, Any]) -> Importance:
    names = table.tasks["name"].tolist()
    if task is not None and task not in names:
        raise MetaDatasetError(f"a task is one of {', '.join(names)}, but got {task!r}")
    rows = np.flatnonzero(table.complete) if task is None else np.array([names.index(task)])
    if not len(rows):
        raise MetaDatasetError("importance needs a task on which every configuration was trained; pass task=")
    scores = table.scores()[rows]
    mean = np.mean([normalize_scores(row) for row in scores], axis=0) if task is None else scores[0]
    return importance(table.configs, mean, table.space, **options)


def _trials(folder: Path, metric: str, mode: str) -> list[tuple[Config, float]]:
    """Configurations and best values, higher is better, of the trials that reported one.

    They stand as JSON in what Ray saves of a run, whether it has loggers or not. Objects that Ray pickled into a
    configuration are left out, and nothing is unpickled.
    """
    states = sorted(folder.glob("experiment_state-*.json"))
    try:
        saved = json.loads(states[-1].read_text(encoding="utf-8"))["trial_data"]
        trials = [(json.loads(trial)["config"], json.loads(metadata)["metric_analysis"]) for trial, metadata in saved]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SearchError(
            f"importance takes the folder of a run of Ray Tune or of a meta-dataset, but {folder} is neither"
            f"{f': {states[-1].name} cannot be read' if states else ''}"
        ) from error
    found, reported = [], set()
    for config, analysis in trials:
        reported |= analysis.keys()
        best = analysis.get(metric, {}).get(mode)
        if best is not None:
            found.append((dict(_flat(config)), float(best) if mode == "max" else -float(best)))
    if not found:
        raise SearchError(
            f"importance needs trials that reported {metric!r}, but those of {folder} reported "
            f"{', '.join(sorted(reported)[:8]) or 'nothing'}"
        )
    return found


def _flat(config: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in config.items():
        if isinstance(value, Mapping) and "_type" in value:  # a pickled object
            continue
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}/")
        else:
            pairs.append((f"{prefix}{name}", plain(value)))
    return pairs


def space_of(configs: Sequence[Config], name: str) -> SearchSpace:
    """The parameters that differ between configurations, with ranges around what was tried; not the image size."""
    space = ConfigurationSpace(name=name)
    for parameter in dict.fromkeys(name for config in configs for name in config if name != _SIZE):
        tried = [config[parameter] for config in configs if parameter in config and config[parameter] is not None]
        try:
            values = list({config_key({"": value}): value for value in tried}.values())
        except TypeError:  # an object that is no value of a parameter
            continue
        if len(values) > 1:
            space.add(_parameter(parameter, values))
    if not len(space):
        raise SpaceError(f"importance needs a parameter that differs between trials, but in {name!r} none does")
    return SearchSpace(space, name)


def _parameter(name: str, values: list[Any]) -> Any:
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not are_numbers:
        return listed_parameter(name, sorted(values, key=str))
    if len(values) <= _MOST_LISTED and all(float(value).is_integer() for value in values):
        return listed_parameter(name, sorted(values))
    lower, upper = min(values), max(values)
    kind: Any = UniformIntegerHyperparameter if all(isinstance(v, int) for v in values) else UniformFloatHyperparameter
    return kind(name, lower=lower, upper=upper, log=lower > 0 and upper >= _LOG_RATIO * lower)
