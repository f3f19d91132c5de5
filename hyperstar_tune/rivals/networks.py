"""HyperSTAR and its ablations as rankers: a task is represented by batches of its images.

To train a predictor for use, call ``meta_train``.

Source: HyperSTAR (CVPR 2020), Sec. 4.1.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.targets import make_targets
from hyperstar_tune.predictor.training import Trainer, TrainingSettings
from hyperstar_tune.rivals.base import Floats, Ranker
from hyperstar_tune.rivals.features import FeatureStore
from hyperstar_tune.space import Config
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["BatchwiseRanker"]

_N_BATCHES = 10  # batches of images of the task to be ranked, as in the paper
_LOSSES = {  # whether a variant has the similarity loss (Eq. 2) and the adversarial loss (Eq. 3) at all
    "bm": (False, False),  # batchwise mean: HyperSTAR without regularization
    "bm_gan": (False, True),
    "bm_similarity": (True, False),
    "bm_both": (True, True),  # HyperSTAR on frozen features
    "end_to_end": (True, True),  # the same, training the whole backbone too: HyperSTAR as published
}


class BatchwiseRanker(Ranker):
    """HyperSTAR, or HyperSTAR without some of its losses.

    Args:
        name: ``bm``, ``bm_gan``, ``bm_similarity``, ``bm_both`` or ``end_to_end``.
        store: The images of the training tasks.
        settings: How to train. A loss that the variant lacks is switched off, and the seed is replaced.
        seed: Random seed of training and of the image batches.

    Attributes:
        backbone: The backbone after training.
    """

    def __init__(self, name: str, store: FeatureStore, settings: TrainingSettings | None = None, seed: int = 0) -> None:
        if name not in _LOSSES:
            raise PredictorError(f"a batchwise ranker is one of {', '.join(_LOSSES)}, but got {name!r}")
        has_similarity, has_adversarial = _LOSSES[name]
        settings = settings or TrainingSettings()
        self.name = name
        self.store = store.end_to_end if name == "end_to_end" else store
        self.settings = replace(
            settings,
            alpha=settings.alpha if has_similarity else 0.0,
            beta=settings.beta if has_adversarial else 0.0,
            train_backbone=self.store.train_backbone,
            seed=seed,
        )

    def trainer(self, metadataset: MetaDataset) -> Trainer:
        """Algorithm 1 on every task of a table, before its first pass."""
        pools = [self.store.pool(name) for name in metadataset.tasks["name"]]
        targets = make_targets(metadataset, self.settings.similarity_k)
        return Trainer(self.settings, targets, self.store.backbone(), pools)

    def adopt(self, trainer: Trainer, metadataset: MetaDataset) -> None:
        """Takes the networks of a trainer that was run elsewhere; the ranker is then fitted as by ``fit``."""
        self._network, self.backbone, self._space = trainer.network.eval(), trainer.backbone, metadataset.space

    def _fit(self, metadataset: MetaDataset) -> None:
        trainer = self.trainer(metadataset)
        trainer.run()
        self.adopt(trainer, metadataset)

    def _scores(self, task: Any, configs: Sequence[Config]) -> tuple[Floats, Floats]:
        """Mean and deviation of the predictions over ten batches of a task's images (Algorithm 2)."""
        pool = self.store.pool(task)
        rng = np.random.default_rng([self.settings.seed, 1])
        encoded = torch.from_numpy(self.space.encode(configs))
        with torch.inference_mode():
            batches = [pool.sample(self.settings.batch_size, rng) for _ in range(_N_BATCHES)]
            tasks = torch.cat([self._network.embed_tasks(self.backbone.suffix(batch)[None]) for batch in batches])
            scores = self._network(tasks, self._network.embed_configs(encoded)).numpy()  # [10, H]
        return scores.mean(axis=0), scores.std(axis=0)
