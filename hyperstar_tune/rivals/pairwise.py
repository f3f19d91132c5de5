"""The ``meta_data`` network trained to order pairs of configurations, with ZAP's ranking loss.

ZAP learns from counts alone, like ``meta_data``, and differs in what it minimizes: not the error of a score but the
logistic loss of which of two configurations of a task is better. Here every pair of a task counts alike; ZAP's own
network, its features of pretrained models and its weighting of pairs are not rebuilt.

Source: Ozturk et al., "Zero-shot AutoML with pretrained models" (ZAP-HPO), ICML 2022; Burges et al., "Learning to rank
using gradient descent", ICML 2005 (the loss).
"""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hyperstar_tune.predictor.training import TrainingSettings
from hyperstar_tune.rivals.networks import PointRanker

__all__ = ["PairwiseRanker", "pairwise_loss"]


class PairwiseRanker(PointRanker):
    """Counts of a task, trained with the pairwise loss.

    Args:
        settings: Sizes of the networks and the learning rate.
        seed: Of training.
    """

    def __init__(self, settings: TrainingSettings | None = None, seed: int = 0) -> None:
        super().__init__("meta_data", None, settings, seed)
        self.name = "zap_pairwise"

    def loss(self, predicted: Tensor, scores: Tensor) -> Tensor:
        """The pairwise loss instead of Eq. 1."""
        return pairwise_loss(predicted, scores)


def pairwise_loss(predicted: Tensor, scores: Tensor) -> Tensor:
    """Mean logistic loss of the order of every two configurations of a task.

    Args:
        predicted: Shape [B, H].
        scores: Shape [B, H]; pairs with a NaN or with equal scores do not count.

    Returns:
        A scalar; ``log 2`` where all predictions are equal, 0 without a pair.
    """
    better = scores[:, :, None] > scores[:, None, :]  # [B, H, H], False where either is NaN
    if not better.any():
        return predicted.sum() * 0
    margins = (predicted[:, :, None] - predicted[:, None, :])[better]
    return F.softplus(-margins).mean()
