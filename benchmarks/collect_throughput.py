"""How much of the speed of a bare training loop ``collect`` keeps, over the same cells, on idle cores.

    python benchmarks/collect_throughput.py [--workers 2] [--cells 12] [--cell-seconds 12]

Both train the same cells on as many processes: the bare loop in plain processes, each with every n-th cell; ``collect``
through Ray Tune with its journal. Both times include the start of the processes and of Ray. A cell is given as many
epochs as take ``--cell-seconds``, measured first. Writes ``benchmarks/results/collect_throughput.json``.
"""

import argparse
import math
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import RESULTS, environment, write_json

from hyperstar_tune.finetune import OWN_MODEL, FineTuneSettings, collect
from hyperstar_tune.finetune.cells import measure_cell
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tables.collection import read_cells
from hyperstar_tune.tasks.task import ImageTask

SIZE = 64
PROTOCOL_EPOCHS = (1, 2, 3, 4, 6, 8, 9, 12, 16, 20, 24, 27, 32)
VALUES = {
    "lr": [1e-4, 3e-4, 1e-3, 3e-3],  # low enough that none diverges, which would end its cell early
    "optimizer": ["sgd", "adamw", "rmsprop"],
    "layers": ["all"],
    "augmentation": ["basic"],
}


def made_task(n: int = 400) -> ImageTask:
    """Coloured noise of four kinds: what is on the images does not change how long a step takes."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 4
    images = rng.integers(0, 160, size=(n, SIZE, SIZE, 3)) + 30 * labels[:, None, None, None] % 95
    return ImageTask.from_arrays("made", images.astype(np.uint8), labels)


def settings_of(max_epochs: int) -> FineTuneSettings:
    measured_at = (*(e for e in PROTOCOL_EPOCHS if e < max_epochs), max_epochs)
    return FineTuneSettings(
        model=OWN_MODEL, weights="own", image_size=SIZE, max_epochs=max_epochs, evaluate_at=measured_at, device="cpu"
    )


def measure_all(max_epochs: int, configs: list[Config], seconds: Any) -> None:
    """The bare loop: one process, its cells one after the other."""
    torch.set_num_threads(1)
    task, settings = made_task(), settings_of(max_epochs)
    for config in configs:
        seconds.append(measure_cell(settings, task, config, 0)["seconds"])


def bare_loop(workers: int, max_epochs: int, configs: list[Config]) -> tuple[float, list[float]]:
    """Wall-clock seconds of all cells on some processes, and processor seconds of each cell."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager:
        seconds = manager.list()
        start = time.perf_counter()
        shares = [configs[worker::workers] for worker in range(workers)]
        processes = [spawn.Process(target=measure_all, args=(max_epochs, share, seconds)) for share in shares]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        taken = time.perf_counter() - start
        if any(process.exitcode for process in processes):
            raise SystemExit("a process of the bare loop failed")
        return taken, list(seconds)


def collected(workers: int, max_epochs: int, space: SearchSpace, configs: int) -> tuple[float, list[float]]:
    """The same through ``collect``."""
    with tempfile.TemporaryDirectory() as folder:
        task = made_task()
        start = time.perf_counter()
        settings = settings_of(max_epochs)
        summary = collect([task], space, folder, settings, workers=workers)
        taken = time.perf_counter() - start
        if (summary.measured, summary.failed) != (configs, 0):
            raise SystemExit(f"collect measured {summary.measured} of {configs} cells, {summary.failed} failed")
        return taken, [cell["seconds"] for cell in read_cells(Path(folder), "made").values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cells", type=int, default=12, help="at most 12, a multiple of 4")
    parser.add_argument("--cell-seconds", type=float, default=12.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "collect_throughput.json")
    args = parser.parse_args()
    values = {**VALUES, "optimizer": VALUES["optimizer"][: max(1, args.cells // 4)]}
    space = SearchSpace.from_values(values, "throughput")
    configs = space.grid()
    torch.set_num_threads(1)
    trial = measure_cell(settings_of(3), made_task(), configs[0], 0)
    per_epoch = statistics.mean(trial["epoch_seconds"][1:])  # the first also decodes
    max_epochs = max(2, math.ceil(args.cell_seconds / per_epoch))
    print(f"{len(configs)} cells of {max_epochs} epochs, about {max_epochs * per_epoch:.0f} s each")
    bare_s, bare_cells = bare_loop(args.workers, max_epochs, configs)
    print(f"bare loop: {bare_s:.1f} s")
    collect_s, cells = collected(args.workers, max_epochs, space, len(configs))
    print(f"collect: {collect_s:.1f} s, ratio {bare_s / collect_s:.3f}")
    write_json(
        args.out,
        {
            **environment(),
            "workers": args.workers,
            "cells": len(configs),
            "epochs_a_cell": max_epochs,
            "ratio_to_bare_loop": round(bare_s / collect_s, 4),
            "cells_per_hour": round(3600 * len(configs) / collect_s, 1),
            "every_cell_longer_than_10_s": min(bare_cells + cells) > 10,
            "bare_loop_s": round(bare_s, 2),
            "collect_s": round(collect_s, 2),
            "cell_cpu_seconds": {
                name: {"median": round(statistics.median(s), 2), "min": min(s), "max": max(s)}
                for name, s in (("bare_loop", bare_cells), ("collect", cells))
            },
        },
    )


if __name__ == "__main__":
    main()
