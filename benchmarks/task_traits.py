"""Computes the traits that HyperSTAR+ looks at, and mean image embeddings, of all tasks; no pixel is kept.

    python benchmarks/task_traits.py --tasks FOLDER_OF_TASKS

FOLDER_OF_TASKS holds image folders as in docs/tasks.md. The files get each whole task, its two sub-tasks of the
protocol if it is large enough, and the first table's NAME@100. Tasks that the files hold already are computed again
only with --again, for when traits or images have changed.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scoreboard.more_traits import ALL_TRAITS

from hyperstar_tune.errors import TaskError
from hyperstar_tune.predictor.backbone import Backbone, make_pool
from hyperstar_tune.predictor.traits import traits_of
from hyperstar_tune.tasks.task import SUB_TASKS, ImageTask

METADATA = Path(__file__).resolve().parent / "metadata"
TRAITS_FILE = METADATA / "task_traits.parquet"
EMBEDDINGS_FILE = METADATA / "task_embeddings.parquet"


def main() -> None:
    """Goes through the folder and writes both files after each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=Path, required=True, help="folder of image folders")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--again", action="store_true", help="compute what the files hold too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    backbone = Backbone("none").fused()
    rows: dict[Path, dict[str, np.ndarray]] = {TRAITS_FILE: {}, EMBEDDINGS_FILE: {}}
    for path, known in rows.items():
        if path.exists() and not arguments.again:
            frame = pd.read_parquet(path)
            if path == EMBEDDINGS_FILE or list(frame) == list(ALL_TRAITS):
                known.update(dict(zip(frame.index, frame.to_numpy(), strict=True)))
    started = time.perf_counter()
    for folder in sorted(path for path in arguments.tasks.iterdir() if path.is_dir()):
        for task in versions(ImageTask.from_folder(folder, name=folder.name)):
            if task.name in rows[TRAITS_FILE] and task.name in rows[EMBEDDINGS_FILE]:
                continue
            rows[TRAITS_FILE][task.name] = traits_of(task, arguments.image_size, ALL_TRAITS)
            if task.name not in rows[EMBEDDINGS_FILE]:
                pool = make_pool(task, backbone, arguments.image_size, 640, 0)
                rows[EMBEDDINGS_FILE][task.name] = pool.cached.mean(dim=0).numpy().astype(np.float16)
            print(f"{task.name}: {time.perf_counter() - started:.0f} s", flush=True)
        _save(rows[TRAITS_FILE], TRAITS_FILE, list(ALL_TRAITS))
        width = Backbone.n_features
        _save(rows[EMBEDDINGS_FILE], EMBEDDINGS_FILE, [f"feature_{place}" for place in range(width)])


def versions(parent: ImageTask) -> Iterator[ImageTask]:
    """The task and its smaller versions."""
    yield parent
    for kind in SUB_TASKS:
        try:
            yield parent.sub_task(kind)
        except TaskError:
            continue


def _save(rows: dict[str, np.ndarray], path: Path, columns: list[str]) -> None:
    frame = pd.DataFrame(np.stack(list(rows.values())), pd.Index(list(rows), name="name"), columns)
    frame.sort_index().to_parquet(path, compression="zstd")


if __name__ == "__main__":
    main()
