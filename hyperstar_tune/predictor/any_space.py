"""Scores of configurations of any space, learned from tables: the arithmetic of ``any_space_predictor.py``.

HyperSTAR+ has a mean score for each measured configuration, and its slopes with traits of a task. Here a Gaussian
process carries both over to all other configurations. Its kernel of two encoded configurations is a sum: products of
their numbers and of all pairs of these, and a squared exponential, which is near 1 only for configurations that are
much alike. So a measured configuration keeps what was measured; near it, that counts; elsewhere, the effects of
parameters and of pairs of them do.

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

__all__ = ["OTHER_TABLES", "Kernel", "Measured", "basis_of", "cross_error", "fast_scores", "fit_any_space"]

Floats = npt.NDArray[np.float64]

OTHER_TABLES = 0.7  # correlation of what another table tells with the first one
_PAIRS = 5.0  # variance of the effects of parameters and pairs, in units of that of what is left
_NEAR = 5.0  # the squared exponential of two configurations as far apart as on average is exp(-5 / 2)
_NUGGET = 1e-3  # noise of a configuration's mean over the tasks of a table
_THIRDS = 3  # parts of the configurations, each of which is left out once to learn how far scores are off


@dataclass(frozen=True, eq=False)
class Measured:
    """What one table tells of T tasks and H configurations."""

    targets: Floats  # [T, H], without NaN
    traits: Floats  # [T, D]
    families: tuple[str, ...]  # T
    encoded: Floats  # [H, p]

    def part(self, tasks: npt.NDArray[np.bool_], configs: npt.NDArray[np.bool_]) -> "Measured":
        """Some of the tasks and configurations."""
        families = tuple(family for family, kept in zip(self.families, tasks, strict=True) if kept)
        return Measured(self.targets[np.ix_(tasks, configs)], self.traits[tasks], families, self.encoded[configs])


@dataclass(frozen=True)
class Kernel:
    """The kernel of encoded configurations, in units of the configurations that it was made for."""

    pairs: float  # factor of the effects of parameters and pairs
    near: float  # factor of squared distances in the exponential

    @classmethod
    def of(cls, encoded: Floats) -> "Kernel":
        """The kernel for measured configurations [H, p]."""
        squares = (encoded**2).sum(axis=1)
        size = float(np.mean(_pair_products(encoded, encoded).diagonal()))
        distance = float(2 * (np.mean(squares) - np.square(encoded.mean(axis=0)).sum()))  # mean over all pairs
        return cls(_PAIRS / max(size, 1e-9), _NEAR / max(distance, 1e-9))

    def between(self, first: Floats, second: Floats) -> Floats:
        """[n, p], [m, p] -> [n, m]."""
        return np.asarray(self.pairs * _pair_products(first, second) + np.exp(-0.5 * self.near * _gaps(first, second)))


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
    traits = np.concatenate([table.traits for table in tables])
    shift, scale = traits.mean(axis=0), traits.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    values = [_means_and_slopes(table, (table.traits - shift) / scale, penalty) for table in tables]  # [1 + D, H] each
    levels = [own.mean(axis=1, keepdims=True) for own in values]
    centred = np.concatenate([own - level for own, level in zip(values, levels, strict=True)], axis=1)
    encoded = np.concatenate([table.encoded for table in tables])
    numbers = np.repeat(np.arange(len(tables)), [len(table.encoded) for table in tables])
    related = np.where(numbers[:, None] == numbers, 1.0, other_tables)
    n_tasks = np.array([len(table.targets) for table in tables], dtype=np.float64)
    noise = _NUGGET * n_tasks[0] / n_tasks[numbers]
    solved = np.linalg.solve(kernel.between(encoded, encoded) * related + np.diag(noise), centred.T).T
    weights = np.concatenate([levels[0], solved * related[0]], axis=1)  # [1 + D, 1 + H]
    known = (traits - shift) / scale
    families = [family for table in tables for family in table.families]
    return PlusModel(weights[0], weights[1:], shift, scale, known, reach_of(known, families))


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
    own, alpha = known.astype(np.float32), weights[1:].astype(np.float32)
    products = kernel.pairs * (known.T * weights[1:]) @ known  # [p, p]
    np.fill_diagonal(products, 0)
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


def _pair_products(first: Floats, second: Floats) -> Floats:
    """Inner products of all numbers and of all products of two different ones, [n, p], [m, p] -> [n, m]."""
    plain = first @ second.T
    return np.asarray(plain + (plain**2 - (first**2) @ (second**2).T) / 2)


def _gaps(first: Floats, second: Floats) -> Floats:
    """Squared distances, [n, p], [m, p] -> [n, m]."""
    gaps = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.asarray(np.maximum(gaps, 0))
