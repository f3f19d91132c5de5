"""Replays a search on recorded curves, in process and on a virtual clock, with the searcher and scheduler of real runs.

An epoch costs its recorded seconds. Time measured inside the searcher is kept apart from these, so that a replay with
fixed seeds is exact (docs/protocol.md, "Runs under a budget"). A replay does not tell what Ray itself costs.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from hyperstar_tune.errors import SearchError
from hyperstar_tune.simulation.controller import METRIC, MODE, Fault, VirtualController
from hyperstar_tune.simulation.trial import Curves, ReplayTrial

__all__ = ["Incumbent", "ReplayCurves", "Run", "replay"]

Floats = npt.NDArray[np.float64]


class ReplayCurves(Curves, Protocol):
    """Curves that a replay reads: those of a table (``TaskCurves``), or those that a model of a table gives."""

    @property
    def accuracy(self) -> Floats:
        """Accuracy on the half that decides, [rows, R]."""

    @property
    def accuracy_b(self) -> Floats:
        """Accuracy on the half that reports, [rows, R]."""

    @property
    def end_seconds(self) -> Floats:
        """Seconds at the end of each epoch, with a 0 in front, [rows, R + 1]."""

    @property
    def settles(self) -> bool:
        """Whether a configuration that is trained to R is worth its last accuracy, not its best."""


@dataclass(frozen=True)
class Incumbent:
    """The best so far after every epoch of a run, all of shape [epochs]."""

    accuracy: Floats  # best half-A accuracy so far; NaN before the first finite one
    accuracy_b: Floats  # half-B accuracy of that trial at that epoch
    seconds: Floats  # on the virtual clock

    def at(self, epochs: Sequence[int]) -> npt.NDArray[np.intp]:
        """Index of each budget in these arrays; a budget beyond the run's end gives its end."""
        return np.minimum(np.asarray(epochs), len(self.accuracy)) - 1

    def at_seconds(self, seconds: Floats) -> npt.NDArray[np.intp]:
        """Index of the last result at each time; before the first result it is the index of the first."""
        return np.maximum(np.searchsorted(self.seconds, seconds, side="right") - 1, 0)


@dataclass(frozen=True, eq=False)
class Run:
    """A finished replay."""

    curves: ReplayCurves
    trials: tuple[ReplayTrial, ...]  # in the order in which they were made
    segments: Floats  # [stretches of training, 4]: row, epoch before, epoch after, second of the start
    epochs: int  # epochs charged to the budget
    redone_epochs: int  # epochs trained again after a fault, which are not charged
    seconds: float  # seconds of the virtual clock
    searcher_s: float  # seconds measured inside the searcher
    n_results: int  # results delivered to the scheduler
    stalled: bool  # trials were left that nobody would ever run

    @cached_property
    def incumbent(self) -> Incumbent:
        """The best so far, in the order in which epochs ended on the clock; redone epochs do not count.

        Where curves settle, a trial that has reached R stands with its last epoch in place of its best one.
        """
        rows, before, after = self.segments[:, :3].astype(np.intp).T
        lengths = after - before
        row = np.repeat(rows, lengths)
        first = np.repeat(np.cumsum(lengths) - lengths, lengths)
        epoch = np.arange(len(row)) - first + np.repeat(before, lengths)  # counted from 0
        ends = self.curves.end_seconds
        time = np.repeat(self.segments[:, 3] - ends[rows, before], lengths) + ends[row, epoch + 1]
        order = np.argsort(time, kind="stable")
        row, epoch, time = row[order], epoch[order], time[order]
        accuracy = np.nan_to_num(self.curves.accuracy[row, epoch], nan=-np.inf)
        if self.curves.settles:
            holder = _settled_holders(row, epoch == self.curves.max_epochs - 1, accuracy)
            best = accuracy[holder]
        else:
            best = np.maximum.accumulate(accuracy)
            is_new = np.concatenate([[True], accuracy[1:] > best[:-1]])
            holder = np.maximum.accumulate(np.where(is_new, np.arange(len(row)), 0))
        return Incumbent(
            accuracy=np.where(np.isneginf(best), np.nan, best),
            accuracy_b=self.curves.accuracy_b[row, epoch][holder],
            seconds=time,
        )


def _settled_holders(
    row: npt.NDArray[np.intp], is_last: npt.NDArray[np.bool_], accuracy: Floats
) -> npt.NDArray[np.intp]:
    """After each result the one that is best by then, [results]; a trial's last epoch replaces its earlier ones."""
    standing: dict[int, int] = {}  # configuration -> its result that counts
    holders, holder = np.zeros(len(row), dtype=np.intp), 0
    for now, config in enumerate(row.tolist()):
        before = standing.get(config)
        if before is None or is_last[now] or accuracy[now] > accuracy[before]:
            standing[config] = now
            if before == holder and accuracy[now] < accuracy[holder]:
                holder = max(standing.values(), key=lambda result: (accuracy[result], -result))
            elif before == holder or accuracy[now] > accuracy[holder]:
                holder = now
        holders[now] = holder
    return holders


def replay(
    curves: ReplayCurves,
    searcher: Searcher,
    scheduler: TrialScheduler,
    *,
    n_workers: int = 1,
    epoch_budget: int | None = None,
    reports: Sequence[int] | str = "every epoch",
    faults: Mapping[int, Fault] | None = None,
    n_queued: int = 1,
) -> Run:
    """Runs one search to its end.

    Args:
        curves: Recorded curves of the task, or those of a model of them.
        searcher: A fresh searcher; its metric and mode are set here.
        scheduler: A fresh scheduler; its metric and mode are set here.
        n_workers: Number of trials that run side by side.
        epoch_budget: Ends the run at exactly so many epochs; a scheduler with a plan of its own ends it itself.
        reports: Which results are delivered; the others cost time and epochs, but nobody hears of them. One of
            ``"every epoch"``; ``"levels"``, every epoch at which some rung of the plan ends, which is enough for a
            gated searcher that learns or may draw a configuration again; ``"targets"``, only the ends of a trial's own
            rungs, which is enough for a gated searcher that does neither; or a list of epochs.
        faults: What happens instead of the n-th report, counted from 1; every epoch is then reported.
        n_queued: Trials asked for ahead: 1 with any searcher, as Ray does, 200 with Ray's own variant generator.

    Raises:
        SearchError: If the scheduler does not take metric and mode, or ``reports`` needs a gated searcher.
    """
    searcher.set_search_properties(METRIC, MODE, {})
    if not scheduler.set_search_properties(METRIC, MODE):
        raise SearchError(f"a replay sets metric and mode itself, but {type(scheduler).__name__} has them already")
    controller = VirtualController(
        curves,
        searcher,
        scheduler,
        n_workers=n_workers,
        epoch_budget=epoch_budget,
        next_report=None if faults else _next_report(searcher, reports),
        faults=faults,
        n_queued=n_queued,
    )
    controller.run()
    return Run(
        curves=curves,
        trials=tuple(controller.get_trials()),
        segments=np.asarray(controller.segments, dtype=np.float64).reshape(-1, 4),
        epochs=controller.epochs,
        redone_epochs=controller.redone_epochs,
        seconds=controller.now,
        searcher_s=controller.searcher_s,
        n_results=controller.n_results,
        stalled=controller.stalled,
    )


def _next_report(searcher: Searcher, reports: Sequence[int] | str) -> Callable[[ReplayTrial], int] | None:
    if reports == "every epoch":
        return None
    if not isinstance(reports, str):
        rising = sorted(reports)

        def listed(trial: ReplayTrial) -> int:
            place = bisect_right(rising, trial.epoch)
            return rising[place] if place < len(rising) else trial.epoch + 1

        return listed
    answer = getattr(searcher, "next_report", None)
    if answer is None or reports not in ("levels", "targets"):
        raise SearchError(
            "reports must be 'every epoch', a list of epochs or, for a gated searcher, 'levels' or 'targets', but got "
            f"{reports!r} for a {type(searcher).__name__}"
        )
    every_level = reports == "levels"
    return lambda trial: answer(trial.trial_id, trial.epoch, every_level=every_level)
