"""Proposes the next configuration from a run's own results, where a predictor's scores are what is expected at first.

A result y of a configuration x is taken to be y = level + c (b m(x) + r(x) + noise). Here m is the predicted score; the
level may be anything; the slope b is near 1, or anything if that makes the results likelier; and r is a Gaussian
process of how the task differs from what was predicted. The scale c is the likeliest one, so that neither the unit of
the metric nor its spread need be known. Proposed is the candidate whose improvement is expected to be largest.

Only results of trainings that ran to the end count. What is being trained counts as what is expected of it, so that
several workers get different configurations. It needs neither Ray nor images.

Source: Jones et al., "Efficient Global Optimization of Expensive Black-Box Functions", 1998 (expected improvement);
Ginsbourger et al., "Kriging Is Well-Suited to Parallelize Optimization", 2010 (believed results).
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from hyperstar_tune.ranking import WORTH_OF_TIME
from hyperstar_tune.search.diversity import MIN_DISTANCE
from hyperstar_tune.space import Config, SearchSpace, config_key

__all__ = ["Learner", "Predicted"]

Floats = npt.NDArray[np.float64]

_LEVEL = 100.0  # variance of the level, in squared scores: anything
_SLOPES = (0.3, 2.0)  # deviation of the slope from 1: as predicted, or anything
_UNLIKE = 0.5  # deviation of what differs from the prediction, in scores
_NOISE = 0.25  # deviation of a result's noise, in scores
_LIKELY, _DRAWN = 400, 500  # candidates that the predictor likes best, and random ones
_LEAST_DISTANCE = 1e-3  # below which configurations are not told apart any more
_LEAST_VARIANCE = 1e-6  # of what is expected, in squared scores
_LEAST_SQUARES = 1e-18  # of results, which may all be equal


class Predicted(Protocol):
    """What a predictor says of configurations of a space, as ``predictor.task_scores.TaskScores`` does."""

    def scores(self, configs: Sequence[Config]) -> Floats:
        """Predicted scores, [n]."""

    def costs(self, configs: Sequence[Config]) -> Floats | None:
        """Predicted seconds per epoch, [n]; None: not known."""

    def points(self, configs: Sequence[Config]) -> Floats:
        """Places whose distances say how little one configuration tells of another, [n, q]."""


class Learner:
    """Learns from the results of a run which configuration to train next.

    Args:
        space: The space that is searched.
        predicted: What a predictor says of its configurations.
        likely: Configurations that the predictor likes best.
        max_epochs: Epochs after which a result counts.
        by_cost: Whether what takes long must promise more, as in ``Ranking.by_cost``.
        seed: Random seed of the candidates.
    """

    def __init__(
        self,
        space: SearchSpace,
        predicted: Predicted,
        likely: Sequence[Config],
        max_epochs: int,
        by_cost: bool = False,
        seed: int = 0,
    ) -> None:
        self._space, self._predicted, self._likely = space, predicted, list(likely[:_LIKELY])
        self._max_epochs, self._by_cost, self._seed = max_epochs, by_cost, seed
        self._taken: dict[str, Config] = {}  # what was dealt, by key
        self._best: dict[str, float] = {}  # best result so far, higher is better
        self._finished: dict[str, float | None] = {}  # final results; None: failed

    @property
    def has_learned(self) -> bool:
        """Whether a training has come to its end."""
        return any(result is not None for result in self._finished.values())

    def take(self, config: Config) -> None:
        """Notes that a configuration is trained."""
        self._taken[config_key(config)] = dict(config)

    def tell(self, config: Config, epochs: int, result: float | None, ended: bool = False) -> None:
        """Learns a result.

        Args:
            config: The configuration.
            epochs: Epochs that it has trained.
            result: Its result after them, higher is better; None: the training failed.
            ended: Whether the training ended by itself.
        """
        key = config_key(config)
        self._taken.setdefault(key, dict(config))
        if result is None or not np.isfinite(result):
            self._finished[key] = None
            return
        self._best[key] = max(result, self._best.get(key, result))
        if ended or epochs >= self._max_epochs:
            self._finished[key] = self._best[key]

    def next(self) -> Config:
        """The configuration to train next, which is no near copy of another one; it needs to have learned something."""
        done = [config for key, config in self._taken.items() if key in self._finished]
        rest = [config for key, config in self._taken.items() if key not in self._finished]
        worst = min(result for result in self._finished.values() if result is not None)
        finals = (self._finished[config_key(config)] for config in done)
        results = np.array([worst if final is None else final for final in finals])
        results -= results.mean()
        configs = [*done, *rest, *self._candidates()]
        n, scores, points = len(done), self._predicted.scores(configs), self._predicted.points(configs)
        mean, deviation = _posterior(scores, points, results, n + len(rest))
        costs = self._predicted.costs(configs) if self._by_cost else None
        worth = mean if costs is None else mean - WORTH_OF_TIME * np.log(costs)
        better = (worth - worth[:n].max()) / deviation
        gain = (deviation * (better * norm.cdf(better) + norm.pdf(better)))[n + len(rest) :]
        return dict(configs[n + len(rest) + int(np.argmax(gain))])

    def _candidates(self) -> list[Config]:
        """What the predictor likes, and random draws, but no near copies of what was dealt."""
        seed = np.random.default_rng((self._seed, len(self._taken))).integers(2**31)
        configs = [*self._likely, *self._space.draw(_DRAWN, int(seed))]
        places = self._space.coordinates(configs)
        gaps = np.full(len(configs), np.inf)  # of each one the largest difference from what is most like it
        for place in self._space.coordinates(list(self._taken.values())):
            gaps = np.minimum(gaps, np.abs(places - place).max(axis=1))
        apart = MIN_DISTANCE
        while not (gaps >= apart).any() and apart > _LEAST_DISTANCE:
            apart /= 2
        return [config for config, gap in zip(configs, gaps, strict=True) if gap >= apart] or configs


def _posterior(scores: Floats, points: Floats, results: Floats, n_dealt: int) -> tuple[Floats, Floats]:
    """What is expected of configurations after some results, in units of scores, and its deviation, [n] each.

    Args:
        scores: Predicted scores, [n]; first of those with results, then of others that were dealt, then of candidates.
        points: Their places, [n, q].
        results: The results of the first ones.
        n_dealt: Number of those that were dealt. The results of some are not known: they count as what is expected.
    """
    known = len(results)
    squares = (points**2).sum(axis=1)
    gaps = np.maximum(squares[:, None] + squares[:n_dealt] - 2 * points @ points[:n_dealt].T, 0)  # [n, dealt]
    alike = _LEVEL + _UNLIKE**2 * np.exp(-gaps / 2)
    noise = _NOISE**2 * np.eye(n_dealt)
    fits = []
    for slope in _SLOPES:
        kernel = alike + slope**2 * np.outer(scores, scores[:n_dealt])
        matrix = kernel[:known, :known] + noise[:known, :known]
        inverse, m = np.linalg.inv(matrix), scores[:known]
        # The likeliest unit 1 / c solves own * unit^2 - cross * unit - known = 0.
        own, cross = max(float(results @ inverse @ results), _LEAST_SQUARES), float(results @ inverse @ m)
        unit = (cross + np.sqrt(cross**2 + 4 * known * own)) / (2 * own)
        misfit = unit**2 * own - 2 * unit * cross + m @ inverse @ m
        likely = known * np.log(unit) - (misfit + np.linalg.slogdet(matrix)[1]) / 2
        fits.append((likely, slope, kernel, inverse @ (unit * results - m)))
    _, slope, kernel, solved = max(fits, key=lambda fit: fit[0])
    prior = _LEVEL + slope**2 * scores**2 + _UNLIKE**2
    explained = np.einsum("ij,ji->i", kernel, np.linalg.solve(kernel[:n_dealt] + noise, kernel.T))
    return scores + kernel[:, :known] @ solved, np.sqrt(np.maximum(prior - explained, _LEAST_VARIANCE))
