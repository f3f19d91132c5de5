"""A task of two classes of noise."""

import numpy as np

from hyperstar_tune.tasks.task import ImageTask


def made(separable, n=48, seed=0):
    """Two classes of noise; told apart by their brightness, or by nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = rng.integers(0, 60, (n, 32, 32, 3), dtype=np.uint8) + (120 * labels * separable)[:, None, None, None]
    return ImageTask.from_arrays("made", images.astype(np.uint8), labels, images[:4].astype(np.uint8), labels[:4])
