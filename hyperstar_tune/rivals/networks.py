"""The rankers of Tables 1 and 2 that share HyperSTAR's performance predictor f and differ in what represents a task.

==================  ====================================================================================
``meta_data``       counts (Sec. 4.1, first baseline)
``global_mean``     mean of frozen features over the training images (second baseline)
``bm``              batchwise mean: HyperSTAR without regularization
``bm_gan``          with the adversarial loss (Eq. 3)
``bm_similarity``   with the similarity loss (Eq. 2)
``bm_both``         with both: HyperSTAR on frozen features
``end_to_end``      the same, training the whole backbone too: HyperSTAR as published
==================  ====================================================================================

The images of a task are decoded and run through the frozen backbone once, in a ``FeatureStore`` that many rankers
share: leaving out one family after another then costs only the training of the small networks. To train a predictor
for use, see ``meta_train``.

Source: HyperSTAR (CVPR 2020), Sec. 4.1.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.backbone import Backbone
from hyperstar_tune.predictor.losses import performance_loss
from hyperstar_tune.predictor.networks import Architecture, PredictorNetwork
from hyperstar_tune.predictor.pool import ImagePool, make_pool
from hyperstar_tune.predictor.targets import Targets, make_targets
from hyperstar_tune.predictor.training import TrainingSettings, _Trainer
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.meta_features import TaskFacts
from hyperstar_tune.shipped import backbone_hash
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["NEURAL_RANKERS", "BatchwiseRanker", "FeatureStore", "PointRanker", "make_neural_ranker"]

_POINT_STEPS = 400
_N_BATCHES = 10  # of the task to be ranked, as in the paper

_LOSSES = {  # alpha, beta of Eq. 4, where a variant has the loss at all
    "bm": (False, False),
    "bm_gan": (False, True),
    "bm_similarity": (True, False),
    "bm_both": (True, True),
    "end_to_end": (True, True),
}
_POINTS = ("meta_data", "global_mean")
NEURAL_RANKERS = (*_POINTS, *_LOSSES)


class FeatureStore:
    """What the frozen part of the backbone makes of the training images of some tasks.

    Args:
        images: The tasks by name.
        image_size: Pixels.
        n_images: Training images of a task at most.
        train_backbone: The part of the backbone that rankers will train on top; see ``TrainingSettings``.
        seed: Of the sample of images.
        cache: Folder in which features outlive the process; no pixels are kept there.
    """

    def __init__(
        self,
        images: Mapping[str, ImageTask],
        image_size: int = 64,
        n_images: int = 640,
        train_backbone: str = "none",
        seed: int = 0,
        cache: str | Path | None = None,
    ) -> None:
        self.images = images
        self._cache = Path(cache) if cache is not None and train_backbone == "none" else None
        self.train_backbone = train_backbone
        self._size, self._n_images, self._seed = image_size, n_images, seed
        self._backbone = Backbone(train_backbone)
        self._pools: dict[str, ImagePool] = {}

    def pool(self, task: str | ImageTask) -> ImagePool:
        """The cached features of a task, computed when first asked for.

        Raises:
            PredictorError: If there are no images of it.
        """
        name = task if isinstance(task, str) else task.name
        if name not in self._pools:
            source = self.images.get(name) if isinstance(task, str) else task
            if source is None:
                raise PredictorError(f"this ranker looks at images, but task {name!r} has none; add them to the store")
            self._pools[name] = self._stored(source) or self._made(source)
        return self._pools[name]

    def _made(self, task: ImageTask) -> ImagePool:
        pool = make_pool(task, self._backbone, self._size, self._n_images, self._seed)
        if self._cache is not None:
            self._cache.mkdir(parents=True, exist_ok=True)
            fresh = self._file(task).with_suffix(".new")
            save_file({"cached": pool.cached.contiguous()}, fresh)
            fresh.replace(self._file(task))
        return pool

    def _stored(self, task: ImageTask) -> ImagePool | None:
        if self._cache is None or not self._file(task).exists():
            return None
        return ImagePool(load_file(self._file(task))["cached"], task.sample_hash())

    def _file(self, task: ImageTask) -> Path:
        """Named after all that the features depend on."""
        assert self._cache is not None  # noqa: S101
        parts = (task.sample_hash(), str(self._size), str(self._n_images), str(self._seed), backbone_hash())
        digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
        return self._cache / f"{task.name.replace('/', '_')}-{digest}.safetensors"

    @cached_property
    def end_to_end(self) -> "FeatureStore":
        """Of the same images, for rankers that train the whole backbone."""
        return FeatureStore(self.images, self._size, self._n_images, "all", self._seed)

    def backbone(self) -> Backbone:
        """A backbone to be trained by one ranker; a shared one where nothing of it is trained."""
        return self._backbone if self.train_backbone == "none" else Backbone(self.train_backbone)


class BatchwiseRanker:
    """HyperSTAR or a part of it: a task is represented by batches of its images.

    Args:
        name: ``bm``, ``bm_gan``, ``bm_similarity``, ``bm_both`` or ``end_to_end``.
        store: The images of the training tasks.
        settings: How to train; a loss the variant lacks is switched off, the seed is replaced.
        seed: Of training and of the image batches.
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
        self._space: SearchSpace | None = None

    def fit(self, metadataset: MetaDataset) -> "BatchwiseRanker":
        """Meta-trains on every task of a table (Algorithm 1)."""
        pools = [self.store.pool(str(name)) for name in metadataset.tasks["name"]]
        targets = make_targets(metadataset, self.settings.similarity_k)
        trainer = _Trainer(self.settings, targets, self.store.backbone(), pools)
        while trainer.epoch < self.settings.epochs:
            trainer.run_epoch()
        self.adopt(trainer.network.eval(), trainer.backbone, metadataset.space)
        return self

    def adopt(self, network: PredictorNetwork, backbone: Backbone, space: SearchSpace) -> None:
        """Takes networks that were trained elsewhere, see ``side_by_side``."""
        self._network, self._backbone, self._space = network, backbone, space

    def rank(self, task: ImageTask | Any, configs: Sequence[Config]) -> Ranking:
        """Orders configurations by the mean prediction over ten batches of a task's images (Algorithm 2)."""
        if self._space is None:
            raise PredictorError(f"ranker {self.name!r} must be fitted to a table first")
        name = task.name if isinstance(task, ImageTask) else str(task["name"])
        pool = self.store.pool(task if isinstance(task, ImageTask) else name)
        rng = np.random.default_rng([self.settings.seed, 1])
        encoded = torch.from_numpy(self._space.encode(configs))
        with torch.inference_mode():
            batches = [pool.sample(self.settings.batch_size, rng) for _ in range(_N_BATCHES)]
            tasks = torch.cat([self._network.embed_tasks(self._features(batch)[None]) for batch in batches])
            scores = self._network(tasks, self._network.embed_configs(encoded)).numpy()  # [10, H]
        return Ranking.of(configs, scores.mean(axis=0), scores.std(axis=0), task=name, source=self.name)

    def _features(self, batch: Tensor) -> Tensor:
        return self._backbone.suffix(batch) if len(self._backbone.frozen) else self._backbone(batch)


class PointRanker:
    """f on one fixed vector a task: its counts, or the mean of its frozen features.

    Args:
        name: ``meta_data`` or ``global_mean``.
        store: The images, for ``global_mean``.
        settings: Sizes of the networks and the learning rate.
        seed: Of training.
    """

    def __init__(
        self,
        name: str,
        store: FeatureStore | None = None,
        settings: TrainingSettings | None = None,
        seed: int = 0,
    ) -> None:
        if name not in _POINTS:
            raise PredictorError(f"a point ranker is one of {', '.join(_POINTS)}, but got {name!r}")
        if name == "global_mean" and (store is None or store.train_backbone != "none"):
            raise PredictorError("global_mean needs a FeatureStore with train_backbone='none'; pass store=")
        self.name = name
        self.store = store
        self.settings = settings or TrainingSettings()
        self.seed = seed
        self._space: SearchSpace | None = None

    def fit(self, metadataset: MetaDataset) -> "PointRanker":
        """Trains on every task of a table."""
        targets = make_targets(metadataset, self.settings.similarity_k)
        vectors = np.stack([self._vector(row) for _, row in metadataset.tasks.iterrows()])
        self._shift, self._scale = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-6)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._network = _fit_point(self._scaled(vectors), targets, self.settings, self.loss)
        self._space = metadataset.space
        return self

    def loss(self, predicted: Tensor, scores: Tensor) -> Tensor:
        """Eq. 1 over the cells that were trained; both of shape [M, H], scores NaN where not."""
        known = torch.isfinite(scores)
        return performance_loss(predicted[known], scores[known])

    def rank(self, task: ImageTask | Any, configs: Sequence[Config]) -> Ranking:
        """Orders configurations by their prediction."""
        if self._space is None:
            raise PredictorError(f"ranker {self.name!r} must be fitted to a table first")
        name = task.name if isinstance(task, ImageTask) else str(task["name"])
        encoded = torch.from_numpy(self._space.encode(configs))
        with torch.inference_mode():
            tasks = self._network.embed_tasks(self._scaled(self._vector(task)[None]))
            scores = self._network(tasks, self._network.embed_configs(encoded))[0].numpy()
        return Ranking.of(configs, scores, task=name, source=self.name)

    def _vector(self, task: Any) -> npt.NDArray[np.float64]:
        if self.store is None or self.name == "meta_data":
            return TaskFacts.of(task).features()
        pool = self.store.pool(task if isinstance(task, ImageTask) else str(task["name"]))
        return np.asarray(pool.cached.mean(dim=0).numpy(), dtype=np.float64)

    def _scaled(self, vectors: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(((vectors - self._shift) / self._scale).astype(np.float32))


class _PointNetwork(PredictorNetwork):
    """h and f as ever; g is a multilayer perceptron over a vector, [B, n_features] -> [B, dim]."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__(sizes)
        del self.task_encoder
        self.of_vector = nn.Sequential(
            nn.Linear(sizes.n_features, sizes.hidden), nn.ReLU(), nn.Linear(sizes.hidden, sizes.dim)
        )

    def embed_tasks(self, features: Tensor) -> Tensor:
        """Representations t of vectors."""
        embedded: Tensor = self.of_vector(features)
        return embedded


def _fit_point(
    vectors: Tensor, targets: Targets, settings: TrainingSettings, loss: Callable[[Tensor, Tensor], Tensor]
) -> _PointNetwork:
    network = _PointNetwork(
        Architecture(
            n_features=vectors.shape[1],
            config_dim=targets.encoded.shape[1],
            width=settings.width,
            dim=settings.dim,
            hidden=settings.hidden,
        )
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _POINT_STEPS)
    for _ in range(_POINT_STEPS):
        predicted = network(network.embed_tasks(vectors), network.embed_configs(targets.encoded))
        optimizer.zero_grad()
        loss(predicted, targets.scores).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def make_neural_ranker(
    name: str, store: FeatureStore | None, settings: TrainingSettings | None = None, seed: int = 0
) -> "BatchwiseRanker | PointRanker":
    """A ranker by name.

    Raises:
        PredictorError: If there is none of this name, or it needs a store.
    """
    if name in _POINTS:
        return PointRanker(name, store, settings, seed)
    if store is None:
        raise PredictorError(f"ranker {name!r} looks at images; pass a FeatureStore")
    return BatchwiseRanker(name, store, settings, seed)
