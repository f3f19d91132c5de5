"""A small collection in a process of its own, to be killed."""

import os

from digit_images import digit_pixels

from hyperstar_tune.finetune import collect
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tasks.task import ImageTask

VALUES = {"lr": [1e-3, 1e-2, 1e-1], "optimizer": ["sgd"], "layers": ["head", "all"], "augmentation": ["basic"]}
MODEL = {"model": "torchvision/shufflenet_v2_x1_0", "weights": "own", "image_size": 32}
SETTINGS = {**MODEL, "max_epochs": 2, "workers": 2}


def tasks():
    pixels, labels = digit_pixels(n_classes=3, per_class=16)
    images = {"digits": pixels, "inverse": 255 - pixels}
    return [ImageTask.from_arrays(name, values, labels) for name, values in images.items()]


def measure(out):
    """24 cells: six configurations of two tasks with two seeds."""
    return collect(tasks(), SearchSpace.from_values(VALUES, "tiny"), out, seeds=(0, 1), order="round-robin", **SETTINGS)


def measure_long_cells(out):
    """Six cells that take longer than an actor needs to start: shorter ones all go to the node that is up first."""
    space = SearchSpace.from_values({**VALUES, "lr": [1e-4, 1e-3, 1e-2], "layers": ["all"]}, "long")
    return collect(tasks(), space, out, **{**SETTINGS, "max_epochs": 80})


def main(address, out):
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ["RAY_ADDRESS"] = address  # as on a cluster: `collect` finds it
    measure(out)
