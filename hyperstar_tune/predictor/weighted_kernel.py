"""The kernel of encoded configurations, with a weight for each parameter that is learned from mean scores.

It is a sum: products of their numbers and of all pairs of these, and a squared exponential, which is near 1 only for
configurations that are much alike. The numbers of a parameter are multiplied by its weight before, so that the
exponential falls fast in a parameter that matters, and slowly in one that does not.

Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, Sec. 5.1 and 5.4.1 (automatic relevance
determination by the marginal likelihood).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["NUGGET", "Kernel", "learned_kernel"]

Floats = npt.NDArray[np.float64]

_PAIRS = 5.0  # variance of the effects of parameters and pairs, in units of that of what is left
_NEAR = 5.0  # the squared exponential of two configurations as far apart as on average is exp(-5 / 2)
_STEPS = 30  # of the search for weights
_LARGEST_LOG = 3.0  # how far the logarithm of a weight may go; that of the factor of pairs may go twice as far
NUGGET = 1e-3  # noise of a configuration's mean score; one that is learned too is no better on what is left out


@dataclass(frozen=True)
class Kernel:
    """The kernel of encoded configurations, in units of the configurations that it was made for."""

    pairs: float  # factor of the effects of parameters and pairs
    near: float  # factor of squared distances in the exponential
    weights: tuple[float, ...] = ()  # of the p numbers of an encoded configuration; empty: all 1

    @classmethod
    def of(cls, encoded: Floats) -> "Kernel":
        """The kernel for measured configurations [H, p] in which all parameters weigh alike."""
        squares = (encoded**2).sum(axis=1)
        size = float(np.mean(_pair_products(encoded, encoded).diagonal()))
        distance = float(2 * (np.mean(squares) - np.square(encoded.mean(axis=0)).sum()))  # mean over all pairs
        return cls(_PAIRS / max(size, 1e-9), _NEAR / max(distance, 1e-9))

    def weighted(self, encoded: Floats) -> Floats:
        """Encoded configurations [n, p] times their weights."""
        return encoded * np.array(self.weights) if self.weights else encoded

    def between(self, first: Floats, second: Floats) -> Floats:
        """[n, p], [m, p] -> [n, m]."""
        first, second = self.weighted(first), self.weighted(second)
        return np.asarray(self.pairs * _pair_products(first, second) + np.exp(-0.5 * self.near * _gaps(first, second)))


def learned_kernel(encoded: Floats, widths: Sequence[int], values: Floats, related: Floats, noise: Floats) -> Kernel:
    """The kernel under which the values of configurations are most likely, drawn a little to equal weights.

    Args:
        encoded: Encoded configurations, [H, p].
        widths: How many of the p numbers each parameter has, in their order.
        values: Their mean scores, centred, [H].
        related: What the kernel of two of them is multiplied by, [H, H].
        noise: The variance of each value's noise, in units of the kernel, [H].
    """
    from scipy.optimize import minimize  # slow to import, and only needed to fit

    start, ends = Kernel.of(encoded), np.cumsum([0, *widths])
    if np.ptp(values) == 0:
        return start

    def kernel_of(logs: Floats) -> Kernel:
        weights = np.repeat(np.exp(logs[:-1]), widths)
        return Kernel(float(start.pairs * np.exp(logs[-1])), start.near, tuple(map(float, weights)))

    def unlikely(logs: Floats) -> tuple[float, Floats]:
        """Negative logarithm of the likelihood, with the best scale of the kernel, and its gradient."""
        kernel = kernel_of(logs)
        scaled = kernel.weighted(encoded)
        products, near = _pair_products(scaled, scaled), np.exp(-0.5 * kernel.near * _gaps(scaled, scaled))
        matrix = (kernel.pairs * products + near) * related + np.diag(noise)
        inverse = np.linalg.inv(matrix)
        solved = inverse @ values
        scale = values @ solved / len(values)
        loss = (len(values) * np.log(scale) + np.linalg.slogdet(matrix)[1]) / 2
        by_kernel = (inverse - np.outer(solved, solved) / scale) / 2 * related  # derivative, [H, H]
        by_products, by_gaps = kernel.pairs * by_kernel, -kernel.near * by_kernel * near
        inner, slopes = scaled @ scaled.T, []
        for begin, end in pairwise(ends):
            own = scaled[:, begin:end]
            of_products = 2 * (own @ own.T * (1 + inner) - own**2 @ (own**2).T)
            slopes.append(np.sum(by_products * of_products + by_gaps * _gaps(own, own)))
        gradient = np.array([*slopes, np.sum(by_products * products)])
        drawn = np.append(logs[:-1], 0.0)  # a normal prior of deviation 1
        return float(loss + drawn @ drawn / 2), gradient + drawn

    bounds = [(-_LARGEST_LOG, _LARGEST_LOG)] * len(widths) + [(-2 * _LARGEST_LOG, 2 * _LARGEST_LOG)]
    begin = np.zeros(len(bounds))
    found = minimize(unlikely, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
    return kernel_of(found.x)


def _pair_products(first: Floats, second: Floats) -> Floats:
    """Inner products of all numbers and of all products of two different ones, [n, p], [m, p] -> [n, m]."""
    plain = first @ second.T
    return np.asarray(plain + (plain**2 - (first**2) @ (second**2).T) / 2)


def _gaps(first: Floats, second: Floats) -> Floats:
    """Squared distances, [n, p], [m, p] -> [n, m]."""
    gaps = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.asarray(np.maximum(gaps, 0))
