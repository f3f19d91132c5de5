"""A little world to learn: two kinds of images, striped and smooth, for which different configurations are best."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor import TrainingSettings, meta_train
from hyperstar_tune.predictor.traits import TRAITS
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

SIDE = 32
SPACE = SearchSpace.from_values(
    {"lr": [0.001, 0.01, 0.1], "layers": ["head", "all"], "augmentation": ["none", "basic"]}
)
QUICK = TrainingSettings(
    train_backbone="none",
    epochs=6,
    image_batches=2,
    batch_size=16,
    configs_per_batch=6,
    window=2,
    similarity_k=3,
    images_per_task=32,
    width=32,
    dim=8,
    hidden=32,
)


def sharpness(look):
    """What tells stripes from smooth images: how much neighbouring pixels differ, on a logarithmic scale."""
    grey = look.images.float().mean(dim=1) / 255
    around = grey[:, 2:, 1:-1] + grey[:, :-2, 1:-1] + grey[:, 1:-1, 2:] + grey[:, 1:-1, :-2]
    curvature = around - 4 * grey[:, 1:-1, 1:-1]
    return torch.log(curvature.std(dim=(1, 2)).mean().clamp(min=1e-6))


# The traits that ship look at labels, and those of this world say nothing.
TRAITS |= {"sharpness": sharpness, "brightness": lambda look: look.images.float().mean() / 255}


def make_images(kind, n, rng):
    """uint8 [n, SIDE, SIDE, 3]: stripes of random direction, phase and colour, or one smooth gradient."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    angle, phase = rng.uniform(0, np.pi, (n, 1, 1)), rng.uniform(0, 2 * np.pi, (n, 1, 1))
    along = np.cos(angle) * x + np.sin(angle) * y
    cycles = 8 if kind == "striped" else 0.25
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * cycles * along + phase)
    colours = rng.uniform(0.3, 1, (n, 1, 1, 3))
    return (255 * wave[..., None] * colours).astype(np.uint8)


def true_scores(kind, rng):
    """Accuracies [H]: "all" at a high rate is best for stripes, "head" at a low rate for smooth images."""
    sign = 1 if kind == "striped" else -1
    place = [np.log10(config["lr"]) + 2 + 1.5 * (config["layers"] == "all") - 0.75 for config in SPACE.grid()]
    return 0.5 + 0.1 * sign * np.array(place) + rng.normal(0, 0.01, len(place))


@dataclass(frozen=True)
class World:
    table: MetaDataset
    tasks: dict[str, ImageTask]


def make_world(n_each, seed, missing=0.0):
    rng = np.random.default_rng(seed)
    kinds = ["striped", "smooth"] * n_each
    labels = np.arange(40) % 2
    tasks, scores = {}, []
    for place, kind in enumerate(kinds):
        name = f"{kind}{place}"
        tasks[name] = ImageTask.from_arrays(name, make_images(kind, 40, rng), labels, seed=seed)
        scores.append(true_scores(kind, rng))
    evaluations = np.full((len(kinds), len(SPACE.grid()), 1, 2, len(MetaDataset.objectives)), np.nan)
    evaluations[..., 0] = np.clip(scores, 0, 1)[..., None, None]
    evaluations[..., 5] = 1.0
    evaluations[rng.random(evaluations.shape[:2]) < missing] = np.nan
    rows = [
        {
            "name": name,
            "family": name,
            "location": "",
            "classes": 2,
            "n_train": 28,
            "n_val": 12,
            "licence": "",
            "image_hash": "",
        }
        for name in tasks
    ]
    fingerprint = Fingerprint(space=SPACE.fingerprint, model="net", image_size=SIDE)
    return World(
        MetaDataset(SPACE, SPACE.grid(), np.array([1, 2]), evaluations, pd.DataFrame(rows), fingerprint), tasks
    )


@pytest.fixture(scope="session")
def world():
    return make_world(n_each=5, seed=0)


@pytest.fixture(scope="session")
def small_world():
    return make_world(n_each=2, seed=1, missing=0.2)


@pytest.fixture(scope="session")
def predictor(small_world):
    """One whose last stage was trained, for little time."""
    settings = TrainingSettings(**{**vars(QUICK), "train_backbone": "last_stage", "epochs": 1})
    return meta_train(small_world.table, small_world.tasks, settings, name="little")


@pytest.fixture
def artifact(predictor, tmp_path):
    predictor.save(tmp_path / "predictor")
    return tmp_path / "predictor"


@pytest.fixture(scope="session")
def quick():
    return QUICK


@pytest.fixture(scope="session")
def worlds():
    """``make_world``, for tests that need another one."""
    return make_world
