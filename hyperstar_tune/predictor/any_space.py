"""Scores of configurations of any space, learned from tables: the arithmetic of ``any_space_predictor.py``.

HyperSTAR+ has a mean score for each measured configuration, and its slopes with traits of a task. Here a Gaussian
process carries both over to all other configurations, by the kernel of ``weighted_kernel.py``. Near a measured
configuration what was measured there counts; elsewhere, the effects of parameters and of pairs of them do.

Several tables are learned from together. What the first one tells counts fully. The others, which may be of other
networks, are correlated with it by ``OTHER_TABLES``. Each table has a level of its own, since a score compares
configurations of one table.

Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, Sec. 2.2 and 4.2; Swersky et al.,
"Multi-Task Bayesian Optimization", NIPS 2013 (correlated tables).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperstar_tune.predictor.plus import PlusModel, reach_of
from hyperstar_tune.predictor.weighted_kernel import NUGGET, Kernel, learned_kernel

__all__ = ["OTHER_TABLES", "Measured", "basis_of", "cross_error", "fast_scores", "fit_any_space", "kernel_for"]

Floats = npt.NDArray[np.float64]

OTHER_TABLES = 0.7  # correlation of what another table tells with the first one
_THIRDS = 3  # parts of the configurations, each of which is left out once to learn how far scores are off


@dataclass(frozen=True, eq=False)
class Measured:
    """What one table tells of T tasks and H configurations."""

    targets: Floats  # [T, H], without NaN
    traits: Floats  # [T, D]
    families: tuple[str, ...]  # T
    encoded: Floats  # [H, p]
    widths: tuple[int, ...]  # how many of the p numbers each parameter has

    def part(self, tasks: npt.NDArray[np.bool_], configs: npt.NDArray[np.bool_]) -> "Measured":
        """Some of the tasks and configurations."""
        families = tuple(family for family, kept in zip(self.families, tasks, strict=True) if kept)
        encoded = self.encoded[configs]
        return Measured(self.targets[np.ix_(tasks, configs)], self.traits[tasks], families, encoded, self.widths)


@dataclass(frozen=True, eq=False)
class _Joined:
    """What some tables tell together, of T tasks and H configurations of all of them."""

    shift: Floats  # [D], mean of each trait
    scale: Floats  # [D], deviation of each trait
    known: Floats  # [T, D], standardized traits
    reach: float
    level: Floats  # [1 + D, 1], of the first table: what is the same for all its configurations
    values: Floats  # [1 + D, H], means and slopes, less the level of their table
    encoded: Floats  # [H, p]
    related: Floats  # [H, H], correlation of what their tables tell
    noise: Floats  # [H]

    @classmethod
    def of(cls, tables: Sequence[Measured], penalty: float, other_tables: float) -> "_Joined":
        """Arguments as for ``fit_any_space``."""
        traits = np.concatenate([table.traits for table in tables])
        shift, scale = traits.mean(axis=0), traits.std(axis=0)
        scale = np.where(scale > 1e-9, scale, 1.0)
        own = [_means_and_slopes(table, (table.traits - shift) / scale, penalty) for table in tables]
        levels = [values.mean(axis=1, keepdims=True) for values in own]
        centred = np.concatenate([values - level for values, level in zip(own, levels, strict=True)], axis=1)
        encoded = np.concatenate([table.encoded for table in tables])
        numbers = np.repeat(np.arange(len(tables)), [len(table.encoded) for table in tables])
        related = np.where(numbers[:, None] == numbers, 1.0, other_tables)
        n_tasks = np.array([len(table.targets) for table in tables], dtype=np.float64)
        noise = NUGGET * n_tasks[0] / n_tasks[numbers]
        known = (traits - shift) / scale
        reach = reach_of(known, [family for table in tables for family in table.families])
        return cls(shift, scale, known, reach, levels[0], centred, encoded, related, noise)


def kernel_for(tables: Sequence[Measured], penalty: float, other_tables: float = OTHER_TABLES) -> Kernel:
    """The kernel under which the mean scores of some tables are most likely; arguments as for ``fit_any_space``."""
    joined = _Joined.of(tables, penalty, other_tables)
    return learned_kernel(joined.encoded, tables[0].widths, joined.values[0], joined.related, joined.noise)


def fit_any_space(
    tables: Sequence[Measured], penalty: float, kernel: Kernel, other_tables: float = OTHER_TABLES
) -> PlusModel:
    """A model whose scores, of a task with given traits, are weights [1 + H] of a constant and H kernel values.

    Args:
        tables: What is learned from, the table whose level and network count first.
        penalty: As in ``PlusSettings``.
        kernel: The kernel of their configurations.
        other_tables: Correlation of what the further tables tell with the first one.
    """
    joined = _Joined.of(tables, penalty, other_tables)
    matrix = kernel.between(joined.encoded, joined.encoded) * joined.related + np.diag(joined.noise)
    solved = np.linalg.solve(matrix, joined.values.T).T
    weights = np.concatenate([joined.level, solved * joined.related[0]], axis=1)  # [1 + D, 1 + H]
    return PlusModel(weights[0], weights[1:], joined.shift, joined.scale, joined.known, joined.reach)


def cross_error(tables: Sequence[Measured], penalty: float, kernel: Kernel) -> Floats:
    """How far scores are off for families and configurations that were both left out: root mean square [H]."""
    families = list(dict.fromkeys(family for table in tables for family in table.families))
    squares, counts = ([np.zeros(len(table.encoded)) for table in tables] for _ in range(2))
    rng = np.random.default_rng(0)
    thirds = [rng.permutation(len(table.encoded)) % _THIRDS for table in tables]
    for family in families:
        others = [np.array([other != family for other in table.families]) for table in tables]
        for third in range(_THIRDS):
            kept = [part != third for part in thirds]
            pairs = zip(tables, others, kept, strict=True)
            left = [table.part(*masks) for table, *masks in pairs if all(mask.any() for mask in masks)]
            for number, table in enumerate(tables):
                mine, new = ~others[number], ~kept[number]
                if not left or not mine.any() or not new.any():
                    continue
                model = fit_any_space(left, penalty, kernel)
                known = np.concatenate([part.encoded for part in left])
                basis = basis_of(kernel, table.encoded[new], known)
                for target, traits in zip(table.targets[mine], table.traits[mine], strict=True):
                    off = target[new] - basis @ model.scores(traits)
                    squares[number][new] += (off - off.mean()) ** 2
                    counts[number][new] += 1
    total, n = np.concatenate(squares), np.concatenate(counts)
    usual = np.sqrt(total.sum() / n.sum()) if n.any() else 1.0
    return np.where(n > 0, np.sqrt(total / np.maximum(n, 1)), usual)


def basis_of(kernel: Kernel, encoded: Floats, known: Floats) -> Floats:
    """What the weights of a model belong to: a constant, and the kernel with H known ones, [n, p] -> [n, 1 + H]."""
    return np.concatenate([np.ones((len(encoded), 1)), kernel.between(encoded, known)], axis=1)


def fast_scores(
    kernel: Kernel, weights: Floats, encoded: npt.NDArray[np.float32], known: Floats
) -> npt.NDArray[np.float32]:
    """``basis_of(kernel, encoded, known) @ weights`` in single precision, for very many configurations, [n]."""
    known, factors = kernel.weighted(known), kernel.weighted(np.ones(known.shape[1]))
    products = kernel.pairs * (known.T * weights[1:]) @ known  # [p, p]
    np.fill_diagonal(products, 0)
    encoded = encoded * factors.astype(np.float32)
    own, alpha = known.astype(np.float32), weights[1:].astype(np.float32)
    linear, products = (kernel.pairs * weights[1:] @ known).astype(np.float32), (products / 2).astype(np.float32)
    squares, near = (own**2).sum(axis=1), np.float32(kernel.near)
    gaps = encoded @ (near * own.T)  # [n, H]
    gaps -= (near / 2) * squares
    gaps -= (near / 2) * np.einsum("ij,ij->i", encoded, encoded)[:, None]
    np.exp(gaps, out=gaps)
    effects = encoded @ linear + np.einsum("ij,ij->i", encoded @ products, encoded)
    return np.asarray(np.float32(weights[0]) + effects + gaps @ alpha)


def _means_and_slopes(table: Measured, known: Floats, penalty: float) -> Floats:
    """The mean score of each configuration and its slopes with standardized traits [T, D], as HyperSTAR+ has them."""
    mean, centre = table.targets.mean(axis=0), known.mean(axis=0)
    apart, dims = known - centre, known.shape[1]
    slopes = np.linalg.solve(apart.T @ apart + penalty * dims * np.eye(dims), apart.T @ (table.targets - mean))
    return np.concatenate([(mean - centre @ slopes)[None], slopes])
