"""Every method at equal budgets, on every task, with many seeds: replayed, resumable, one parquet of results.

A run of one (method, task, seed, eta) covers all budgets of that eta, as budgets of one eta are prefixes of one run
(docs/protocol.md). Runs whose method does not depend on the seed are made once a seed of their ranking.
"""

import gc
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from hyperstar_tune._files import replacing
from hyperstar_tune.comparison.leave_out import LooScores
from hyperstar_tune.comparison.methods import Method, Setting, current_names, make_method
from hyperstar_tune.errors import MetaDatasetError, SearchError
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.simulation.curves import TaskCurves
from hyperstar_tune.simulation.record import Run
from hyperstar_tune.simulation.replaying import replay
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["Budgets", "SweepProgress", "protocol_budgets", "run_method", "sweep"]


RESULT_COLUMNS = (
    *("method", "task", "family", "seed", "eta", "budget"),
    *("accuracy", "accuracy_b", "seconds", "timed_accuracy", "timed_accuracy_b", "searcher_s", "trials", "origin"),
)


@dataclass(frozen=True)
class Budgets:
    """Budgets of one eta, as multiples of R."""

    eta: int
    multiples: tuple[float, ...]
    max_epochs: int = 0  # R; 0: that of the table

    def epochs(self, max_epochs: int) -> list[int]:
        """The budgets in epochs, rising, for a table of that R."""
        return sorted({int(multiple * (self.max_epochs or max_epochs)) for multiple in self.multiples})


def protocol_budgets(table: MetaDataset) -> tuple[Budgets, Budgets]:
    """The paper's budgets of 100, 200, 250, 450 (eta = 2) and 1600 epochs (eta = 3) at R = 100, scaled to the table.

    With eta = 3 the longest R that is a power of 3 is used, if an early epoch of the table is a prefix of a shorter
    run.
    """
    longest = int(table.epochs[-1])
    power = 3 ** int(np.log(longest + 0.5) / np.log(3))
    is_prefix = table.fingerprint.schedule.startswith("constant")
    return Budgets(2, (1, 2, 2.5, 4.5)), Budgets(3, (16,), power if is_prefix else longest)


@dataclass(frozen=True)
class SweepProgress:
    """Where a sweep stands after a method on a task."""

    method: str
    task: str
    done: int  # runs done, of those to be done now
    total: int
    seconds: float  # since the start


def run_method(
    method: Method,
    curves: TaskCurves,
    setting: Setting,
    n_workers: int = 1,
    reports: Sequence[int] | str | None = None,
) -> Run:
    """Replays one run of a method.

    Args:
        method: Of ``make_method``.
        curves: Of the task.
        setting: What the method may know.
        n_workers: Trials that run side by side.
        reports: Which results are delivered, see ``replay``; by default the fewest that are exact.

    Raises:
        SearchError: If the plan's R is not that of the curves.
    """
    plan = setting.plan
    if plan.max_epochs != curves.max_epochs:
        raise SearchError(f"the plan trains to epoch {plan.max_epochs}, but the curves end at {curves.max_epochs}")
    searcher, scheduler = method.make(setting)
    if reports is None:
        reports = _fewest_reports(method, plan, curves, n_workers)
    return replay(
        curves,
        searcher,
        scheduler,
        n_workers=n_workers,
        epoch_budget=None if method.has_plan else plan.epoch_budget,
        reports=reports,
    )


def _fewest_reports(method: Method, plan: HyperBandPlan, curves: TaskCurves, n_workers: int) -> Sequence[int] | str:
    if method.reports == "end":  # a trial takes its epochs from the budget as it begins them: only one may do so ahead
        return [plan.max_epochs] if n_workers == 1 else "every epoch"
    if method.reports != "targets":
        return method.reports
    # A configuration that comes again may be asked for its score at a lower rung than its own ones. None comes again
    # as long as the plan draws no more than there are. Those that diverge make room for others: then no count holds.
    if np.isnan(curves.accuracy).any():
        return "levels"
    spent, drawn = 0, 0
    while spent < plan.epoch_budget:
        for bracket in plan.brackets:
            if spent < plan.epoch_budget:
                spent, drawn = spent + bracket.epochs, drawn + bracket.n_configs
    return "targets" if drawn <= len(curves.configs) else "levels"


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
    out: str | Path | None = None,
    progress: Callable[[SweepProgress], None] | None = None,
) -> pd.DataFrame:
    """Replays methods at equal budgets.

    Args:
        methods: Names, see ``make_method``.
        table: Of learning curves.
        loo: Leave-family-out scores, for methods that follow a ranking.
        budgets: In epochs as multiples of R, by eta; those of the protocol when None.
        tasks: Names; all complete tasks of the table when None.
        seeds: Runs of a method on a task.
        slow_seeds: The same for methods that fit a model at every suggestion.
        n_workers: Trials side by side.
        out: Parquet file, rewritten after every method and task; what it holds already of the same curves, scores,
            budgets and workers is not run again, what it holds of others is dropped.
        progress: Called after every method and task.

    Returns:
        A row a run and budget: ``method, task, family, seed, eta, budget`` (epochs), ``accuracy`` (best on half A),
        ``accuracy_b`` (half B of the same epoch), ``seconds`` (virtual clock at the budget), ``timed_accuracy`` and
        ``timed_accuracy_b`` (when the clock stands at the budget times the task's mean epoch, at the earliest
        after the first result), ``searcher_s`` and ``trials`` (of the whole run), ``origin`` (digest of what the run
        was made from).

    Raises:
        MetaDatasetError: If a task is unknown or incomplete.
        SearchError: If a method is unknown, or follows a ranking and there are no scores.
    """
    chosen = [make_method(name) for name in methods]
    names = _complete_tasks(table) if tasks is None else list(tasks)
    for method in chosen:
        if method.ranker and (loo is None or method.ranker not in loo.rankers):
            known = ", ".join(loo.rankers) if loo else "none at all"
            raise SearchError(
                f"method {method.name!r} needs leave-family-out scores of {method.ranker!r}, not of {known}"
            )
    path = Path(out) if out is not None else None
    budgets = list(protocol_budgets(table) if budgets is None else budgets)
    origins = _origins(chosen, table, loo, names, budgets, n_workers)
    frames = _kept(path, origins)
    had = {key for frame in frames for key in zip(*(frame[c] for c in ("method", "task", "eta", "seed")), strict=True)}
    jobs = [
        (
            task,
            method,
            plan,
            [s for s in _seeds(method, loo, task, seeds, slow_seeds) if (method.name, task, plan.eta, s) not in had],
        )
        for task in names
        for method in chosen
        for plan in budgets
    ]
    total, done, start = sum(len(job[3]) for job in jobs), 0, perf_counter()
    curves: TaskCurves | None = None
    gc.collect()
    try:
        for task, method, plan, missing in jobs:
            if not missing:
                continue
            if curves is None or curves.task != task:
                curves = TaskCurves.of(table, task)
                _ = curves.results
                gc.freeze()  # a hundred thousand small objects that the collector need not look at after every run
            runs = _run_all(method, curves, table, loo, plan, missing, n_workers)
            frames.append(runs.assign(origin=origins[method.name, task]))
            done += len(missing)
            if path is not None:
                with replacing(path) as file:
                    pd.concat(frames, ignore_index=True).to_parquet(file, index=False)
            if progress is not None:
                progress(SweepProgress(method.name, task, done, total, perf_counter() - start))
    finally:
        gc.unfreeze()
    if not frames:
        raise SearchError("a sweep needs at least one method and one task, but got none")
    return pd.concat(frames, ignore_index=True)


def _run_all(
    method: Method,
    curves: TaskCurves,
    table: MetaDataset,
    loo: LooScores | None,
    budgets: Budgets,
    seeds: Sequence[int],
    n_workers: int,
) -> pd.DataFrame:
    points = budgets.epochs(curves.max_epochs)
    if budgets.max_epochs not in (0, curves.max_epochs):
        curves = curves.prefix(budgets.max_epochs)
    plan = HyperBandPlan(curves.max_epochs, budgets.eta, points[-1])
    known = table.without(curves.family) if method.needs_table else None
    mean_epoch_s = float(curves.seconds.mean())
    columns: dict[str, list] = {name: [] for name in RESULT_COLUMNS if name != "origin"}
    same = {"method": method.name, "task": curves.task, "family": curves.family, "eta": budgets.eta}
    for seed in seeds:
        ranking = loo.ranking(method.ranker, curves.task, seed) if method.ranker and loo else None
        run = run_method(method, curves, Setting(table.space, plan, seed, ranking, known), n_workers)
        best = run.incumbent
        at, timed = best.at(points), best.at_seconds(np.asarray(points) * mean_epoch_s)
        measured = {
            "budget": points,
            "accuracy": best.accuracy[at].tolist(),
            "accuracy_b": best.accuracy_b[at].tolist(),
            "seconds": best.seconds[at].tolist(),
            "timed_accuracy": best.accuracy[timed].tolist(),
            "timed_accuracy_b": best.accuracy_b[timed].tolist(),
        }
        for name, values in measured.items():
            columns[name] += values
        for name, value in (same | {"seed": seed, "searcher_s": run.searcher_s, "trials": len(run.trials)}).items():
            columns[name] += [value] * len(points)
    return pd.DataFrame(columns)


def _seeds(method: Method, loo: LooScores | None, task: str, seeds: int, slow_seeds: int) -> range:
    n = min(seeds, slow_seeds) if method.is_slow else seeds
    if not method.is_random:  # every seed of the ranking once
        n = min(n, loo.n_seeds(method.ranker, task) if loo else 1)
    return range(n)


def _origins(
    methods: Sequence[Method],
    table: MetaDataset,
    loo: LooScores | None,
    tasks: Sequence[str],
    budgets: Sequence[Budgets],
    n_workers: int,
) -> dict[tuple[str, str], str]:
    """What the runs of a method on a task depend on besides their seed, as a digest."""
    rows = {str(name): row for row, name in enumerate(table.tasks["name"])}
    shared = repr((budgets, n_workers, table.space.fingerprint, table.epochs.tolist())).encode()
    origins = {}
    for task in tasks:
        curves = table.evaluations[rows[task]].tobytes() if task in rows else b""
        for method in methods:
            parts = [shared, table.evaluations.tobytes() if method.needs_table else curves]
            if method.ranker and loo is not None:
                seeds = range(loo.n_seeds(method.ranker, task))
                parts += [loo.scores(method.ranker, task, seed).tobytes() for seed in seeds]
            origins[method.name, task] = hashlib.sha256(b"".join(parts)).hexdigest()[:12]
    return origins


def _kept(path: Path | None, origins: Mapping[tuple[str, str], str]) -> list[pd.DataFrame]:
    """The rows of an earlier call that still hold; those of methods and tasks not asked for are left alone."""
    if path is None or not path.exists():
        return []
    frame = pd.read_parquet(path)
    if tuple(frame.columns) != RESULT_COLUMNS:
        raise SearchError(f"{path} must hold the results of a sweep, but has the columns {', '.join(frame.columns)}")
    frame["method"] = frame["method"].map(current_names)
    made = zip(frame["method"], frame["task"], frame["origin"], strict=True)
    return [frame[[origins.get((method, task), origin) == origin for method, task, origin in made]]]


def _complete_tasks(table: MetaDataset) -> list[str]:
    if not table.complete_tasks:
        raise MetaDatasetError("a sweep needs a task on which every configuration was trained, but the table has none")
    return table.complete_tasks
