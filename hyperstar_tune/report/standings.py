"""What the record of a run says: how its trials stand, whether they can be told apart, what the ranking had promised.

A record is the content of ``run.json`` (docs/tune.md). A number that was not finite is None in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperstar_tune.choosing import unpack_correct
from hyperstar_tune.classification import wilson_interval

__all__ = ["Promise", "Standing", "best_so_far", "confusions", "promise", "standings"]

Record = Mapping[str, Any]
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Standing:
    """How a trial did."""

    trial: str
    config: dict[str, Any]
    place: int | None  # in the ranking, from 1
    epochs: tuple[int, ...]  # at which it reported
    values: tuple[float, ...]  # the metric at each of them; NaN where it was not finite
    level: int  # the highest level of the plan that it reached, in epochs; 0: none
    best_epoch: int
    value: float  # the metric at its best epoch; NaN: no result
    accuracy: float  # at its best epoch
    interval: tuple[float, float]  # 95 % interval of that accuracy
    difference: tuple[float, float, float] | None  # its accuracy less the winner's, and the 95 % interval of that
    is_winner: bool
    is_tied: bool  # with the winner, in the metric
    status: str
    fault: str

    @property
    def is_alike(self) -> bool:
        """Whether the validation images cannot tell it from the winner."""
        return self.difference is not None and self.difference[1] <= 0 <= self.difference[2]


def standings(record: Record) -> list[Standing]:
    """How each trial did: the winner first, then the best one; those without a result last."""
    metric, winner = record["options"]["metric"], record.get("winner") or {}
    sign = _sign(record)
    n_val = sum(record["task"]["counts"]["val"].values())
    right = {t["trial"]: best["correct"] for t in record["trials"] if (best := t.get("best")) and best.get("correct")}
    found = []
    for trial in record["trials"]:
        curve, name = trial["curve"], trial["trial"]
        values = tuple(_number(row.get(metric)) for row in curve)
        best = (trial.get("best") or {}).get("epoch") or (
            curve[int(np.nanargmax(sign * np.array(values)))]["epoch"] if _any(values) else 0
        )
        row: Record = next((row for row in curve if row["epoch"] == best), {})
        accuracy = _number(row.get("val_accuracy"))
        reached = [level for level in record["plan"]["levels"] if curve and level <= curve[-1]["epoch"]]
        pair = (right[winner["trial"]], right[name]) if winner.get("trial") in right and name in right else None
        found.append(
            Standing(
                trial=name,
                config=trial["config"],
                place=trial["place"],
                epochs=tuple(row["epoch"] for row in curve),
                values=values,
                level=max(reached, default=0),
                best_epoch=best,
                value=_number(row.get(metric)),
                accuracy=accuracy,
                interval=wilson_interval(accuracy, n_val) if np.isfinite(accuracy) and n_val else (np.nan, np.nan),
                difference=_difference(*pair) if pair is not None and name != winner["trial"] else None,
                is_winner=name == winner.get("trial"),
                is_tied=name in winner.get("tied_with", ()),
                status=trial["status"],
                fault=trial["fault"],
            )
        )
    return sorted(found, key=lambda s: (not s.is_winner, -np.nan_to_num(sign * s.value, nan=-np.inf)))


def best_so_far(record: Record) -> tuple[list[float], list[float]]:
    """Seconds of the run's work at which each epoch ended, and the best value of the metric by then."""
    metric = record["options"]["metric"]
    rows = sorted((row for trial in record["trials"] for row in trial["curve"]), key=lambda row: row["at_s"])
    values = _sign(record) * np.array([_number(row.get(metric)) for row in rows])
    best = _sign(record) * np.maximum.accumulate(np.nan_to_num(values, nan=-np.inf))
    return [row["at_s"] for row in rows], np.where(np.isfinite(best), best, np.nan).tolist()


@dataclass(frozen=True)
class Promise:
    """Of n configurations, which the ranking knew, the order that it promised and the one that was found."""

    epoch: int  # by the best value up to here, which all of them reached
    promised: list[int]  # ranks among the n, 1 is the best
    observed: list[float]  # ranks among the n; equal values share the mean of theirs
    standings: list[Standing]
    correlation: float  # of the ranks (Spearman's); NaN where one of the orders is no order


def promise(standings: Sequence[Standing], levels: Sequence[int]) -> Promise | None:
    """Compares trials at the highest level that half of them, and at least three, reached; None if there is none."""
    from scipy.stats import rankdata, spearmanr

    known = sorted((s for s in standings if s.place is not None and _any(s.values)), key=lambda s: s.place or 0)
    for epoch in sorted(levels, reverse=True):
        there = [s for s in known if len(s.values) >= epoch and _any(s.values[:epoch])]
        if len(there) >= max(3, len(known) / 2):
            break
    else:
        return None
    values = [float(np.nanmax(s.values[:epoch])) for s in there]
    observed, promised = rankdata([-value for value in values]), list(range(1, len(there) + 1))
    correlation = float(spearmanr(promised, observed).statistic) if len(set(values)) > 1 else np.nan
    return Promise(epoch, promised, observed.tolist(), there, correlation)


def confusions(judgement: Record, classes: Sequence[str], most: int = 8) -> list[tuple[str, str, int, float]]:
    """The largest confusions: true class, the one it was taken for, number and share of its images."""
    table = np.array(judgement["confusion"])
    wrong = table - np.diag(np.diag(table))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [
        (classes[i], classes[j], int(wrong[i, j]), float(wrong[i, j] / table[i].sum())) for i, j in pairs if wrong[i, j]
    ]


def _difference(winner: str, other: str) -> tuple[float, float, float] | None:
    """Difference of two accuracies on the same images, and its 95 % interval."""
    right = unpack_correct([winner, other]).astype(np.float64)
    each = right[1] - right[0]
    mean, around = float(each.mean()), _Z * float(each.std()) / np.sqrt(len(each))
    return mean, mean - around, mean + around


def _sign(record: Record) -> int:
    return -1 if record["options"].get("mode") == "min" else 1


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def _any(values: Sequence[float]) -> bool:
    return bool(np.isfinite(values).any())
