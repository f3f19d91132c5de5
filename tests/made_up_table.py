"""A table of made-up curves in which the better configurations show early."""

import numpy as np
import pandas as pd

from hyperstar_tune import MetaDataset, SearchSpace
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.rivals.registry import Supplies, ranker_kind

R = 9
VALUES = {
    "lr": [1e-4, 1e-3, 1e-2, 1e-1],
    "optimizer": ["sgd", "adamw", "rmsprop"],
    "layers": ["head", "all"],
    "augmentation": ["none", "basic"],
}


def make_table(n_tasks=4, max_epochs=R, diverged=(), seed=0):
    """48 configurations; tasks 0 and 1 are one family. ``diverged``: (task, configuration) pairs."""
    rng = np.random.default_rng(seed)
    space = SearchSpace.from_values(VALUES, "small")
    configs = space.grid()
    common = rng.normal(size=len(configs))
    epochs = np.arange(1, max_epochs + 1)
    evaluations = np.full((n_tasks, len(configs), 1, max_epochs, 6), np.nan, dtype=np.float32)
    for task in range(n_tasks):
        quality = common + rng.normal(size=len(configs))
        final = 0.5 + 0.4 * (np.argsort(np.argsort(quality)) / len(configs))
        curve = final[:, None] * (1 - np.exp(-epochs / 2)) + rng.normal(scale=0.01, size=(len(configs), max_epochs))
        evaluations[task, :, 0, :, 0] = np.clip(curve, 0, 1)
        evaluations[task, :, 0, :, 1] = 1 - curve
        evaluations[task, :, 0, :, 2] = np.clip(curve - 0.02, 0, 1)
        evaluations[task, :, 0, :, 5] = 1 + rng.random(len(configs))[:, None]
    for task, config in diverged:
        evaluations[task, config, 0, 2:, :4] = np.nan
    tasks = pd.DataFrame(
        {
            "name": [f"task{i}" for i in range(n_tasks)],
            "family": ["twins" if i < 2 else f"family{i}" for i in range(n_tasks)],
            "location": "",
            "classes": [2 + i for i in range(n_tasks)],
            "n_train": [100 * (i + 1) for i in range(n_tasks)],
            "n_val": 50,
            "licence": "",
            "image_hash": "",
        }
    )
    fingerprint = Fingerprint(space=space.fingerprint, schedule="constant, one warm-up epoch")
    return MetaDataset(space, configs, epochs, evaluations, tasks, fingerprint)


def make_ranker(name, seed=0):
    """A ranker that needs nothing but the table it is fitted to, by name."""
    return ranker_kind(name).make(Supplies(table=None), seed)
