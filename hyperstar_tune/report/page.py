"""A run as one HTML file that needs nothing else: no network, no script, no file beside it.

It says what the winner is worth, shows images and mistakes, how the budget was spent, and whether the ranking kept its
promise. Everything comes from the record of the run; only the images are read again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError
from markupsafe import Markup

from hyperstar_tune._files import write_file
from hyperstar_tune.effects import parameter_effects
from hyperstar_tune.errors import SearchError, SpaceError, first_line
from hyperstar_tune.reach import as_duration
from hyperstar_tune.report import run_figures as figures
from hyperstar_tune.report.explanation import UNIT
from hyperstar_tune.report.importance import importance
from hyperstar_tune.report.importance_sources import space_of
from hyperstar_tune.report.pictures import MOST_MISTAKES, Pictures, take_pictures
from hyperstar_tune.report.standings import Promise, Standing, best_so_far, confusions, promise, standings
from hyperstar_tune.report.words import listed, metric_name

__all__ = ["write_page"]

_PLACES = 15  # of the ranking, and of the trials in the first table
_CLASSES = 40  # rows of the table of classes
_MINUTES_UP_TO_S = 5400
_MAY_BE_MISSING = ("winner", "validation", "test", "refit")  # in a record of a run without a result


def write_page(record: Mapping[str, Any], path: Path, *, with_images: bool = True) -> None:
    """Writes the page of a run.

    Args:
        record: The content of the run's ``run.json``.
        path: The file.
        with_images: Whether it shows images and the names of their files. Otherwise it holds nothing of the data but
            the names of the task and its classes, and numbers.

    Raises:
        SearchError: If the record lacks what the page needs.
    """
    try:
        text = _page(record, with_images)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, UndefinedError) as error:
        raise SearchError(
            f"the record of a run must be as this version of hyperstar_tune writes it, but {type(error).__name__}: "
            f"{first_line(error)}; make the report with the version that made the run"
        ) from error
    write_file(path, text.encode())


def _page(record: Mapping[str, Any], with_images: bool) -> str:
    environment = Environment(
        loader=PackageLoader("hyperstar_tune", "data/report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": lambda seconds: "an unknown time" if seconds is None else as_duration(seconds),
        "listed": listed,
        "metric": metric_name,
        "share": lambda value: "-" if value is None or not np.isfinite(value) else f"{value:.3f}",
        "points": lambda value: f"{100 * value:+.1f}",
        "signed": lambda value: f"{round(value, 2) + 0.0:+.2f}",
    }
    trials = standings(record)
    places = record["ranking"]["places"] if record["ranking"] else ()
    kept = promise(trials, record["plan"]["levels"])
    return environment.get_template("page.html").render(
        run={**dict.fromkeys(_MAY_BE_MISSING), **record},
        unit=UNIT,
        trials=trials,
        kept_promise=kept,
        pictures=take_pictures(record) if with_images and record["task"]["location"] else Pictures(),
        with_images=with_images,
        figures=_figures(record, trials, kept),
        classes=_class_rows(record),
        confused={kind: confusions(record[kind], record["task"]["classes"]) for kind in _judged(record)},
        effects=parameter_effects([p["config"] for p in places], [p["score"] for p in places]) if places else {},
        has_intervals=any(np.isfinite(trial.interval[0]) for trial in trials),
        most={"places": _PLACES, "mistakes": MOST_MISTAKES, "classes": _CLASSES},
    )


def _judged(record: Mapping[str, Any]) -> list[str]:
    return [kind for kind in ("validation", "test") if record.get(kind)]


def _figures(record: Mapping[str, Any], trials: list[Standing], kept: Promise | None) -> dict[str, Markup]:
    """Figures by name; one that there is nothing for is missing."""
    metric, levels = record["options"]["metric"], record["plan"]["levels"]
    found: dict[str, str] = {}
    if any(trial.values for trial in trials):
        seconds, best = best_so_far(record)
        unit, size = ("minutes", 60) if seconds[-1] < _MINUTES_UP_TO_S else ("hours", 3600)
        found["curves"] = figures.draw_curves(trials, levels, metric)
        spent = "epochs spent" if record["ranking"] or len(best) == record["spent"]["epochs"] else "results"
        if record.get("has_curves", True):
            found["epochs"] = figures.draw_best(range(1, len(best) + 1), best, spent, metric, "epochs")
        if record.get("has_curves", True) and record["spent"]["seconds"] is not None:
            found["hours"] = figures.draw_best([s / size for s in seconds], best, f"{unit} spent", metric, "hours")
    if kept is not None:
        found["promise"] = figures.draw_promise(kept)
    for kind in _judged(record):
        found[kind] = figures.draw_confusion(record[kind]["confusion"], record["task"]["classes"], kind)
    judged = [trial for trial in trials if np.isfinite(trial.value)]
    try:
        space = space_of([trial.config for trial in judged], "run")
        configs = [{n: v for n, v in trial.config.items() if n in space.parameters} for trial in judged]
        importances = importance(configs, [trial.value for trial in judged], space, repeats=5, pairs=False)
        found["importance"] = figures.draw_importance_bars(importances)
    except (SpaceError, ImportError):  # too few trials, or optuna is not installed
        pass
    return {name: Markup(svg) for name, svg in found.items()}  # noqa: S704 - matplotlib escapes texts


def _class_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Images and recall of each class, the worst recall on validation images first where there are many classes."""
    task, rows = record["task"], []
    for place, name in enumerate(task["classes"]):
        row = {"name": name, "train": task["counts"]["train"][name], "val": task["counts"]["val"][name]}
        for kind in ("validation", "test"):
            counts = record[kind]["confusion"][place] if record.get(kind) else []
            row[kind] = counts[place] / sum(counts) if sum(counts) else None
        rows.append(row)
    if len(rows) > _CLASSES:
        rows.sort(key=lambda row: 1.0 if row["validation"] is None else row["validation"])
    return rows[:_CLASSES]
