"""A Gaussian process with a deep kernel on meta-features and configurations: a rival in the manner of Quick-Tune.

It is an exact Gaussian process. Its kernel is a product, ``(c + k(u(m), u(m'))) * k(v(x), v(x'))``, of two squared
exponential kernels: one on a network u of a task's counts m, and one on a network v of an encoded configuration x.
Networks, scales and noise maximize the marginal likelihood of the complete tasks. Because of the constant c, a task far
from all known ones gets the average ranking. Quick-Tune's own predictor also sees the learning curve of the task at
hand and a model of the cost. Before the first epoch there is no curve, and cost plays no part here.

On a full grid of T tasks and H configurations the covariance is a Kronecker product plus noise. So a fit costs
T^3 + H^3 and not (T H)^3.

Source: Arango et al., "Quick-Tune", ICLR 2024; Wilson et al., "Deep kernel learning", AISTATS 2016; Saatci, "Scalable
inference for structured Gaussian process models", 2011 (the Kronecker algebra).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hyperstar_tune.metrics import normalize_scores
from hyperstar_tune.rivals.base import Floats, Ranker, complete_scores
from hyperstar_tune.rivals.counts import features_of, meta_features
from hyperstar_tune.space import Config
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["DeepKernel", "DeepKernelRanker", "SolvedProcess"]

# The likelihood of a dozen tasks overfits. These are the best of six settings on the development families; 200 steps
# with hardly any decay have an AP@10 of 18 instead of 32.
_STEPS = 100
_LEARNING_RATE = 0.01
_WEIGHT_DECAY = 1.0
_HIDDEN, _DIM = 32, 4


class DeepKernelRanker(Ranker):
    """Ranks by the posterior mean of a deep-kernel Gaussian process, whose networks start from a seed."""

    name = "deep_kernel"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _fit(self, metadataset: MetaDataset) -> None:
        rows, scores = complete_scores(metadataset)
        facts = features_of(metadataset, rows)
        self._shift, self._scale = facts.mean(axis=0), np.maximum(facts.std(axis=0), 1e-6)
        targets = torch.from_numpy(normalize_scores(scores))  # [T, H]
        self._tasks = self._scaled(facts)
        self._configs = torch.from_numpy(metadataset.space.encode(metadataset.configs)).double()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._kernel = DeepKernel(self._tasks.shape[1], self._configs.shape[1]).double()
        _maximize_likelihood(self._kernel, self._tasks, self._configs, targets)
        with torch.no_grad():
            self._weights = SolvedProcess(self._kernel, self._tasks, self._configs, targets).weights

    def _scores(self, task: Any, configs: Sequence[Config]) -> Floats:
        encoded = torch.from_numpy(self.space.encode(configs)).double()
        with torch.no_grad():
            of_tasks = self._kernel.of_tasks(self._scaled(meta_features(task)[None]), self._tasks)  # [1, T]
            of_configs = self._kernel.of_configs(encoded, self._configs)  # [n, H]
            return np.asarray((of_tasks @ self._weights @ of_configs.T)[0].numpy())

    def _scaled(self, facts: np.ndarray) -> Tensor:
        return torch.from_numpy((facts - self._shift) / self._scale)


class DeepKernel(nn.Module):
    """Both factors of the kernel and the noise, in double precision."""

    def __init__(self, n_facts: int, n_encoded: int) -> None:
        super().__init__()
        self.of_facts = _perceptron(n_facts)
        self.of_encoded = _perceptron(n_encoded)
        self.log_constant = nn.Parameter(torch.zeros(()))
        self.log_share = nn.Parameter(torch.full((), -1.0))  # weight of the part that depends on the task
        self.log_noise = nn.Parameter(torch.full((), -1.0))

    def of_tasks(self, first: Tensor, second: Tensor) -> Tensor:
        """The kernel of tasks, [n, facts], [m, facts] -> [n, m]."""
        near = _squared_exponential(self.of_facts(first), self.of_facts(second))
        return self.log_constant.exp() + self.log_share.exp() * near

    def of_configs(self, first: Tensor, second: Tensor) -> Tensor:
        """The kernel of configurations, [n, encoded], [m, encoded] -> [n, m]."""
        return _squared_exponential(self.of_encoded(first), self.of_encoded(second))


class SolvedProcess:
    """The Gaussian process with given kernels, solved by their eigenvalues."""

    def __init__(self, kernel: DeepKernel, tasks: Tensor, configs: Tensor, targets: Tensor) -> None:
        self.of_tasks, self.of_configs = kernel.of_tasks(tasks, tasks), kernel.of_configs(configs, configs)
        self.noise = kernel.log_noise.exp() + 1e-4
        with torch.no_grad():
            self.task_values, self.task_vectors = torch.linalg.eigh(self.of_tasks)
            self.config_values, self.config_vectors = torch.linalg.eigh(self.of_configs)
            rotated = self.task_vectors.T @ targets @ self.config_vectors
            self.precision = 1 / (torch.outer(self.task_values, self.config_values).clamp_min(0) + self.noise)  # [T, H]
            self.weights = self.task_vectors @ (self.precision * rotated) @ self.config_vectors.T  # [T, H]

    def surrogate(self) -> Tensor:
        """A scalar whose gradient is that of the negative log marginal likelihood.

        The gradient has a closed form. Through the eigenvectors it would divide by differences of eigenvalues.
        """
        with torch.no_grad():
            by_task = self.task_vectors @ torch.diag(self.precision @ self.config_values) @ self.task_vectors.T
            by_config = self.config_vectors @ torch.diag(self.task_values @ self.precision) @ self.config_vectors.T
            task_gradient = (by_task - self.weights @ self.of_configs @ self.weights.T) / 2
            config_gradient = (by_config - self.weights.T @ self.of_tasks @ self.weights) / 2
            noise_gradient = (self.precision.sum() - self.weights.square().sum()) / 2
        return (
            (task_gradient * self.of_tasks).sum()
            + (config_gradient * self.of_configs).sum()
            + noise_gradient * self.noise
        )


def _maximize_likelihood(kernel: DeepKernel, tasks: Tensor, configs: Tensor, targets: Tensor) -> None:
    optimizer = torch.optim.AdamW(kernel.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        (SolvedProcess(kernel, tasks, configs, targets).surrogate() / targets.numel()).backward()
        optimizer.step()


def _perceptron(n_inputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_inputs, _HIDDEN), nn.Tanh(), nn.Linear(_HIDDEN, _DIM))


def _squared_exponential(first: Tensor, second: Tensor) -> Tensor:
    return torch.exp(-(first[:, None] - second[None]).square().sum(dim=-1) / 2)
