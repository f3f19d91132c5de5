"""The record of a run: its trials, its epochs in order, and the best accuracy that was found within any budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hyperstar_tune.simulation.curves import TaskCurves
from hyperstar_tune.simulation.trial import ReplayTrial

__all__ = ["Incumbent", "Run"]

Floats = npt.NDArray[np.float64]


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

    curves: TaskCurves
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
        """The best so far, in the order in which epochs ended on the clock; redone epochs do not count."""
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
        best = np.maximum.accumulate(accuracy)
        is_new = np.concatenate([[True], accuracy[1:] > best[:-1]])
        holder = np.maximum.accumulate(np.where(is_new, np.arange(len(row)), 0))
        return Incumbent(
            accuracy=np.where(np.isneginf(best), np.nan, best),
            accuracy_b=self.curves.accuracy_b[row, epoch][holder],
            seconds=time,
        )
