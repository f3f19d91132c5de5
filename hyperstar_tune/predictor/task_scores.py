"""What a predictor of any space says of one task and space, without the images: for whoever goes on asking in a run.

It holds arrays and spaces only, so that it can be saved with a searcher. No network travels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.predictor.any_space import basis_of
from hyperstar_tune.predictor.encoding import SharedEncoding
from hyperstar_tune.predictor.known import KnownTasks
from hyperstar_tune.predictor.weighted_kernel import Kernel
from hyperstar_tune.space import Config, SearchSpace

__all__ = ["TaskScores"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaskScores:
    """Scores, costs and similarities of configurations of a space."""

    space: SearchSpace
    given: Mapping[str, Any]  # values of known parameters that the space does not have
    weights: Floats  # of a constant and of kernel values with the H known configurations, [1 + H]
    kernel: Kernel
    encoded: Floats  # the known configurations, [H, p]
    encoding: SharedEncoding
    known: KnownTasks | None  # what says how long an epoch takes
    n_images: int  # of training and validation

    def scores(self, configs: Sequence[Config]) -> Floats:
        """Predicted scores of n configurations, [n]."""
        return np.asarray(basis_of(self.kernel, self._encode(configs), self.encoded) @ self.weights)

    def costs(self, configs: Sequence[Config]) -> Floats | None:
        """Predicted seconds per epoch, [n]; None: not known."""
        return None if self.known is None else self.known.costs(self._encode(configs), self.n_images)

    def points(self, configs: Sequence[Config]) -> Floats:
        """Places of n configurations, [n, q], whose distances say how little one tells of another.

        The parameters that the predictor knows count as much as they do in its kernel, all others by 1.
        """
        return self._own.encode(configs) * self._scales

    def _encode(self, configs: Sequence[Config]) -> Floats:
        return self.encoding.encode([{**self.given, **config} for config in configs])

    @cached_property
    def _own(self) -> SharedEncoding:
        return SharedEncoding([self.space], {})

    @cached_property
    def _scales(self) -> Floats:
        firsts = np.cumsum([0, *self.encoding.widths])[:-1]
        learned = self.kernel.weighted(np.ones((1, self.encoding.dim)))[0, firsts]
        weights = dict(zip(self.encoding.parameters, learned, strict=True))
        own = [weights.get(name, 1.0) for name in self._own.parameters]
        return np.sqrt(self.kernel.near) * np.repeat(own, self._own.widths)
