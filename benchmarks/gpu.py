"""Whole-network fine-tuning on a GPU: mixed precision, four trials on one GPU, memory returned between trials.

A process trains one trial after another. The memory that it still holds after it has freed a network, before it builds
the next one, is memory that was not returned.

    python benchmarks/gpu.py [--image-size 224] [--epochs 3]

Needs a GPU. Writes benchmarks/results/gpu.json.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import numpy as np
import torch
from _common import RESULTS, environment, write_json

from hyperstar_tune import ImageTask, finetune
from hyperstar_tune.finetune import FineTuneTrainable

MODEL = "torchvision/shufflenet_v2_x1_0"
CONFIG = {"lr": 0.01, "optimizer": "sgd", "layers": "all", "augmentation": "basic"}


N_TRIALS = 8  # more than run at a time, so that every process trains at least a second one


def watched(trainable: Any) -> type[FineTuneTrainable]:
    """The trainable, with ``kept_mib`` in its results: memory that torch still held before the trial's network."""

    class Watched(trainable):
        def cleanup(self) -> None:
            super().cleanup()
            self.kept_mib = torch.cuda.memory_allocated() / 2**20

        def step(self) -> dict[str, Any]:
            return super().step() | {"kept_mib": self.kept_mib}

    return Watched


def noise_task(n: int, size: int) -> ImageTask:
    """Random images: the speed does not depend on what is in them."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    labels = np.arange(n) % 10
    return ImageTask.from_arrays("noise", images, labels, images[: n // 4], labels[: n // 4])


def run(trainable: type[FineTuneTrainable], n_at_a_time: int, epochs: int, storage: str) -> tuple[float, list[dict]]:
    """Seconds of the whole, and the last result of each trial."""
    from ray import tune

    start = time.perf_counter()
    trials = tune.run(
        tune.with_resources(trainable, {"cpu": 1, "gpu": 1 / n_at_a_time}),
        config={**CONFIG, "lr": tune.grid_search([0.01 + place / 1000 for place in range(N_TRIALS)])},
        stop={"training_iteration": epochs},
        reuse_actors=True,
        storage_path=storage,
        name=f"{n_at_a_time}",
        verbose=0,
    ).trials
    seconds = time.perf_counter() - start
    return seconds, [trial.last_result for trial in trials]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("benchmarks/gpu.py needs a GPU, but torch sees none here: nothing was measured")
        sys.exit(0)
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    options = {"model": MODEL, "weights": "own", "image_size": arguments.image_size, "epoch_seconds_limit": 600}
    trainable = watched(finetune.trainable(noise_task(arguments.images, arguments.image_size), **options))
    found = {}
    with tempfile.TemporaryDirectory() as storage:
        for n_at_a_time in (1, 4):
            seconds, results = run(trainable, n_at_a_time, arguments.epochs, storage)
            found[f"{n_at_a_time} at a time"] = {
                "trials": N_TRIALS,
                "processes": len({result["pid"] for result in results}),
                "seconds": round(seconds, 2),
                "last_epoch_seconds": [round(result["epoch_seconds"], 3) for result in results],
                "kept_mib": [round(result["kept_mib"], 1) for result in results],
                "images_per_second": round(N_TRIALS * arguments.epochs * arguments.images / seconds, 1),
            }
            print(found, flush=True)
    ray.shutdown()
    write_json(
        arguments.out,
        {
            **environment(torch.cuda.get_device_name(0)),
            "model": MODEL,
            "image_size": arguments.image_size,
            "images": arguments.images,
            "epochs": arguments.epochs,
            "runs": found,
        },
    )


if __name__ == "__main__":
    main()
