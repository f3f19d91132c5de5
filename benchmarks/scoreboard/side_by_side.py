"""Steps of Algorithm 1 for many folds, seeds and variants at once: their parameters stacked, one batched program.

How much faster that is than one after another is in ``benchmarks/results/meta_training.json``
(``batched_folds_speedup``). For a single predictor use ``meta_train``.

Each replica starts from a ``Trainer``, draws what that would draw and moves its own slice of the stacked parameters. So
it ends where the trainer alone would, but for rounding, which training of a variant with many losses can blow up in
single precision. For the frozen backbone only, and for replicas of as many tasks each, so that all of them take a step
at the same time.

Source: HyperSTAR (CVPR 2020), Algorithm 1; stacking as in ``torch.func``'s model ensembling.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F  # noqa: N812
from torch.nn.attention import SDPBackend, sdpa_kernel

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.losses import adversarial_loss
from hyperstar_tune.predictor.training import Trainer
from hyperstar_tune.rivals.networks import BatchwiseRanker
from hyperstar_tune.rivals.steady import SteadyRanker, with_steady_scores
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["fit_side_by_side", "run_side_by_side"]


# Of the kernels for attention this one alone has a batching rule on a CPU.
_batched_attention = sdpa_kernel(SDPBackend.MATH)


@_batched_attention
def fit_side_by_side(rankers: Sequence[BatchwiseRanker | SteadyRanker], tables: Sequence[MetaDataset]) -> None:
    """Fits each ranker to its own table, as its ``fit`` would.

    Args:
        rankers: Rankers of one store, alike in all settings but seed, losses and targets.
        tables: Tables of as many tasks each.
    """
    jobs: list[tuple[Any, MetaDataset]] = [
        (ranker.ranker, with_steady_scores(table)) if isinstance(ranker, SteadyRanker) else (ranker, table)
        for ranker, table in zip(rankers, tables, strict=True)
    ]
    trainers = [ranker.trainer(table) for ranker, table in jobs]
    run_side_by_side(trainers)
    for (ranker, table), trainer in zip(jobs, trainers, strict=True):
        ranker.adopt(trainer, table)


@_batched_attention
def run_side_by_side(trainers: Sequence[Trainer]) -> None:
    """Trains the networks of each trainer, as its ``run`` would.

    Args:
        trainers: Fresh ones on a frozen backbone, alike in all settings but ``seed``, ``alpha`` and ``beta``, and in
            their number of tasks.

    Raises:
        PredictorError: If the trainers differ in more, or their backbone is trained.
    """
    shared = {replace(trainer.settings, seed=0, alpha=0.0, beta=0.0) for trainer in trainers}
    sizes = {len(trainer.pools) for trainer in trainers}
    if len(shared) != 1 or len(sizes) != 1 or any(len(trainer.backbone.trained) for trainer in trainers):
        raise PredictorError(
            "training side by side needs a frozen backbone and folds of the same settings and number of tasks, but got "
            f"{len(shared)} kinds of settings and {sorted(sizes)} tasks"
        )
    _Replicas(trainers).run()


class _All(nn.Module):
    """g, h, f and d in one forward pass, so that one call can be mapped over replicas."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.network = trainer.network
        self.discriminator = trainer.discriminator

    def forward(self, features: Tensor, encoded: Tensor, whole: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch = self.network.embed_tasks(features[None])  # [1, dim]
        predicted = self.network(batch, self.network.embed_configs(encoded))[0]  # [C]
        return batch[0], predicted, self.discriminator(torch.stack([whole, batch[0]]))  # [2]


class _Replicas:
    """The stacked parameters and targets of R trainers."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self.trainers = trainers
        self.settings = trainers[0].settings
        modules = [_All(trainer) for trainer in trainers]
        parameters, _ = stack_module_state(modules)
        self.parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}  # [R, ...]
        self.moved = {name: value for name, value in self.parameters.items() if name.startswith("network.")}
        self.telling = {name: value for name, value in self.parameters.items() if name not in self.moved}
        self.optimizer = torch.optim.AdamW(
            self.moved.values(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
        self.discriminator_optimizer = torch.optim.AdamW(self.telling.values(), lr=self.settings.learning_rate)
        self.whole = torch.stack([trainer.whole for trainer in trainers])  # [R, M, dim]
        self.scores = torch.stack([trainer.targets.scores for trainer in trainers])  # [R, M, H]
        self.similarity = torch.stack([trainer.targets.similarity for trainer in trainers])  # [R, M, M]
        self.weights = torch.tensor([[t.settings.alpha, t.settings.beta] for t in trainers])  # [R, 2]
        shell = modules[0]
        self.forward = vmap(lambda parameters, *inputs: functional_call(shell, parameters, inputs))
        tell = shell.discriminator
        self.tell = vmap(lambda parameters, both: functional_call(tell, parameters, (both,)))

    def run(self) -> None:
        for epoch in range(1, self.settings.epochs + 1):
            self.optimizer.param_groups[0]["lr"] = self.settings.learning_rate * self.settings.rate_share(epoch)
            drawn = [trainer.draws(epoch) for trainer in self.trainers]
            orders = np.stack([rng.permutation(self.whole.shape[1]) for rng in drawn])  # [R, M]
            for tasks in orders.T:
                self._visit(tasks, drawn)
        for place, trainer in enumerate(self.trainers):
            own = {name.removeprefix("network."): value[place].detach() for name, value in self.moved.items()}
            trainer.network.load_state_dict(own)
            trainer.epoch = self.settings.epochs

    def _visit(self, tasks: np.ndarray, drawn: Sequence[np.random.Generator]) -> None:
        """Image batches of one task of each replica (steps 4 to 11)."""
        each = list(zip(self.trainers, tasks.tolist(), drawn, strict=True))
        rows, at = torch.arange(len(tasks)), torch.from_numpy(tasks)
        chosen = [trainer.draw_configs(task, rng) for trainer, task, rng in each]
        longest = max(map(len, chosen))
        columns = torch.from_numpy(np.stack([np.pad(row, (0, longest - len(row)), mode="edge") for row in chosen]))
        counts = torch.tensor([len(row) for row in chosen])
        counted = torch.arange(longest) < counts[:, None]  # [R, C]: padding does not count
        encoded = self.trainers[0].targets.encoded[columns]  # [R, C, config_dim]
        wanted = torch.gather(self.scores[rows, at], 1, columns)
        others = self.similarity[rows, at].clone()
        others[rows, at] = torch.nan  # a task is not compared with itself
        window: deque[Tensor] = deque(maxlen=self.settings.window)
        whole = torch.zeros_like(self.whole[:, 0])  # [R, dim]
        for _ in range(self.settings.image_batches):
            features = torch.stack([trainer.draw_images(task, rng) for trainer, task, rng in each])
            batch, predicted, logits = self.forward(self.parameters, features, encoded, whole)
            error = torch.where(counted, (predicted - wanted).square(), 0.0).sum(dim=1) / counts
            similarity = _similarity(batch, self.whole, others)
            losses = error + self.weights[:, 0] * similarity + self.weights[:, 1] * _adversarial(logits)
            _move(self.optimizer, self.moved, losses)
            window.append(batch.detach())
            whole = torch.stack(list(window)).mean(dim=0)
            pairs = torch.stack([whole, batch.detach()], dim=1)  # [R, 2, dim]
            own = {name.removeprefix("discriminator."): value for name, value in self.telling.items()}
            _move(self.discriminator_optimizer, self.telling, -_adversarial(self.tell(own, pairs)))
        self.whole[rows, at] = whole


def _move(optimizer: torch.optim.Optimizer, parameters: dict[str, Tensor], losses: Tensor) -> None:
    """One step of every replica: the sum has the gradient of each own loss in its own slice."""
    gradients = torch.autograd.grad(losses.sum(), list(parameters.values()))
    for value, gradient in zip(parameters.values(), gradients, strict=True):
        value.grad = gradient
    optimizer.step()


def _adversarial(logits: Tensor) -> Tensor:
    """Eq. 3 of every replica, from logits of whole and batch, [R, 2] -> [R]."""
    return vmap(adversarial_loss)(logits[:, :1], logits[:, 1:])


def _similarity(batch: Tensor, whole: Tensor, similarity: Tensor) -> Tensor:
    """Eq. 2 of every replica: [R, dim], [R, M, dim], [R, M] with NaN where a pair does not count -> [R]."""
    known = torch.isfinite(similarity)
    cosine = F.cosine_similarity(batch[:, None], whole, dim=-1)
    errors = torch.where(known, (torch.where(known, similarity, 0.0) - cosine).square(), 0.0)
    return errors.sum(dim=1) / known.sum(dim=1).clamp_min(1)
