"""How much tasks disagree about configurations, and how much of that is noise: plain arithmetic on scores.

A ranking made for a task can beat the average ranking only where tasks disagree by more than noise. To judge a ranking,
use ``hyperstar_tune.metrics``. ``half_a`` and ``half_b`` are the accuracies of T tasks, H configurations and S seeds on
the two halves of the validation images, as ``last_values`` gives them: shape [T, H, S], NaN where not measured.

Source: halves, seeds and the noise ceiling as in docs/protocol.md; variance components by the two-way analysis of
variance with random effects (Searle, Casella & McCulloch, "Variance Components", 1992).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, permutations

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune.metrics import average_precision, chance_average_precision, normalize_scores, ranking_of
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = [
    "MIN_SEEDS",
    "NoiseCeiling",
    "VarianceSplit",
    "last_values",
    "mean_correlations",
    "noise_ceiling",
    "noise_variance",
    "rank_correlation",
    "size_of",
    "variance_split",
]

Floats = npt.NDArray[np.float64]

MIN_SEEDS = 3  # seeds that a noise ceiling needs: the mean of two is judged by the third; one alone makes no ceiling


@dataclass(frozen=True)
class VarianceSplit:
    """Shares of the variance of normalized scores; they sum to 1.

    If nothing was measured twice, noise cannot be told from interaction: ``noise`` is None, and a part of
    ``interaction``.
    """

    configuration: float  # the same on every task: what the average ranking knows
    interaction: float  # task x configuration: what only a ranking made for the task can know
    noise: float | None
    noise_from: str | None  # which repeated measurements the noise was estimated from

    def __str__(self) -> str:
        known = f"{self.configuration:.0%} configuration, {self.interaction:.0%} task x configuration"
        return known + (" with noise" if self.noise is None else f", {self.noise:.0%} noise (from {self.noise_from})")


@dataclass(frozen=True)
class NoiseCeiling:
    """The AP@k that a repetition of the measurement itself reaches. With the same seed it is too high for a ceiling."""

    average_precision: float
    k: int
    chance: float  # AP@k of a random ranking
    tasks: int  # number of tasks that it comes from; the mean is over their families
    same_seed: bool  # both halves saw the same training, as no task has ``MIN_SEEDS`` seeds

    def __str__(self) -> str:
        what, judged = "noise ceiling of AP", "half A of the other seeds judged on half B of one"
        if self.same_seed:
            what, judged = f"no noise ceiling without {MIN_SEEDS} seeds; AP", "half A judged on half B of the same seed"
        more = f"{judged}, {self.tasks} tasks; chance {self.chance:.3f}"
        return f"{what}@{self.k}: {self.average_precision:.3f} ({more})"


def last_values(table: MetaDataset, objective: str = "val_accuracy") -> Floats:
    """An accuracy after the last epoch, shape [T, H, S]; a diverged cell has its task's worst, an unmeasured one NaN.

    NaN throughout where the table does not have the objective (half B of imported curves).
    """
    last = table.curve(objective)[..., -1].astype(np.float64)
    recorded = np.any(np.isfinite(table.curve(objective)), axis=(1, 2, 3), keepdims=True)[..., 0]
    return np.where(recorded, table.filled(last), last)


def size_of(name: str) -> str:
    """What follows ``@`` in the name of a sub-task (``small``, ``large``), else ``parent``."""
    _, found, kind = name.partition("@")
    return kind if found else "parent"


def rank_correlation(scores: npt.ArrayLike) -> Floats:
    """Spearman's rank correlation of every two tasks over the configurations both have, from scores [T, H].

    It has the shape [T, T], and is NaN where a task's scores are all equal.
    """
    frame = pd.DataFrame(np.asarray(scores, dtype=np.float64).T)
    return np.asarray(frame.corr(method="spearman", min_periods=2), dtype=np.float64)


def mean_correlations(correlation: Floats, families: Sequence[str], sizes: Sequence[str]) -> dict[str, float]:
    """Means over pairs of tasks of a correlation [T, T], given the family and the size (``size_of``) of each task.

    Returns:
        ``all``; ``within family``; ``between families``; and for each size the pairs of two such tasks of different
        families. Groups without a pair are left out.
    """
    pairs = np.triu(np.ones(correlation.shape, dtype=bool), 1) & np.isfinite(correlation)
    related = np.array([[one == other for other in families] for one in families])
    groups = {"all": pairs, "within family": pairs & related, "between families": pairs & ~related}
    for size in dict.fromkeys(sizes):
        alike = np.equal(sizes, size)
        groups[f"{size} tasks"] = pairs & ~related & np.outer(alike, alike)
    return {name: float(correlation[group].mean()) for name, group in groups.items() if group.any()}


def noise_variance(half_a: Floats, half_b: Floats) -> tuple[float, str] | None:
    """Variance of one measurement, in units of the variance of its task's scores over configurations.

    Half A of one seed against half B of another shows all of the noise: another training, judged on other images. Half
    A of both seeds would share the images, and what is special to these images would count as interaction. If no task
    has two seeds, the halves of one seed show only the noise of a finite validation set, because they share the
    training. If some tasks have two seeds, the halves of one seed show how noisy each task is, and the tasks with more
    seeds show how much another training adds.

    Returns:
        The mean over tasks and a text that says where it comes from, or None if nothing was repeated.
    """
    seeds = [_seeds(a + b) for a, b in zip(half_a, half_b, strict=True)]
    tasks = list(zip(half_a, half_b, seeds, strict=True))
    within = [_between(a, b, zip(own, own, strict=True)) for a, b, own in tasks]
    across = _mean(_between(a, b, permutations(own, 2)) for a, b, own in tasks)
    halves = _mean(within)
    if halves is None or across is None:
        return None if halves is None else (halves, "the halves A and B of one seed")
    repeated = [len(own) > 1 for own in seeds]
    source = f"half A against half B of another seed, {max(map(len, seeds))} seeds of {sum(repeated)} tasks"
    halves_of_repeated = _mean(compress(within, repeated))
    if all(repeated) or not halves_of_repeated:
        return across, source
    return halves * across / halves_of_repeated, f"{source}; the other tasks from their halves of one seed"


def variance_split(half_a: Floats, half_b: Floats) -> VarianceSplit:
    """Splits the variance of the scores of each task's first seed, normalized per task, into its components.

    There must be at least two tasks and two configurations. The other seeds and half B show the noise. A negative
    estimate of a component counts as 0.
    """
    first = np.stack([task[:, _seeds(task)[0]] for task in half_a])
    z = np.asarray(normalize_scores(first))  # [T, H]: no task effect is left
    n_tasks, n_configs = z.shape
    common = z.mean(axis=0)
    mean_square = n_tasks * float(np.sum(common**2)) / (n_configs - 1)
    residual = float(np.sum((z - common) ** 2)) / ((n_tasks - 1) * (n_configs - 1))
    configuration = max(0.0, (mean_square - residual) / n_tasks)
    total = configuration + residual
    if total <= 0:  # every task's scores are all equal
        return VarianceSplit(0.0, 0.0, None, None)
    found = noise_variance(half_a, half_b)
    if found is None:
        return VarianceSplit(configuration / total, residual / total, None, None)
    noise = min(found[0], residual)
    return VarianceSplit(configuration / total, (residual - noise) / total, noise / total, found[1])


def noise_ceiling(half_a: Floats, half_b: Floats, families: Sequence[str], k: int = 10) -> NoiseCeiling | None:
    """AP@k of a repetition of the measurement, which limits what any ranking can reach.

    On tasks with ``MIN_SEEDS`` seeds, the half B of each seed judges the ranking by the mean half A of the others
    (docs/protocol.md); more seeds would rank better still. If no task has so many, half B of one seed judges its own
    half A. Both share the training run, so this is too high.

    Returns:
        The mean over ``families`` (one per task), or None if half B was not measured.
    """
    ceilings: dict[str, list[float]] = {}  # by family, one value per task
    of_one_seed: dict[str, list[float]] = {}
    for a, b, family in zip(half_a, half_b, families, strict=True):
        seeds = _seeds(a + b)
        if len(seeds) >= MIN_SEEDS:
            others = [np.mean([a[:, other] for other in seeds if other != seed], axis=0) for seed in seeds]
            judged = [average_precision(b[:, s], ranking_of(mean), k) for s, mean in zip(seeds, others, strict=True)]
            ceilings.setdefault(family, []).append(float(np.mean(judged)))
        elif seeds:
            of_one_seed.setdefault(family, []).append(average_precision(b[:, seeds[0]], ranking_of(a[:, seeds[0]]), k))
    used = ceilings or of_one_seed
    if not used:
        return None
    mean = float(np.mean([np.mean(of_family) for of_family in used.values()]))
    chance = chance_average_precision(half_a.shape[1], k)
    return NoiseCeiling(mean, k, chance, sum(map(len, used.values())), same_seed=not ceilings)


def _seeds(values: Floats) -> list[int]:
    """Seeds that have every configuration, of [H, S]."""
    return [int(seed) for seed in np.flatnonzero(np.isfinite(values).all(axis=0))]


def _between(a: Floats, b: Floats, pairs: Iterable[tuple[int, int]]) -> float | None:
    """Mean variance between a seed of half A [H, S] and one of half B, over that of half A; None where that is 0."""

    def variance(first: Floats, second: Floats) -> float | None:
        spread = float(first.var())
        return float((first - second).var(ddof=1)) / 2 / spread if spread > 1e-12 else None

    return _mean(variance(a[:, one], b[:, other]) for one, other in pairs)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
