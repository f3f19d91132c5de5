"""Methods live on real training, beside the same methods replayed: benchmarks/results/live.json and its figure.

    python benchmarks/live_sweep.py

There are two tasks, which come with scikit-learn (the digits 0-4 and 5-9), our own small backbone, and a small R. The
table for the replay is collected first, into runs/live-digits. Both steps can be stopped and called again.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
from _common import RESULTS, ROOT, environment, write_json
from scoreboard.live_figure import draw_live_beside_replay
from sklearn.datasets import load_digits

from hyperstar_tune import HyperBandPlan, MetaDataset, Predictor, SearchSpace, finetune
from hyperstar_tune.comparison import Setting, make_method, run_method
from hyperstar_tune.comparison.live import run_live
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.bohb import has_hpbandster
from hyperstar_tune.simulation import TaskCurves
from hyperstar_tune.tasks.task import ImageTask

R, BUDGET, IMAGE_SIZE = 8, 36, 32
COLLECTION = ROOT.parent / "runs" / "live-digits"
PREDICTOR = "shufflenet-v2-x1-64px-network"
VALUES = {  # a part of the predictor's space, so that its table is collected in minutes
    "lr": [1e-3, 1e-2, 1e-1],
    "optimizer": ["sgd", "adamw"],
    "layers": ["head", "last_stage", "all"],
    "augmentation": ["none", "basic"],
}
METHODS = ("hyperband", "bohb", "hyperstar+hyperband", "hyperstar+alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="live runs per method and task")
    parser.add_argument("--replay-seeds", type=int, default=20)
    parser.add_argument("--no-live", action="store_true", help="only collect the table")
    arguments = parser.parse_args()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    tasks = [digits("digits-0-4", range(5)), digits("digits-5-9", range(5, 10))]
    space = SearchSpace.from_values(VALUES, "live-digits")
    shared = finetune.FineTuneSettings(
        model=finetune.OWN_MODEL, weights="own", image_size=IMAGE_SIZE, max_epochs=R, schedule="constant"
    )
    finetune.collect(tasks, space, COLLECTION, shared, evaluate_at=tuple(range(1, R + 1)), workers=2, nice=5)
    if arguments.no_live:
        return
    table = MetaDataset.from_collection(COLLECTION)
    predictor = Predictor.load(PREDICTOR)
    plan = HyperBandPlan(R, 2, BUDGET)
    partial = COLLECTION / "live-runs.json"
    live = json.loads(partial.read_text()) if partial.exists() else {}
    result: dict[str, Any] = {}
    for task in tasks:
        curves = TaskCurves.of(table, task.name)
        ranking = predictor.rank(task, space.grid())
        trainable = finetune.trainable(task, shared, validation="halves")
        result[task.name] = {"live": {}, "replay": {}}
        for name in METHODS:
            if "bohb" in name and not has_hpbandster():
                continue
            is_random = make_method(name).is_random
            for seed in range(arguments.seeds if is_random else 1):
                key = f"{task.name}/{name}/{seed}"
                if key not in live:
                    live[key] = one_live(name, space, plan, seed, ranking, trainable)
                    partial.write_text(json.dumps(live))
                    print(f"{key}: {live[key]['seconds']:.0f} s", flush=True)
                result[task.name]["live"].setdefault(name, []).append(live[key]["accuracy_b"])
            for seed in range(arguments.replay_seeds if is_random else 1):
                run = run_method(make_method(name), curves, Setting(space, plan, seed, ranking))
                result[task.name]["replay"].setdefault(name, []).append(clean(run.incumbent.accuracy_b))
    ray.shutdown()
    data = environment() | {
        "source": f"own ShuffleNet at {IMAGE_SIZE} px, {len(space)} configurations, R = {R}, budget {BUDGET}, eta = 2",
        "predictor": f"{PREDICTOR}: trained on another R (16) and image size (64 px)",
        "seeds": {"live": arguments.seeds, "replay": arguments.replay_seeds},
        "live_seconds": {key: round(run["seconds"], 1) for key, run in live.items()},
        "tasks": result,
        "largest_difference_live_to_replay": differences(result),
    }
    write_json(RESULTS / "live.json", data, lines=False)
    draw_live_beside_replay(data, RESULTS / "live_beside_replay.png")
    for task, kinds in result.items():
        for name in kinds["live"]:
            means = [np.nanmean([run[-1] for run in kinds[kind][name]]) for kind in ("live", "replay")]
            print(f"{task:12s} {name:24s} live {means[0]:.3f}   replay {means[1]:.3f}")


def digits(name: str, classes: range, n_train: int = 12, n_val: int = 40) -> ImageTask:
    """Some digits with ``n_train`` training and ``n_val`` validation images per class."""
    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    rng = np.random.default_rng(0)
    members = [rng.permutation(np.flatnonzero(labels == digit)) for digit in classes]
    train = np.concatenate([rows[:n_train] for rows in members])
    val = np.concatenate([rows[n_train : n_train + n_val] for rows in members])
    first = min(classes)
    return ImageTask.from_arrays(name, pixels[train], labels[train] - first, pixels[val], labels[val] - first)


def one_live(
    name: str, space: SearchSpace, plan: HyperBandPlan, seed: int, ranking: Ranking, trainable: Any
) -> dict[str, Any]:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = run_live(make_method(name), Setting(space, plan, seed, ranking), trainable, Path(folder))
    return {
        "accuracy": clean(run.accuracy),
        "accuracy_b": clean(run.accuracy_b),
        "seconds": time.perf_counter() - started,
    }


def clean(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]


def differences(result: dict[str, Any]) -> dict[str, float]:
    """Per method, the largest difference at the end between a live run and the replay of the same seed."""
    largest: dict[str, float] = {}
    for kinds in result.values():
        for name, runs in kinds["live"].items():
            for one, other in zip(runs, kinds["replay"][name], strict=False):
                largest[name] = max(largest.get(name, 0.0), round(abs(one[-1] - other[-1]), 4))
    return largest


if __name__ == "__main__":
    main()
