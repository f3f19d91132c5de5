"""What a ranking costs: seconds from 640 decoded images to 108 ranked configurations, against the backbone alone.

Both sides run in one process, in turns, on the same images and the same backbone with the same folded batch
normalization, in the same chunks; the bare forward pass even gets its images normalized beforehand. Algorithm 2 as
written, which runs the backbone for each of H x B pairs, is run once.

glibc gives freed memory back to the system and faults it in again. Which side pays for this depends on how the heap
happens to lie, so that processes differ by more than what is to be measured. So the benchmark runs with ``ALLOCATOR``,
which keeps freed memory; ``--default-allocator`` measures without it.

    python benchmarks/recommend.py
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from hyperstar_tune.predictor import Predictor
from hyperstar_tune.predictor.backbone import CHUNK, Backbone, normalize
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import Config
from hyperstar_tune.tasks.task import ImageTask

PLUS = "shufflenet-v2-x1-64px"
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}
RESULT = Path(__file__).parent / "results" / "recommend.json"


def recommend(predictor: Predictor, batches: np.ndarray) -> Ranking:
    """The ranking of all configurations from decoded images, as ``Predictor.rank`` makes it."""
    scores = predictor.scores(batches)
    return Ranking.of(predictor.space.grid(), scores.mean(axis=0), scores.std(axis=0), source=predictor.name)


def literal_algorithm_2(predictor: Predictor, batches: np.ndarray, configs: list[Config]) -> Ranking:
    """Algorithm 2 as the paper writes it: the backbone sees every batch again for every configuration."""
    scores = [[predictor.scores(batch[None], [config])[0, 0] for batch in batches] for config in configs]
    return Ranking.of(configs, np.mean(scores, axis=1), np.std(scores, axis=1), source=predictor.name)


def bare_forward(backbone: Backbone, chunks: list[torch.Tensor]) -> None:
    """The backbone on normalized images and nothing else."""
    with torch.inference_mode():
        for chunk in chunks:
            backbone.features(chunk)


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(predictor: Predictor, repetitions: int, n_literal: int) -> dict[str, Any]:
    # The time does not depend on what the images show.
    batches = np.random.default_rng(0).integers(0, 256, (10, 64, 3, 64, 64), dtype=np.uint8)
    backbone = predictor.backbone
    with torch.inference_mode():
        chunks = [normalize(chunk) for chunk in torch.from_numpy(batches).flatten(0, 1).split(CHUNK)]
    sides = {"recommend": lambda: recommend(predictor, batches), "backbone": lambda: bare_forward(backbone, chunks)}
    for work in sides.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    for repetition in range(repetitions):
        for name in sorted(sides, reverse=bool(repetition % 2)):
            cpu_started = time.process_time()  # all threads; what a busy machine disturbs least
            taken[name].append(seconds(sides[name]))
            cpu[name].append(time.process_time() - cpu_started)
    median = {name: float(np.median(values)) for name, values in taken.items()}
    configs = predictor.space.grid()[:n_literal]
    started = time.perf_counter()
    literal = literal_algorithm_2(predictor, batches, configs)
    literal_s = (time.perf_counter() - started) * len(predictor.space) / len(configs)
    quick = Ranking.of(configs, predictor.scores(batches, configs).mean(axis=0))
    apart = float(np.abs(np.array(literal.scores) - np.array(quick.scores)).max())
    pairs = np.array(taken["recommend"]) / np.array(taken["backbone"])
    return {
        "ratio_to_backbone_forward": round(median["recommend"] / median["backbone"], 4),
        "ratio_quartiles_of_pairs": np.percentile(pairs, [25, 75]).round(4).tolist(),
        "ratio_of_cpu_seconds": round(float(np.median(cpu["recommend"]) / np.median(cpu["backbone"])), 4),
        "factor_over_literal_algorithm_2": round(literal_s / median["recommend"], 1),
        "seconds": round(median["recommend"], 4),
        "seconds_quartiles": np.percentile(taken["recommend"], [25, 75]).round(4).tolist(),
        "backbone_forward_seconds": round(median["backbone"], 4),
        "backbone_forward_cpu_seconds": round(float(np.median(cpu["backbone"])), 4),
        "literal_algorithm_2_seconds": round(literal_s, 2),
        "largest_score_difference_to_literal": apart,
        "repetitions": repetitions,
        "literal_configurations_run": len(configs),  # its seconds are in proportion to all
        "images": 640,
        "configurations": len(predictor.space),
        "predictor": predictor.name,
    }


def shipped_seconds(name: str, repetitions: int) -> tuple[float, float]:
    """Median seconds, of the clock and of all threads, of HyperSTAR+ ranking 640 decoded images of ten classes."""
    predictor = Predictor.load(name)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (640, 64, 64, 3), dtype=np.uint8), np.arange(640) % 10
    # A task each: what was looked at once is remembered.
    tasks = [ImageTask.from_arrays("noise", images, labels, images, labels) for _ in range(repetitions + 1)]
    predictor.rank(tasks.pop())
    taken, cpu = [], []
    for task in tasks:
        cpu_started = time.process_time()
        taken.append(seconds(lambda task=task: predictor.rank(task)))
        cpu.append(time.process_time() - cpu_started)
    return float(np.median(taken)), float(np.median(cpu))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictor", default="shufflenet-v2-x1-64px-network", help="name or directory")
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--literal-configs", type=int, default=108, help="how many Algorithm 2 as written goes through")
    parser.add_argument("--threads", type=int, help="torch's own choice when not given")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--default-allocator", action="store_true", help="let glibc give memory back")
    args = parser.parse_args()
    if not args.default_allocator and any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ALLOCATOR)
    if args.threads:
        torch.set_num_threads(args.threads)
    result = measure(Predictor.load(args.predictor), args.repetitions, args.literal_configs)
    plus, plus_cpu = shipped_seconds(PLUS, max(1, args.repetitions // 3))
    result |= {
        "hyperstar_plus_seconds": round(plus, 4),
        "hyperstar_plus_ratio_to_backbone_forward": round(plus / result["backbone_forward_seconds"], 4),
        "hyperstar_plus_ratio_of_cpu_seconds": round(plus_cpu / result["backbone_forward_cpu_seconds"], 4),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "numpy": np.__version__,
        },
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "allocator": "default" if args.default_allocator else ALLOCATOR,
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "device": f"cpu ({platform.machine()})",
        "command": " ".join(["python", "benchmarks/recommend.py", *sys.argv[1:]]),
    }
    for name, value in result.items():
        print(f"{name:38s} {value}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
