"""What HyperSTAR+ learns from a predictor's tasks and further ones together, without the curves of the former.

The sums that a ridge regression needs of its tasks can be had back from what it has learned. So the joint model is the
very one that all tasks together would have given, although neither images nor curves of the known tasks are at hand.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hyperstar_tune.predictor.plus import PlusModel, reach_of

__all__ = ["joined_model"]

Floats = npt.NDArray[np.float64]


def joined_model(
    model: PlusModel, targets: Floats, traits: Floats, families: Sequence[str], penalty: float
) -> PlusModel:
    """The model of the tasks of ``model`` and of t further ones.

    Args:
        model: What was learned of T tasks with D traits and H configurations, with the same penalty.
        targets: Scores [t, H] of the further tasks, without NaN.
        traits: Their traits [t, D].
        families: Families of all T + t tasks, the known ones first.
        penalty: As in ``PlusSettings``.
    """
    n_known, n_traits = model.known.shape
    ridge = penalty * n_traits * np.eye(n_traits)
    # With standardized traits Z and centred targets C, the slopes solve (Z'Z + ridge) slopes = Z'C; and Z'C = Z'Y.
    products = (model.known.T @ model.known + ridge) @ model.slopes  # Z'Y, [D, H]
    total = n_known * model.mean  # sum of targets, [H]
    raw = model.known * model.scale + model.shift  # [T, D]
    products = model.scale[:, None] * products + np.outer(model.shift, total)  # X'Y
    both = np.concatenate([raw, traits])
    products, total = products + traits.T @ targets, total + targets.sum(axis=0)
    shift, scale = both.mean(axis=0), both.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    known = (both - shift) / scale
    products = (products - np.outer(shift, total)) / scale[:, None]
    slopes = np.linalg.solve(known.T @ known + ridge, products)
    return PlusModel(total / len(both), slopes, shift, scale, known, reach_of(known, families))
