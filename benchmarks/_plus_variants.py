"""Rankers between the average ranking and HyperSTAR+, which show what each of its parts adds.

They are for experiments only: ``hyperstar_tune.predictor.plus`` has the one that was chosen. A variant predicts from
arrays, so that many variants can be fitted to many splits in seconds.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import cho_factor, cho_solve, orth
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge

from hyperstar_tune.comparison.judging import true_scores
from hyperstar_tune.metrics import normalize_scores, relevance, worst_for_diverged
from hyperstar_tune.predictor.plus import fit_plus
from hyperstar_tune.predictor.targets import CURVES as PLUS_CURVES
from hyperstar_tune.predictor.targets import READINGS, completed, config_kernel, robust_scores
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["LAST", "MORE_READINGS", "NEED_HALF_B", "OTHER_CURVES", "STEADY", "Data", "Variant", "predict"]

Floats = npt.NDArray[np.float64]


def _closeness(row: Floats) -> Floats:
    span = row.max() - np.median(row)
    return np.exp(-1.5 * (row.max() - row) / span) if span > 0 else np.zeros_like(row)


MORE_READINGS = READINGS | {
    "upper half of ranks": lambda row: np.maximum(READINGS["rank"](row), 0),
    "top 10": lambda row: relevance(row, min(10, len(row))),
    "top 20": lambda row: relevance(row, min(20, len(row))),
    "closeness to the best": _closeness,
}


LAST, STEADY = "last accuracy", "best and mean accuracy"
# Steady: of both halves where there are two.
PRODUCT_CURVES = {LAST: PLUS_CURVES["last"], STEADY: PLUS_CURVES["steady"]}
# Of half A's accuracies and losses [T, H, F], and of the halves' mean accuracies; seeds averaged, F measured epochs.
OTHER_CURVES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "mean accuracy of the last 2 epochs": lambda accuracy, loss, both: accuracy[..., -2:].mean(axis=-1),
    "mean accuracy of the last 4 epochs": lambda accuracy, loss, both: accuracy[..., -4:].mean(axis=-1),
    "mean accuracy of the last 8 epochs": lambda accuracy, loss, both: accuracy[..., -8:].mean(axis=-1),
    "best accuracy": lambda accuracy, loss, both: np.fmax.reduce(accuracy, axis=-1),
    "last loss": lambda accuracy, loss, both: -np.minimum(loss[..., -1], 10.0),
    "last accuracy on both halves": lambda accuracy, loss, both: both[..., -1],
    "mean of the last 4 accuracies on both halves": lambda accuracy, loss, both: both[..., -4:].mean(axis=-1),
    "best accuracy on both halves": lambda accuracy, loss, both: np.fmax.reduce(both, axis=-1),
}
NEED_HALF_B = tuple(curve for curve in OTHER_CURVES if curve.endswith("both halves"))


@dataclass(frozen=True)
class Variant:
    """A way to predict scores of configurations on a task."""

    idea: str  # of issue: a average plus residual, b label-aware, c targets, e ensembles, f sub-tasks
    readings: tuple[str, ...] = tuple(READINGS)  # of accuracies; () for their mean as they are
    traits: tuple[str, ...] = ()  # none: the same ranking for every task
    penalty: float = 5.0
    incomplete: bool = False  # learn from tasks that lack configurations
    embedding: int = 0  # principal components of the mean image embedding, beside the traits
    length: float = 0.0  # of a squared exponential kernel between tasks; 0: linear
    rank: int = 0  # of the residuals that are learned; 0: as it is
    smoothed: bool = False  # residuals smoothed over alike configurations
    structure: tuple[tuple[str, ...], ...] = ()  # residuals held to sums over these combinations of parameters
    shrunk: bool = False  # the average too, halfway
    curve: str = LAST  # what is read off a learning curve, of PRODUCT_CURVES or OTHER_CURVES
    joint: float = 0.0  # variance of the residual in one Gaussian process over tasks x configurations


class Data:
    """A table with the traits and embeddings of its tasks."""

    def __init__(self, table: MetaDataset, table_name: str, traits: pd.DataFrame, embeddings: pd.DataFrame) -> None:
        names = table.tasks["name"].astype(str).tolist()
        self.table, self.table_name = table, table_name
        self.names = names
        self.families = table.tasks["family"].to_numpy(dtype=str)
        self.accuracies = table.scores()
        self.traits = traits.loc[names]
        self.embeddings = embeddings.loc[names].to_numpy(dtype=np.float64)
        self.encoded = table.space.encode(table.configs)
        self._sums: dict[tuple[tuple[str, ...], ...], Floats] = {}
        self._targets: dict[tuple[object, ...], tuple[npt.NDArray[np.intp], Floats]] = {}
        self._read: dict[str, Floats] = {}

    @cached_property
    def half_b(self) -> Floats:
        """Last accuracies on half B [T, H], what regret is reported on; half A where there is none."""
        truth = np.array(self.accuracies)
        if self.has_half_b:
            found = true_scores(self.table, self.table.families)
            truth[self.complete] = found.half_b
        return truth

    @cached_property
    def complete(self) -> npt.NDArray[np.bool_]:
        """Tasks on which every configuration was trained."""
        return self.table.complete

    def read(self, curve: str) -> Floats:
        """One number per trained cell [T, H]; a diverged cell is as bad as its task's worst."""
        if curve not in self._read:
            self._read[curve] = self._read_anew(curve)
        return self._read[curve]

    def _read_anew(self, curve: str) -> Floats:
        if curve in PRODUCT_CURVES:
            return PRODUCT_CURVES[curve](self.table)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a cell that was not trained has no mean
            accuracy, loss, of_b = (
                np.nanmean(self.table.curve(objective).astype(np.float64), axis=2)
                for objective in ("val_accuracy", "val_loss", "val_accuracy_b")
            )
        values = OTHER_CURVES[curve](accuracy, loss, (accuracy + of_b) / 2)
        return np.where(np.isfinite(self.accuracies), worst_for_diverged(values), np.nan)

    @cached_property
    def has_half_b(self) -> bool:
        """Whether validation was measured in halves."""
        return bool(np.isfinite(self.table.curve("val_accuracy_b")).any())

    def sums_over(self, structure: tuple[tuple[str, ...], ...]) -> Floats:
        """Projection [H, H] onto sums of effects of combinations of parameters; the identity where there are none."""
        if structure not in self._sums:
            configs = pd.DataFrame(self.table.configs).astype(str)
            effects = [pd.get_dummies(configs[list(names)].agg("|".join, axis=1)) for names in structure]
            basis = orth(pd.concat(effects, axis=1).to_numpy(dtype=np.float64)) if effects else np.eye(len(configs))
            self._sums[structure] = basis @ basis.T
        return self._sums[structure]

    @cached_property
    def kernel(self) -> Floats:
        """Similarity of configurations."""
        return config_kernel(self.encoded, self.encoded)

    def targets(self, held_out: frozenset[str], variant: Variant) -> tuple[npt.NDArray[np.intp], Floats]:
        """Row numbers of the training tasks and what is learned from them."""
        key = (held_out, variant.readings, variant.incomplete, variant.curve)
        if key not in self._targets:
            kept = ~np.isin(self.families, list(held_out))
            rows = np.flatnonzero(kept if variant.incomplete else kept & self.complete)
            scores = self.read(variant.curve)[rows]
            if variant.readings:
                scores = robust_scores(scores, [MORE_READINGS[name] for name in variant.readings])
            self._targets[key] = rows, completed(scores, self.encoded)
        return self._targets[key]


def predict(data: Data, variant: Variant, held_out: frozenset[str], tasks: Sequence[int]) -> list[Floats]:
    """Scores [H] of some tasks from the tasks of the families that are not held out."""
    rows, targets = data.targets(held_out, variant)
    held = data.sums_over(variant.structure)
    if variant.shrunk:
        mean = targets.mean(axis=0)
        targets = targets + (mean @ held - mean) / 2
    if not variant.traits and not variant.embedding:
        return [np.asarray(targets.mean(axis=0))] * len(tasks)
    values = data.traits[list(variant.traits)].to_numpy(dtype=np.float64)
    if variant.embedding:
        of_images = PCA(variant.embedding, random_state=0).fit(data.embeddings[rows])
        values = np.concatenate([values, of_images.transform(data.embeddings)], axis=1)
    families = data.families[rows].tolist()
    if variant.joint:
        return [_joint(data, variant, rows, targets, values, task) for task in tasks]
    mean = targets.mean(axis=0)
    residuals = (targets - mean) @ held
    if variant.smoothed:
        residuals = residuals @ np.linalg.solve(data.kernel + 0.5 * np.eye(len(data.kernel)), data.kernel)
    if variant.rank:
        left, scale, right = np.linalg.svd(residuals, full_matrices=False)
        residuals = (left[:, : variant.rank] * scale[: variant.rank]) @ right[: variant.rank]
    if variant.length:
        scaled = np.asarray(normalize_scores(values[rows].T)).T
        mine = (values[list(tasks)] - values[rows].mean(axis=0)) / np.maximum(values[rows].std(axis=0), 1e-9)
        gamma = 0.5 / (variant.length**2 * scaled.shape[1])
        near = KernelRidge(alpha=variant.penalty, kernel="rbf", gamma=gamma).fit(scaled, residuals)
        return list(mean + near.predict(mine))
    model = fit_plus(mean + residuals, values[rows], families, variant.penalty)
    return [model.scores(values[task]) for task in tasks]


def _joint(
    data: Data, variant: Variant, rows: npt.NDArray[np.intp], targets: Floats, values: Floats, task: int
) -> Floats:
    """Mean of a Gaussian process over the trained cells: main effect, residual by task, unknown level of each task."""
    shift, scale = values[rows].mean(axis=0), np.maximum(values[rows].std(axis=0), 1e-9)
    known, mine = (values[rows] - shift) / scale, (values[task] - shift) / scale
    between = np.exp(-0.5 * ((known[:, None] - known[None]) ** 2).mean(axis=2))
    to_mine = np.exp(-0.5 * ((known - mine) ** 2).mean(axis=1))
    t, h = np.nonzero(np.isfinite(data.accuracies[rows]))
    alone = np.eye(len(data.kernel))
    main, residual = data.kernel + 0.1 * alone, variant.joint * (data.kernel + 0.1 * alone)
    covariance = main[np.ix_(h, h)] + between[np.ix_(t, t)] * residual[np.ix_(h, h)] + 100.0 * (t[:, None] == t)
    covariance[np.diag_indices(len(t))] += 0.15
    y = targets[t, h]
    weights = cho_solve(cho_factor(covariance, overwrite_a=True), y - y.mean())
    return np.asarray((main[:, h] + to_mine[t] * residual[:, h]) @ weights)
