"""Replays methods at equal budgets on many tasks with many seeds. It can be resumed, and writes one Parquet file.

One run of a method, task, seed and eta covers all budgets of that eta, because these are read off one run
(docs/protocol.md). Only a method whose trials run side by side is run anew for every half R, and so is one that plans
for seconds, under a budget in seconds. A method that does not depend on the seed runs once per seed of its ranking.
"""

import gc
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from hyperstar_tune._files import replacing
from hyperstar_tune.comparison.budgets import Budgets, protocol_budgets
from hyperstar_tune.comparison.leave_out import LOO_COLUMNS, LooScores
from hyperstar_tune.comparison.methods import Method, Setting, current_names, make_method
from hyperstar_tune.errors import SearchError
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.simulation.curves import TaskCurves
from hyperstar_tune.simulation.replaying import Run, replay
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["RESULT_COLUMNS", "SweepProgress", "run_method", "sweep"]

RESULT_COLUMNS = (
    *("method", "task", "family", "seed", "eta", "budget"),
    *("accuracy", "accuracy_b", "seconds", "timed_accuracy", "timed_accuracy_b", "searcher_s", "trials", "origin"),
)


@dataclass(frozen=True)
class SweepProgress:
    """Where a sweep stands after a method on a task."""

    method: str
    task: str
    done: int  # runs that are done, of the total to be done now
    total: int
    seconds: float  # seconds since the start


def run_method(
    method: Method,
    curves: TaskCurves,
    setting: Setting,
    n_workers: int = 1,
    reports: Sequence[int] | str | None = None,
) -> Run:
    """Replays one run of a method on a task, with so many trials side by side.

    The results delivered are those of ``reports``, as in ``replay``; by default the fewest that give exact results.

    Raises:
        SearchError: If the plan's R is not that of the curves.
    """
    plan = setting.plan
    if plan.max_epochs != curves.max_epochs:
        raise SearchError(f"the plan trains to epoch {plan.max_epochs}, but the curves end at {curves.max_epochs}")
    searcher, scheduler = method.make(setting)
    return replay(
        curves,
        searcher,
        scheduler,
        n_workers=n_workers,
        epoch_budget=None if method.has_plan else plan.epoch_budget,
        reports=_fewest_reports(method, plan, curves, n_workers) if reports is None else reports,
    )


def sweep(
    methods: Sequence[str],
    table: MetaDataset,
    loo: LooScores | None = None,
    *,
    budgets: Iterable[Budgets] | None = None,
    tasks: Sequence[str] | None = None,
    seeds: int = 100,
    slow_seeds: int = 10,
    n_workers: int = 1,
    epoch_seconds: Mapping[str, float] | None = None,
    out: str | Path | None = None,
    progress: Callable[[SweepProgress], None] | None = None,
) -> pd.DataFrame:
    """Replays methods at equal budgets.

    Args:
        methods: Names of methods, as ``make_method`` knows them.
        table: The table of learning curves.
        loo: Leave-family-out scores, for methods that follow a ranking.
        budgets: Budgets in epochs as multiples of R, by eta; those of the protocol when None.
        tasks: Names of tasks; all complete tasks of the table when None.
        seeds: Runs per method and task.
        slow_seeds: Runs per task of a method that fits a model at every suggestion.
        n_workers: Number of trials that run side by side, of methods that do not say it themselves.
        epoch_seconds: Seconds of an epoch by task, the unit of budgets in seconds; None: the task's mean in the table.
        out: Parquet file, which is rewritten after every method and task. Results that it holds for the same curves,
            scores, budgets and workers are not made again; results for others are dropped.
        progress: Called after every method and task.

    Returns:
        One row per run and budget: ``method, task, family, seed, eta, budget`` (epochs), ``accuracy`` (best on half A),
        ``accuracy_b`` (half B of the same epoch), ``seconds`` (virtual clock at the budget), ``timed_accuracy`` and
        ``timed_accuracy_b`` (when the clock stands at the budget times the task's mean epoch, at the earliest
        after the first result), ``searcher_s`` and ``trials`` (of the whole run), ``origin`` (digest of what the run
        was made from).

    Raises:
        MetaDatasetError: If a task is unknown or incomplete.
        SearchError: If a method is unknown, or follows a ranking and there are no scores; or if nothing is to be done.
    """
    chosen = [make_method(name) for name in methods]
    loo = loo or LooScores(pd.DataFrame(columns=LOO_COLUMNS), table.configs)
    for method in chosen:
        if method.ranker and method.ranker not in loo.rankers:
            known = ", ".join(loo.rankers) or "none at all"
            raise SearchError(
                f"method {method.name!r} needs leave-family-out scores of {method.ranker!r}, not of {known}"
            )
    whole = np.all(table.measured[:, :, 0], axis=1)  # with the first seed, which is the one that is replayed
    names = table.tasks["name"][whole].tolist() if tasks is None else list(tasks)
    if not chosen or not names:
        raise SearchError(
            "a sweep needs a method, and a task on which every configuration was trained, but got "
            f"{len(chosen)} methods and {len(names)} tasks"
        )
    budgets = list(protocol_budgets(table) if budgets is None else budgets)
    shared = repr((budgets, n_workers, table.space.fingerprint, table.epochs.tolist(), *(epoch_seconds or {}).items()))
    origins = {(m.name, task): _origin(m, task, table, loo, shared) for task in names for m in chosen}
    path = Path(out) if out is not None else None
    frames = _kept(path, origins) if path is not None and path.exists() else []
    had = {key for frame in frames for key in zip(*(frame[c] for c in ("method", "task", "eta", "seed")), strict=True)}
    jobs = []
    for task in names:
        for method in chosen:
            n_seeds = min(seeds, slow_seeds) if method.is_slow else seeds
            if not method.is_random:
                n_seeds = min(n_seeds, loo.n_seeds(method.ranker, task) or 1)
            for plan in budgets:
                missing = [seed for seed in range(n_seeds) if (method.name, task, plan.eta, seed) not in had]
                if missing:
                    jobs.append((task, method, plan, missing))
    done, total, start = 0, sum(len(missing) for *_, missing in jobs), perf_counter()
    curves: TaskCurves | None = None
    gc.collect()
    try:
        for task, method, plan, missing in jobs:
            if curves is None or curves.task != task:
                curves = TaskCurves.of(table, task)
                _ = curves.results
                gc.freeze()  # so that the collector need not look at a hundred thousand small objects after every run
            unit = (epoch_seconds or {}).get(task)
            rows = _runs(method, curves, plan, missing, table, loo, n_workers, unit)
            frames.append(pd.DataFrame(rows).assign(origin=origins[method.name, task]))
            done += len(missing)
            if path is not None:
                with replacing(path) as file:
                    pd.concat(frames, ignore_index=True).to_parquet(file, index=False)
            if progress is not None:
                progress(SweepProgress(method.name, task, done, total, perf_counter() - start))
    finally:
        gc.unfreeze()
    return pd.concat(frames, ignore_index=True)


def _runs(
    method: Method,
    curves: TaskCurves,
    budgets: Budgets,
    seeds: Iterable[int],
    table: MetaDataset,
    loo: LooScores,
    n_workers: int,
    epoch_seconds: float | None,
) -> Iterator[dict[str, Any]]:
    """One row per seed and budget, without the origin."""
    points = budgets.epochs(curves.max_epochs)
    if budgets.max_epochs not in (0, curves.max_epochs):
        curves = curves.prefix(budgets.max_epochs)
    known = table.without(curves.family) if method.needs_table else None
    unit = epoch_seconds or float(curves.seconds.mean())
    r = curves.max_epochs

    def run(seed: int, epochs: int = 0, seconds: float = 0.0) -> Run:
        plan = HyperBandPlan(r, budgets.eta, epochs, seconds_budget=seconds)
        ranking = loo.ranking(method.ranker, curves.task, seed) if method.ranker else None
        setting = Setting(table.space, plan, seed, ranking, known)
        return run_method(method, curves, setting, method.n_workers or n_workers)

    for seed in seeds:
        planned = _planned(points, r, r) if method.n_workers > 1 else points[-1:]
        runs = {end: run(seed, end) for end in planned}
        whole = runs[points[-1]]
        timed = {points[-1]: whole}
        if method.in_seconds:
            timed = {end: run(seed, seconds=end * unit) for end in _planned(points, r, r / 2)}
        for budget in points:
            own, late = _planned_for(budget, runs), _planned_for(budget, timed).incumbent
            best = own.incumbent
            here, then = best.at([budget])[0], late.at_seconds(np.array([budget * unit]))[0]
            values = (
                *(method.name, curves.task, curves.family, seed, budgets.eta, budget),
                *(best.accuracy[here], best.accuracy_b[here], best.seconds[here]),
                *(late.accuracy[then], late.accuracy_b[then], whole.searcher_s, len(own.trials)),
            )
            yield dict(zip(RESULT_COLUMNS[:-1], values, strict=True))


def _planned(points: Sequence[int], max_epochs: int, least: float) -> list[int]:
    """The budgets that runs are planned for where it matters what a run is planned for.

    They are those of the points that are multiples of R/2, from ``least`` to 4.5 R, and the last point.
    """
    halves = {point for point in points if 2 * point % max_epochs == 0}
    return sorted({point for point in halves if least <= point <= 4.5 * max_epochs} | {points[-1]})


def _planned_for(budget: int, runs: Mapping[int, Run]) -> Run:
    """Of runs by the budgets that they are planned for, which rise, the first that covers a budget."""
    return runs[next(end for end in runs if end >= budget)]


def _fewest_reports(method: Method, plan: HyperBandPlan, curves: TaskCurves, n_workers: int) -> Sequence[int] | str:
    if method.reports == "end":  # a trial takes its epochs from the budget as it begins: only one may do so ahead
        return [plan.max_epochs] if n_workers == 1 else "every epoch"
    if method.reports != "targets":
        return method.reports
    # A configuration that comes again may be asked for its score at a lower rung than its own. None comes again as long
    # as the plan draws no more than there are. If some diverge, they make room for others, and this count fails.
    if np.isnan(curves.accuracy).any():
        return "levels"
    spent, drawn = 0, 0
    while spent < plan.epoch_budget:
        for bracket in plan.brackets:
            if spent < plan.epoch_budget:
                spent, drawn = spent + bracket.epochs, drawn + bracket.n_configs
    return "targets" if drawn <= len(curves.configs) else "levels"


def _origin(method: Method, task: str, table: MetaDataset, loo: LooScores, shared: str) -> str:
    """A digest of everything that the runs of a method on a task depend on besides their seed."""
    rows = slice(None) if method.needs_table else (table.tasks["name"] == task).to_numpy()
    scores = (loo.scores(method.ranker, task, seed).tobytes() for seed in range(loo.n_seeds(method.ranker, task)))
    kind = b"in seconds" if method.in_seconds else b""
    parts = [shared.encode(), kind, table.evaluations[rows].tobytes(), *scores]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def _kept(path: Path, origins: Mapping[tuple[str, str], str]) -> list[pd.DataFrame]:
    """The rows of an earlier call that still hold. Rows of methods and tasks that were not asked for are kept."""
    frame = pd.read_parquet(path)
    if tuple(frame.columns) != RESULT_COLUMNS:
        raise SearchError(f"{path} must hold the results of a sweep, but has the columns {', '.join(frame.columns)}")
    frame["method"] = frame["method"].map(current_names)
    made = zip(frame["method"], frame["task"], frame["origin"], strict=True)
    return [frame[[origins.get((method, task), origin) == origin for method, task, origin in made]]]
