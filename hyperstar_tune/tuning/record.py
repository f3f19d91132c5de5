"""What a run leaves for whoever looks at it later: ``run.json``, from which reports are made (docs/tune.md)."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hyperstar_tune._files import write_file
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.plan import Plan
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.report.explanation import about_traits, circumstances
from hyperstar_tune.space import config_key
from hyperstar_tune.tasks.task import ImageTask
from hyperstar_tune.tuning.finish import Judgement
from hyperstar_tune.tuning.history import RunHistory, contenders

__all__ = [
    "RECORD",
    "about_judgement",
    "about_plan",
    "about_ranking",
    "about_task",
    "about_trials",
    "as_json",
    "read_record",
    "write_record",
]

RECORD = "run.json"
SCHEMA = 1
_NOT_IN_CURVES = ("trial", "val_correct")


def write_record(run: Path, entries: Mapping[str, Any]) -> None:
    """Writes ``run.json`` as a whole."""
    text = json.dumps(as_json({"schema": SCHEMA, **entries}), indent=1, ensure_ascii=False)
    write_file(run / RECORD, f"{text}\n".encode())


def read_record(run: Path) -> dict[str, Any]:
    """The content of a run's ``run.json``; empty if there is none to read."""
    try:
        record = json.loads((run / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and record.get("schema") == SCHEMA else {}


def as_json(value: Any) -> Any:
    """A value as JSON has it: a number that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def about_task(task: ImageTask) -> dict[str, Any]:
    """Classes and counts of a task, and what should be known of it."""
    counts = {
        split: dict(
            zip(task.classes, np.bincount(task.labels(split), minlength=len(task.classes)).tolist(), strict=True)
        )
        for split in ("train", "val")
    }
    return {
        "name": task.name,
        "location": task.location,
        "classes": list(task.classes),
        "counts": counts,
        "test_folder": str(task.test_folder) if task.test_folder is not None else None,
        "value_range": task.value_range,
        "unreadable": list(task.unreadable),
        "remarks": task.remarks(),
        "file_remarks": list(task.file_remarks),
    }


def about_plan(plan: Plan) -> dict[str, Any]:
    """A plan: its text, and the levels at which its rungs end."""
    levels = sorted({rung.epochs for bracket in plan.brackets for rung in bracket.rungs})
    return {
        "kind": type(plan).__name__,
        "text": str(plan),
        "max_epochs": plan.max_epochs,
        "epoch_budget": plan.epoch_budget,
        "seconds_budget": plan.seconds_budget,
        "levels": levels,
    }


def about_ranking(
    ranking: Ranking, predictor: Predictor, task: ImageTask, settings: FineTuneSettings
) -> dict[str, Any]:
    """What was predicted of each configuration before the run, under which circumstances, and what moved it."""
    places = zip(ranking.configs, ranking.scores, ranking.deviations(), ranking.alike(), strict=True)
    return {
        "predictor": ranking.source,
        "seen": ranking.seen,
        "share": ranking.share,
        "nearest": list(ranking.nearest),
        "remarks": ranking.remarks(),
        "circumstances": circumstances(predictor),
        "differences": predictor.fingerprint.differences(settings.fingerprint(), "in the predictor", "in this run"),
        "traits": about_traits(predictor.explain(task, ranking.configs), ranking.configs),
        "seconds_per_epoch": list(ranking.costs),
        "places": [
            {"config": c, "score": score, "spread": spread, "alike": alike} for c, score, spread, alike in places
        ],
    }


def about_trials(
    history: RunHistory, trials: Sequence[Any], ranking: Ranking, faults: Mapping[str, str], metric: str
) -> list[dict[str, Any]]:
    """Configuration, place in the ranking, fault, best epoch and learning curve of each trial.

    They come in the order of their first results; a trial without one comes last, with an empty curve.
    """
    places = {config_key(config): place for place, config in enumerate(ranking.configs, 1)}
    best = {
        c.trial: {"epoch": c.row["epoch"], "correct": c.row.get("val_correct")} for c in contenders(history, metric)
    }
    configs = {**history.configs, **{t.trial_id: dict(t.config) for t in trials if t.trial_id not in history.configs}}
    status = {trial.trial_id: str(trial.status) for trial in trials}
    curves: dict[str, list[dict[str, Any]]] = {trial_id: [] for trial_id in configs}
    for row in history.rows:
        curves[row["trial"]].append({name: value for name, value in row.items() if name not in _NOT_IN_CURVES})
    return [
        {
            "trial": trial_id,
            "config": config,
            "place": places.get(config_key(config)),
            "status": status.get(trial_id, "unknown"),
            "fault": faults.get(trial_id, ""),
            "best": best.get(trial_id),
            "curve": curves[trial_id],
        }
        for trial_id, config in configs.items()
    ]


def about_judgement(judgement: Judgement | None) -> dict[str, Any] | None:
    """A judgement with its scores; None if there is none."""
    return None if judgement is None else asdict(judgement)
