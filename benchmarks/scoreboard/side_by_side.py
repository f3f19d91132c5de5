"""Algorithm 1 for many folds, seeds and variants at once: their parameters stacked, one batched program.

How much faster that is than one after another stands in ``benchmarks/results/meta_training.json``
(``batched_folds_speedup``). For a single predictor use ``meta_train``.

Every replica draws from its own generators in the order of ``_Trainer`` and moves its own slice of the stacked
parameters, so that it ends where ``_Trainer`` alone would, but for rounding, which training of a variant with many
losses can blow up in single precision. For the frozen backbone only, and for replicas of as many tasks each, so that
all of them take a step at the same time.

Source: HyperSTAR (CVPR 2020), Algorithm 1; stacking as in ``torch.func``'s model ensembling.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F  # noqa: N812
from torch.nn.attention import SDPBackend, sdpa_kernel

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.backbone import Backbone
from hyperstar_tune.predictor.networks import Discriminator, PredictorNetwork
from hyperstar_tune.predictor.pool import ImagePool
from hyperstar_tune.predictor.targets import Targets, make_targets
from hyperstar_tune.predictor.training import TrainingSettings, _Trainer
from hyperstar_tune.rivals.networks import BatchwiseRanker
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["Fold", "fit_side_by_side", "train_side_by_side"]


@dataclass(frozen=True)
class Fold:
    """What one replica learns from."""

    settings: TrainingSettings
    targets: Targets
    pools: list[ImagePool]  # M


def fit_side_by_side(rankers: Sequence[BatchwiseRanker], tables: Sequence[MetaDataset]) -> None:
    """Fits each ranker to its own table, as its ``fit`` would.

    Args:
        rankers: Of one store, alike in all settings but seed and losses.
        tables: Of as many tasks each.
    """
    store = rankers[0].store
    folds = [
        Fold(
            ranker.settings,
            make_targets(table, ranker.settings.similarity_k),
            [store.pool(str(name)) for name in table.tasks["name"]],
        )
        for ranker, table in zip(rankers, tables, strict=True)
    ]
    networks = train_side_by_side(folds, store.backbone())
    for ranker, table, network in zip(rankers, tables, networks, strict=True):
        ranker.adopt(network, store.backbone(), table.space)


def train_side_by_side(folds: Sequence[Fold], backbone: Backbone) -> list[PredictorNetwork]:
    """Meta-trains a network a fold.

    Args:
        folds: Alike in all settings but ``seed``, ``alpha`` and ``beta``, and in their number of tasks.
        backbone: Frozen.

    Returns:
        The networks, in evaluation mode.

    Raises:
        PredictorError: If the folds differ in more, or the backbone is trained.
    """
    shared = {replace(fold.settings, seed=0, alpha=0.0, beta=0.0) for fold in folds}
    sizes = {len(fold.pools) for fold in folds}
    if len(shared) != 1 or len(sizes) != 1 or len(backbone.trained):
        raise PredictorError(
            "training side by side needs a frozen backbone and folds of the same settings and number of tasks, but got "
            f"{len(shared)} kinds of settings and {sorted(sizes)} tasks"
        )
    # Of the kernels for attention this one alone has a batching rule on a CPU.
    with sdpa_kernel(SDPBackend.MATH):
        return _Replicas(folds, backbone).train()


class _All(nn.Module):
    """g, h, f and d in one forward pass, so that one call can be mapped over replicas."""

    def __init__(self, network: PredictorNetwork, discriminator: Discriminator) -> None:
        super().__init__()
        self.network = network
        self.discriminator = discriminator

    def forward(self, features: Tensor, encoded: Tensor, whole: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch = self.network.embed_tasks(features[None])  # [1, dim]
        predicted = self.network(batch, self.network.embed_configs(encoded))[0]  # [C]
        return batch[0], predicted, self.discriminator(torch.stack([whole, batch[0]]))  # [2]


class _Replicas:
    """R replicas of ``_Trainer``."""

    def __init__(self, folds: Sequence[Fold], backbone: Backbone) -> None:
        self.folds = folds
        self.settings = folds[0].settings
        self.trainers = [_Trainer(fold.settings, fold.targets, backbone, fold.pools) for fold in folds]
        modules = [_All(trainer.network, trainer.discriminator) for trainer in self.trainers]
        parameters, _ = stack_module_state(modules)
        self.parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}  # [R, ...]
        self.moved = {name: value for name, value in self.parameters.items() if name.startswith("network.")}
        self.telling = {name: value for name, value in self.parameters.items() if name not in self.moved}
        self.optimizer = torch.optim.AdamW(
            self.moved.values(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
        self.discriminator_optimizer = torch.optim.AdamW(self.telling.values(), lr=self.settings.learning_rate)
        self.whole = torch.stack([trainer.whole for trainer in self.trainers])  # [R, M, dim]
        self.scores = torch.stack([fold.targets.scores for fold in folds])  # [R, M, H]
        self.similarity = torch.stack([fold.targets.similarity for fold in folds])  # [R, M, M]
        self.weights = torch.tensor([[fold.settings.alpha, fold.settings.beta] for fold in folds])  # [R, 2]
        shell = modules[0]
        self.forward = vmap(lambda parameters, *inputs: functional_call(shell, parameters, inputs))
        tell = shell.discriminator
        self.tell = vmap(lambda parameters, both: functional_call(tell, parameters, (both,)))

    def train(self) -> list[PredictorNetwork]:
        for epoch in range(1, self.settings.epochs + 1):
            share = (epoch - 1) / self.settings.epochs
            self.optimizer.param_groups[0]["lr"] = self.settings.learning_rate * (1 + math.cos(math.pi * share)) / 2
            drawn = [np.random.default_rng([fold.settings.seed, epoch]) for fold in self.folds]
            orders = np.stack([rng.permutation(len(self.folds[0].pools)) for rng in drawn])  # [R, M]
            for tasks in orders.T:
                self._visit(tasks, drawn)
        for place, trainer in enumerate(self.trainers):
            own = {name.removeprefix("network."): value[place].detach() for name, value in self.moved.items()}
            trainer.network.load_state_dict(own)
        return [trainer.network.eval() for trainer in self.trainers]

    def _visit(self, tasks: np.ndarray, drawn: Sequence[np.random.Generator]) -> None:
        """Image batches of one task a replica (steps 4 to 11)."""
        rows = torch.arange(len(tasks))
        at = torch.from_numpy(tasks)
        scores = self.scores[rows, at]  # [R, H]
        known = [np.flatnonzero(row) for row in torch.isfinite(scores).numpy()]
        chosen = [
            rng.permutation(cells)[: self.settings.configs_per_batch] for rng, cells in zip(drawn, known, strict=True)
        ]
        longest = max(map(len, chosen))
        columns = torch.from_numpy(np.stack([np.pad(row, (0, longest - len(row)), mode="edge") for row in chosen]))
        counts = torch.tensor([len(row) for row in chosen])
        counted = torch.arange(longest) < counts[:, None]  # [R, C]: padding does not count
        encoded = self.folds[0].targets.encoded[columns]  # [R, C, config_dim]
        wanted = torch.gather(scores, 1, columns)
        others = self.similarity[rows, at].clone()
        others[rows, at] = torch.nan  # a task is not compared with itself
        window: deque[Tensor] = deque(maxlen=self.settings.window)
        whole = torch.zeros_like(self.whole[:, 0])  # [R, dim]
        for _ in range(self.settings.image_batches):
            features = torch.stack(
                [
                    fold.pools[task].sample(self.settings.batch_size, rng)
                    for fold, task, rng in zip(self.folds, tasks, drawn, strict=True)
                ]
            )
            batch, predicted, logits = self.forward(self.parameters, features, encoded, whole)
            error = torch.where(counted, (predicted - wanted).square(), 0.0).sum(dim=1) / counts
            adversarial = F.logsigmoid(logits[:, 0]) + F.logsigmoid(-logits[:, 1])
            similarity = _similarity(batch, self.whole, others)
            losses = error + self.weights[:, 0] * similarity + self.weights[:, 1] * adversarial
            self._move(self.optimizer, self.moved, losses)
            window.append(batch.detach())
            whole = torch.stack(list(window)).mean(dim=0)
            pairs = torch.stack([whole, batch.detach()], dim=1)  # [R, 2, dim]
            own = {name.removeprefix("discriminator."): value for name, value in self.telling.items()}
            told = self.tell(own, pairs)
            self._move(
                self.discriminator_optimizer, self.telling, -F.logsigmoid(told[:, 0]) - F.logsigmoid(-told[:, 1])
            )
        self.whole[rows, at] = whole

    @staticmethod
    def _move(optimizer: torch.optim.Optimizer, parameters: dict[str, Tensor], losses: Tensor) -> None:
        """One step of every replica: the sum has the gradient of each own loss in its own slice."""
        for value, gradient in zip(
            parameters.values(), torch.autograd.grad(losses.sum(), list(parameters.values())), strict=True
        ):
            value.grad = gradient
        optimizer.step()


def _similarity(batch: Tensor, whole: Tensor, similarity: Tensor) -> Tensor:
    """Eq. 2 of every replica: [R, dim], [R, M, dim], [R, M] with NaN where a pair does not count -> [R]."""
    known = torch.isfinite(similarity)
    cosine = F.cosine_similarity(batch[:, None], whole, dim=-1)
    errors = torch.where(known, (torch.where(known, similarity, 0.0) - cosine).square(), 0.0)
    return errors.sum(dim=1) / known.sum(dim=1).clamp_min(1)
