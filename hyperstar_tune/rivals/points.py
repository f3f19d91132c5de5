"""Rankers that share HyperSTAR's performance predictor f and represent a task by one fixed vector.

``meta_data`` takes the counts of the task (the paper's first baseline). ``global_mean`` takes the mean of its frozen
features over the training images (the second). ``zap_pairwise`` takes the counts too, but minimizes something else: not
the error of a score, but the logistic loss of which of two configurations is better. Here all pairs of a task weigh the
same. ZAP's own network, its features of pretrained models and its weights of pairs are not rebuilt.

Source: HyperSTAR (CVPR 2020), Sec. 4.1; Ozturk et al., "Zero-shot AutoML with pretrained models" (ZAP-HPO), ICML 2022;
Burges et al., "Learning to rank using gradient descent", ICML 2005 (the pairwise loss).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.losses import performance_loss
from hyperstar_tune.predictor.networks import PredictorNetwork
from hyperstar_tune.predictor.targets import make_targets
from hyperstar_tune.predictor.training import TrainingSettings
from hyperstar_tune.rivals.base import Floats, Ranker
from hyperstar_tune.rivals.counts import meta_features
from hyperstar_tune.rivals.features import FeatureStore
from hyperstar_tune.space import Config
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["GlobalMeanRanker", "PairwiseRanker", "PointRanker", "pairwise_loss"]

_STEPS = 400


class PointRanker(Ranker):
    """f on the counts of a task.

    Args:
        settings: Sizes of the networks and the learning rate.
        seed: Random seed of training.
    """

    name = "meta_data"

    def __init__(self, settings: TrainingSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or TrainingSettings()
        self.seed = seed

    def loss(self, predicted: Tensor, scores: Tensor) -> Tensor:
        """Eq. 1 over the cells that were trained; both of shape [M, H], scores NaN where not."""
        known = torch.isfinite(scores)
        return performance_loss(predicted[known], scores[known])

    def vector(self, task: Any) -> npt.NDArray[np.float64]:
        """The vector that represents a task."""
        return meta_features(task)

    def _fit(self, metadataset: MetaDataset) -> None:
        targets = make_targets(metadataset, self.settings.similarity_k)
        vectors = np.stack([self.vector(row) for _, row in metadataset.tasks.iterrows()])
        self._shift, self._scale = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-6)
        known = self._scaled(vectors)
        sizes = self.settings.architecture(known.shape[1], targets.encoded.shape[1])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = PredictorNetwork(sizes)
            network.task_encoder = nn.Sequential(  # g of a vector instead of a batch of images
                nn.Linear(sizes.n_features, sizes.hidden), nn.ReLU(), nn.Linear(sizes.hidden, sizes.dim)
            )
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.settings.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
        for _ in range(_STEPS):
            predicted = network(network.embed_tasks(known), network.embed_configs(targets.encoded))
            optimizer.zero_grad()
            self.loss(predicted, targets.scores).backward()
            optimizer.step()
            schedule.step()
        self._network = network.eval()

    def _scores(self, task: Any, configs: Sequence[Config]) -> Floats:
        encoded = torch.from_numpy(self.space.encode(configs))
        with torch.inference_mode():
            tasks = self._network.embed_tasks(self._scaled(self.vector(task)[None]))
            return np.asarray(self._network(tasks, self._network.embed_configs(encoded))[0].numpy())

    def _scaled(self, vectors: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(((vectors - self._shift) / self._scale).astype(np.float32))


class GlobalMeanRanker(PointRanker):
    """f on the mean of the frozen features of a task's training images, which come from a store."""

    name = "global_mean"

    def __init__(self, store: FeatureStore, settings: TrainingSettings | None = None, seed: int = 0) -> None:
        super().__init__(settings, seed)
        if store.train_backbone != "none":
            raise PredictorError(
                f"global_mean needs a FeatureStore with train_backbone='none', but got {store.train_backbone!r}"
            )
        self.store = store

    def vector(self, task: Any) -> npt.NDArray[np.float64]:
        """Mean of the features of a task's images."""
        return np.asarray(self.store.pool(task).cached.mean(dim=0).numpy(), dtype=np.float64)


class PairwiseRanker(PointRanker):
    """f on the counts of a task, trained with the pairwise loss."""

    name = "zap_pairwise"

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
