"""The record of any experiment of Ray Tune, made from the files that Tune leaves, so that it has a page too.

Read are the results of each trial (``RUN/TRIAL/result.json``) and the state of the run (``experiment_state-*.json``).
One of the two is enough. Nothing is unpickled, and Ray is not needed. What only ``hyperstar tune`` knows is missing:
images, ranking, plan and the judgement of a saved model. ``RUN/run.json`` holds that of its own runs.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.choosing import chosen_accuracy, unpack_correct
from hyperstar_tune.errors import HyperStarError, SearchError
from hyperstar_tune.space import config_key
from hyperstar_tune.tables.recorded import flat_config, has_results, read_run

__all__ = ["record_of_experiment"]

_ACCURACY = "val_accuracy"  # of which an interval can be given
_SECONDS = "time_this_iter_s"  # Tune's own measure
_ENDED = ("TERMINATED", "ERROR")

_MISSING = object()

Result = Mapping[str, Any]


@dataclass
class _Trial:
    """What was found of a trial."""

    config: dict[str, Any]
    results: Sequence[Result]
    status: str = "unknown"
    fault: str = ""
    curve: list[dict[str, Any]] = field(default_factory=list)  # one row per epoch


def record_of_experiment(
    run: str | Path, *, metric: str = _ACCURACY, mode: str = "max", time_attr: str = "training_iteration"
) -> dict[str, Any]:
    """What is known of an experiment, in the form of ``run.json``; what is not known is None or empty.

    Args:
        run: Folder of the experiment.
        metric: The reported metric that decides.
        mode: "max" or "min".
        time_attr: The reported number of epochs.

    Raises:
        SearchError: If the folder is no experiment, or no result has the metric or the number of epochs.
        MetaDatasetError: If a file of results is damaged.
    """
    if mode not in ("max", "min"):
        raise SearchError(f"mode must be 'max' or 'min', but got {mode!r}")
    run = Path(run).expanduser()
    trials = _of_state(run, metric, mode)
    has_curves = has_results(run)
    for number, (config, results) in enumerate(read_run(run) if has_curves else ()):
        known = trials.setdefault(str(results[-1].get("trial_id", f"trial {number}")), _Trial(config, []))
        known.config, known.results = config, results
    if not trials:
        raise SearchError(
            f"a report is made of the run.json of hyperstar tune or of the TRIAL/result.json of Ray Tune, but {run} "
            "has none to read; Tune writes them unless TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1 is set"
        )
    began = _began(trials.values())
    redone = sum(_fill(trial, metric, time_attr, began) for trial in trials.values())
    reported = sorted({str(name) for trial in trials.values() for result in trial.results for name in result})
    if reported and not any(trial.curve for trial in trials.values()):
        raise SearchError(
            f"a report needs results with {metric!r} and {time_attr!r}, but those of {run.name} have "
            f"{', '.join(reported)[:200]}; name --metric and --time-attr as the run reports them"
        )
    varying = _varying([trial.config for trial in trials.values()])
    rows = [row for trial in trials.values() for row in trial.curve]
    ended = all(trial.status in _ENDED for trial in trials.values())
    right = _right(rows)
    n_val = right.shape[1] if right is not None else 0
    return {
        "status": "finished" if ended else "not known to have ended",
        "options": {"task": None, "model": None, "metric": metric, "mode": mode, "hours": None},
        "task": {
            **{"name": run.name, "location": None, "classes": [], "remarks": [], "file_remarks": [], "unreadable": []},
            "counts": {"train": {}, "val": {"": n_val} if n_val else {}},
        },
        "plan": {
            "text": "",
            "max_epochs": max((row["epoch"] for row in rows), default=0),
            "epoch_budget": 0,
            "levels": [],
        },
        "ranking": None,
        "spent": {
            "epochs": sum(trial.curve[-1]["epoch"] for trial in trials.values() if trial.curve),
            "redone_epochs": redone,
            "seconds": max((row["at_s"] for row in rows), default=0.0) if began is not None else None,
            "configurations": len(trials),
        },
        "summary": f"{len(trials)} trials, of which {sum(bool(trial.fault) for trial in trials.values())} failed",
        "trials": [
            {
                "trial": name,
                "config": {key: value for key, value in trial.config.items() if key in varying} or trial.config,
                "place": None,
                "status": trial.status,
                "fault": trial.fault,
                "best": _best(trial, metric, mode, right is not None),
                "curve": trial.curve,
            }
            for name, trial in trials.items()
        ],
        "winner": _winner(trials, metric, mode, varying, right if metric == _ACCURACY else None),
        "has_curves": has_curves,
        "versions": {},
        "text": f"No configuration reported a finite {metric}",
    }


def _of_state(run: Path, metric: str, mode: str) -> dict[str, _Trial]:
    """The trials of the last state that Tune has saved of the run; each has its last result with its best value."""
    states = sorted(run.glob("experiment_state-*.json"))
    found: dict[str, _Trial] = {}
    try:
        saved = json.loads(states[-1].read_text(encoding="utf-8"))["trial_data"] if states else []
        for trial, metadata in ((json.loads(trial), json.loads(metadata)) for trial, metadata in saved):
            last, best = dict(metadata.get("last_result") or {}), metadata.get("metric_analysis", {}).get(metric, {})
            status = str(trial["status"])
            fault = _fault(run / str(trial.get("relative_logdir", "")) / "error.txt") if status == "ERROR" else ""
            last |= {metric: best[mode]} if mode in best else {}
            found[str(trial["trial_id"])] = _Trial(flat_config(trial["config"]), [last] if last else [], status, fault)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SearchError(f"{states[-1]} must be readable as Ray Tune writes it, but: {error!r}") from error
    return found


def _fault(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "it failed; Tune has kept no message"
    return next((line.strip() for line in reversed(lines) if line.strip()), "it failed without a message")[:300]


def _began(trials: Any) -> float | None:
    """When the first result began to be trained; None if the results do not say when they came."""
    results = [result for trial in trials for result in trial.results]
    if not results or not all(_is_number(result.get("timestamp")) for result in results):
        return None
    return min(float(r["timestamp"]) - (r[_SECONDS] if _is_number(r.get(_SECONDS)) else 0.0) for r in results)


def _fill(trial: _Trial, metric: str, time_attr: str, began: float | None) -> int:
    """Makes the curve of a trial; of epochs that were trained again the later one counts. Returns how many were."""
    rows: dict[int, dict[str, Any]] = {}
    n_rows = 0
    for place, result in enumerate(trial.results):
        epoch, value = _at(result, time_attr), _at(result, metric)
        if value is _MISSING or not _is_number(epoch) or not math.isfinite(epoch) or epoch < 0:
            continue
        n_rows += 1
        at_s = float(place) if began is None else max(0.0, float(result["timestamp"]) - began)
        correct = result.get("val_correct")
        items = [*result.items(), (metric, value)]
        numbers = {name: number for name, number in items if _is_number(number) and math.isfinite(number)}
        own = {"epoch": int(epoch), "at_s": at_s, "val_correct": correct if isinstance(correct, str) else ""}
        rows[int(epoch)] = {**numbers, **own}
    trial.curve = [rows[epoch] for epoch in sorted(rows)]
    return n_rows - len(rows)


def _best(trial: _Trial, metric: str, mode: str, has_right: bool = False) -> dict[str, Any] | None:
    sign = -1 if mode == "min" else 1
    rows = [row for row in trial.curve if metric in row]
    if not rows:
        return None
    row = max(rows, key=lambda row: (sign * row[metric], -row.get("val_loss", 0.0)))
    return {"epoch": row["epoch"], "correct": row["val_correct"] if has_right else ""}


def _winner(
    trials: Mapping[str, _Trial], metric: str, mode: str, varying: set[str], right: Any
) -> dict[str, Any] | None:
    sign, found = -1 if mode == "min" else 1, []
    for name, trial in trials.items():
        best = _best(trial, metric, mode)
        if best is not None:
            row = next(row for row in trial.curve if row["epoch"] == best["epoch"])
            found.append((sign * row[metric], -row.get("val_loss", 0.0), name, row))
    if not found:
        return None
    value, _, name, row = max(found, key=lambda one: one[:2])
    config = trials[name].config
    return {
        "trial": name,
        "config": {key: value for key, value in config.items() if key in varying} or config,
        "epoch": row["epoch"],
        "expected": chosen_accuracy(right)._asdict() if right is not None else None,
        "tied_with": [other for its, _, other, _ in found if its == value and other != name],
        "model": None,
    }


def _right(rows: list[dict[str, Any]]) -> npt.NDArray[np.bool_] | None:
    """Which validation images were right, [M, n], in the order of the results; None if that cannot be compared."""
    texts = dict.fromkeys(row["val_correct"] for row in sorted(rows, key=lambda row: row["at_s"]) if row["val_correct"])
    try:
        right = unpack_correct(list(texts)) if texts else None
    except HyperStarError:  # somebody else's, or of trials with other images
        return None
    return right if right is not None and right.shape[1] > 1 else None


def _at(result: Result, name: str) -> Any:
    """A reported value; in Tune the name of a nested one is its path with slashes."""
    if name in result:
        return result[name]
    value: Any = result
    for part in name.split("/"):
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _varying(configs: list[dict[str, Any]]) -> set[str]:
    """Parameters that differ between trials."""
    names = {name for config in configs for name in config}
    return {name for name in names if len({config_key({"": config.get(name)}) for config in configs}) > 1}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
