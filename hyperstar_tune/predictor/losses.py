"""The three losses of meta-training, Eq. 1 to 3, and the discriminator's accuracy.

What may learn from what is decided here: the representations of other tasks and of a whole task are detached, so that a
step changes one batch only.

Source: HyperSTAR (CVPR 2020), Sec. 3.1.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["adversarial_loss", "discriminator_accuracy", "performance_loss", "similarity_loss"]


def performance_loss(predicted: Tensor, scores: Tensor) -> Tensor:
    """Eq. 1: mean squared error of predicted normalized scores, both of shape [B, C]; a scalar."""
    return (predicted - scores).square().mean()


def similarity_loss(batch: Tensor, others: Tensor, similarity: Tensor) -> Tensor:
    """Eq. 2: squared error of the cosine between a batch and every other training task, against r_ij.

    Args:
        batch: t of one batch of a task, shape [dim].
        others: t of the other training tasks, shape [M - 1, dim]; detached here.
        similarity: r of the task with each of them, shape [M - 1]; NaN where too few configurations were trained on
            both: such a pair does not count, and without any other the loss is 0.
    """
    known = torch.isfinite(similarity)
    if not known.any():
        return batch.sum() * 0
    cosine = F.cosine_similarity(batch[None], others[known].detach(), dim=-1)
    return (similarity[known] - cosine).square().mean()


def adversarial_loss(whole: Tensor, batch: Tensor) -> Tensor:
    """Eq. 3: ``log d(t^G) + log(1 - d(t^l))``; d maximizes it, g minimizes it; ``-2 log 2`` where d cannot tell.

    Args:
        whole: Logits of d for the representations of whole tasks, which must be detached.
        batch: Logits of d for those of single batches; for the step of d these are detached too.
    """
    return F.logsigmoid(whole).mean() + F.logsigmoid(-batch).mean()


def discriminator_accuracy(whole: Tensor, batch: Tensor) -> float:
    """Share of logits on the right side of 0, where both kinds weigh the same; 0.5 is chance."""
    return float(((whole > 0).float().mean() + (batch <= 0).float().mean()) / 2)
