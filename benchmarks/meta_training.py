"""What meta-training costs: images per second, folds side by side, and a leave-family-out table of every ranker.

    python benchmarks/meta_training.py

Writes meta_training.json, or meta_training_TABLE.json. Needs a table of learning curves and no image: the speed does
not depend on what is in them, so noise is embedded and trained on. All times are CPU time of one core, which other work
on the machine does not lengthen; minutes of whole leave-family-out tables are those that loo_scores.py recorded.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import about_table, environment, result_path, scores_path, write_json
from scoreboard.families import development_families
from scoreboard.more_traits import ALL_TRAITS
from scoreboard.side_by_side import run_side_by_side
from scoreboard.tables import OURS

from hyperstar_tune.predictor.backbone import Backbone, ImagePool
from hyperstar_tune.predictor.targets import Targets, make_targets
from hyperstar_tune.predictor.training import Trainer, TrainingSettings
from hyperstar_tune.predictor.traits import traits_of
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

N_IMAGES = 640  # of a task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="benchmarks/metadata/shufflenet-v2-x1-v0")
    parser.add_argument("--replicas", type=int, default=12, help="folds that are trained side by side")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = MetaDataset.load(arguments.table)
    table = table.only(development_families(table))
    size = table.fingerprint.image_size or 64
    backbone = Backbone("none")
    noise = np.random.default_rng(0).integers(0, 256, (N_IMAGES, size, size, 3), dtype=np.uint8)
    images = torch.from_numpy(noise.transpose(0, 3, 1, 2).copy())
    embedding = timed(lambda: backbone.prefix(images), arguments.repeats)
    traits = timed(lambda: traits_of(noise_task(noise), size, ALL_TRAITS), 1)
    folds = noise_folds(table, arguments.replicas)

    def fresh() -> list[Trainer]:
        return [Trainer(settings, targets, backbone, pools) for settings, targets, pools in folds]

    one = fresh()[0]
    visited = len(one.pools) * one.settings.image_batches * one.settings.batch_size
    alone, together, speedups = [], [], []
    for _ in range(arguments.repeats):
        alone.append(timed(lambda: [trainer.run() for trainer in fresh()], 1) / arguments.replicas)
        together.append(timed(lambda: run_side_by_side(fresh()), 1) / arguments.replicas)
        speedups.append(alone[-1] / together[-1])
    minutes = leave_out_minutes(Path(arguments.table).name)
    n_tasks = len(table.tasks)
    shipped = minutes.get(OURS)
    result = environment() | {
        "table": about_table(table, arguments.table),
        "unit": "CPU time of one core",
        "leave_out_ranker": OURS if shipped is not None else "bm_both",
        # Traits of a task are computed once, whatever is left out.
        "leave_out_minutes": (
            round(shipped + n_tasks * traits / 60, 2) if shipped is not None else minutes.get("bm_both")
        ),
        "leave_out_minutes_by_ranker": minutes,
        "traits_seconds_a_task": round(traits, 2),
        "images_per_second": {
            "embedding": round(N_IMAGES / embedding, 1),
            "training_alone": round(visited / statistics.median(alone), 1),
            "training_side_by_side": round(visited / statistics.median(together), 1),
        },
        "batched_folds_speedup": round(statistics.median(speedups), 3),
        "batched_folds_speedups": [round(value, 3) for value in speedups],
        "replicas": arguments.replicas,
    }
    write_json(result_path("meta_training", Path(arguments.table).name), result)
    print(
        f"side by side: {result['batched_folds_speedup']:.2f} times as fast as one after another; "
        f"images a second: {result['images_per_second']}; a leave-family-out table of {result['leave_out_ranker']}: "
        f"{result['leave_out_minutes']} CPU minutes"
    )


def timed(work: Callable[[], Any], repeats: int) -> float:
    """Median CPU seconds."""
    seconds = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        seconds.append(time.process_time() - before)
    return statistics.median(seconds)


def noise_task(noise: np.ndarray) -> ImageTask:
    labels = np.arange(len(noise)) % 10
    return ImageTask.from_arrays("noise", noise, labels, noise[:40], labels[:40])


def noise_folds(table: MetaDataset, n: int) -> list[tuple[TrainingSettings, Targets, list[ImagePool]]]:
    """What trainers of one pass are made from, with both losses, that leave out families of the commonest size."""
    sizes = table.tasks["family"].value_counts()
    families = [str(family) for family in sizes.index[sizes == sizes.mode()[0]]]
    features = torch.rand((N_IMAGES, Backbone.n_features), generator=torch.Generator().manual_seed(0))
    settings = TrainingSettings(train_backbone="none", epochs=1, configs_per_batch=len(table.configs))
    folds = []
    for number in range(n):
        known = table.without(families[number % len(families)])
        pools = [ImagePool(features, "")] * len(known.tasks)
        folds.append((replace(settings, seed=number), make_targets(known, settings.similarity_k), pools))
    return folds


def leave_out_minutes(name: str) -> dict[str, float]:
    """Minutes of all folds and seeds of every ranker, development families."""
    path = scores_path(name).with_suffix(".json")
    if not path.exists():
        return {}
    about = json.loads(path.read_text(encoding="utf-8"))["rankers"]
    ending = ": development families"
    return {key.removesuffix(ending): round(e["cpu_s"] / 60, 3) for key, e in about.items() if key.endswith(ending)}


if __name__ == "__main__":
    main()
