"""Models that predict scores of configurations that no table has, for ``any_space.py`` to compare.

Each one learns from T tasks with traits and h encoded configurations, and predicts n others for other tasks. All learn
the same targets. The package has ``any_space``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import nn

from hyperstar_tune.predictor.any_space import Measured, basis_of, fast_scores, fit_any_space, kernel_for
from hyperstar_tune.predictor.plus import fit_plus, interpolated
from hyperstar_tune.predictor.weighted_kernel import Kernel
from hyperstar_tune.rivals.deep_kernel import DeepKernel, SolvedProcess

__all__ = ["MODELS", "Model"]

Floats = npt.NDArray[np.float64]
# Of traits [n, D] of tasks and encoded configurations [m, p], scores [n, m].
Scorer = Callable[[Floats, Floats], Floats]

_PENALTY = 5.0  # of HyperSTAR+


@dataclass(frozen=True)
class Model:
    """A way to predict, and the settings among which one is chosen without the family that is judged."""

    label: str
    fit: Callable[..., Scorer]  # of what was measured, and one of the settings
    settings: tuple[Mapping[str, Any], ...] = ({},)


def _hyperstar_plus(known: Measured, images: bool = True) -> Scorer:
    model = fit_plus(known.targets, known.traits, list(known.families), _PENALTY)
    return lambda traits, encoded: np.stack(
        [interpolated(model.scores(z) if images else model.mean, known.encoded, encoded) for z in traits]
    )


def _any_space(known: Measured, images: bool = True, weighted: bool = True) -> Scorer:
    kernel = kernel_for([known], _PENALTY) if weighted else Kernel.of(known.encoded)
    model = fit_any_space([known], _PENALTY, kernel)

    def scores(traits: Floats, encoded: Floats) -> Floats:
        single = encoded.astype(np.float32)
        weights = [model.scores(z) if images else model.mean for z in traits]
        if len(encoded) > len(known.encoded):
            return np.stack([fast_scores(kernel, own, single, known.encoded) for own in weights])
        return np.stack(weights) @ basis_of(kernel, encoded, known.encoded).T

    return scores


def _pairs(encoded: Floats) -> Floats:
    first, second = np.triu_indices(encoded.shape[1], k=1)
    return np.concatenate([encoded, encoded[:, first] * encoded[:, second]], axis=1)


def _ridge(known: Measured, penalty: float) -> Scorer:
    model, features = fit_plus(known.targets, known.traits, list(known.families), _PENALTY), _pairs(known.encoded)
    centre, both = features.mean(axis=0), np.vstack([model.mean, model.slopes])
    apart, level = features - centre, both.mean(axis=1, keepdims=True)
    inner = apart @ apart.T + penalty * np.eye(len(apart))
    weights = (both - level) @ np.linalg.solve(inner, apart)  # [1 + D, P]

    def scores(traits: Floats, encoded: Floats) -> Floats:
        values = level + weights @ (_pairs(encoded) - centre).T  # [1 + D, m]
        of_configs = replace(model, mean=values[0], slopes=values[1:])
        return np.stack([of_configs.scores(z) for z in traits])

    return scores


def _rows(traits: Floats, encoded: Floats) -> Floats:
    """Each task with each configuration, [n * m, D + p]."""
    tasks = np.repeat(traits, len(encoded), axis=0)
    return np.concatenate([tasks, np.tile(encoded, (len(traits), 1))], axis=1)


def _trees(known: Measured, **settings: Any) -> Scorer:
    model = HistGradientBoostingRegressor(learning_rate=0.1, random_state=0, early_stopping=False, **settings)
    model.fit(_rows(known.traits, known.encoded), known.targets.ravel())
    return lambda traits, encoded: model.predict(_rows(traits, encoded)).reshape(len(traits), -1)


def _deep_kernel(known: Measured, steps: int) -> Scorer:
    shift, scale = known.traits.mean(axis=0), np.maximum(known.traits.std(axis=0), 1e-9)

    def scaled(traits: Floats) -> torch.Tensor:
        return torch.from_numpy((traits - shift) / scale)

    tasks, configs, targets = scaled(known.traits), torch.from_numpy(known.encoded), torch.from_numpy(known.targets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kernel = DeepKernel(tasks.shape[1], configs.shape[1]).double()
    optimizer = torch.optim.AdamW(kernel.parameters(), lr=0.01, weight_decay=1.0)
    for _ in range(steps):
        optimizer.zero_grad()
        (SolvedProcess(kernel, tasks, configs, targets).surrogate() / targets.numel()).backward()
        optimizer.step()
    with torch.no_grad():
        weights = SolvedProcess(kernel, tasks, configs, targets).weights

    @torch.no_grad()
    def scores(traits: Floats, encoded: Floats) -> Floats:
        of_tasks = kernel.of_tasks(scaled(traits), tasks) @ weights  # [n, H]
        parts = torch.from_numpy(encoded).double().split(4096)
        return torch.cat([of_tasks @ kernel.of_configs(part, configs).T for part in parts], dim=1).numpy()

    return scores


def _network(known: Measured, decay: float) -> Scorer:
    shift, scale = known.traits.mean(axis=0), np.maximum(known.traits.std(axis=0), 1e-9)

    def inputs(traits: Floats, encoded: Floats) -> torch.Tensor:
        return torch.from_numpy(_rows((traits - shift) / scale, encoded)).float()

    values, targets = inputs(known.traits, known.encoded), torch.from_numpy(known.targets.ravel()).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            *(nn.Linear(values.shape[1], 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1))
        )
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=decay)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.mse_loss(network(values)[:, 0], targets).backward()
        optimizer.step()

    @torch.no_grad()
    def scores(traits: Floats, encoded: Floats) -> Floats:
        return torch.stack([network(inputs(z[None], encoded))[:, 0] for z in traits]).double().numpy()

    return scores


MODELS = {
    "average": Model("average of better targets, nearest configurations", lambda known: _hyperstar_plus(known, False)),
    "hyperstar_plus": Model("HyperSTAR+, nearest configurations", _hyperstar_plus),
    "any_space_average": Model("any space without images", lambda known: _any_space(known, images=False)),
    "any_space": Model("**any space**, as `meta-train` learns it", _any_space),
    "any_space_unweighted": Model(
        "any space, all parameters weighing alike", lambda known: _any_space(known, weighted=False)
    ),
    "ridge": Model(
        "ridge on pairs times traits",
        _ridge,
        ({"penalty": 0.01}, {"penalty": 0.1}, {"penalty": 1.0}, {"penalty": 10.0}),
    ),
    "trees": Model("gradient-boosted trees", _trees, ({"max_iter": 60}, {"max_iter": 150, "max_leaf_nodes": 8})),
    "deep_kernel": Model("deep-kernel Gaussian process", _deep_kernel, ({"steps": 100},)),
    "network": Model("a small network", _network, ({"decay": 0.1},)),
}
