"""Which configuration best complements another one, by what was measured on known tasks.

A ranking's first configuration is good on most tasks and poor on some. Its complement is the configuration with which
it makes the best pair: the better of the two is taken on every known task, and the mean over tasks is as high as it can
be. How far a configuration is below a task's best counts up to 10 points, so that a task on which it fails altogether
does not outweigh all others.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST_FALL", "complement_of", "shortfalls"]

Floats = npt.NDArray[np.float64]

LARGEST_FALL = 0.10  # a share; a larger shortfall says nothing more


def shortfalls(accuracies: Floats) -> Floats:
    """How far configurations are below the best of their task.

    Args:
        accuracies: One accuracy per task and configuration, a share, shape [T, H]; NaN where not trained.

    Returns:
        Values in [-0.10, 0], shape [T, H]; NaN stays NaN, also throughout a task on which nothing was trained.
    """
    best = np.fmax.reduce(accuracies, axis=1, keepdims=True)
    return np.asarray(np.clip(accuracies - best, -LARGEST_FALL, 0.0))


def complement_of(first: int, falls: Floats) -> int | None:
    """The configuration that makes the best pair with another one.

    Args:
        first: Index of the other one.
        falls: What ``shortfalls`` gives, without NaN, shape [T, H].

    Returns:
        Index of the configuration with the highest mean over tasks of the better of the two; of equal ones the one that
        is better by itself, then the first. None if no task or no second configuration is known.
    """
    n_tasks, n_configs = falls.shape
    if not n_tasks or n_configs < 2:
        return None
    # Rounded, so that sums in another order do not decide between equal ones.
    pairs = np.maximum(falls, falls[:, [first]]).mean(axis=0).round(9)
    alone = falls.mean(axis=0).round(9)
    others = (index for index in range(n_configs) if index != first)
    return max(others, key=lambda index: (pairs[index], alone[index]))
