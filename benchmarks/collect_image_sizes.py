"""Collects curves of ``cnn-from-scratch`` at 32, 64 and 128 pixels, for ``image_sizes.py``.

    python benchmarks/collect_image_sizes.py FOLDER --tasks-dir TASKS [--max-hours 2] [--workers 2]

The same random configurations are trained on four tasks at every size, and every fifth one with a second seed. They are
measured in blocks of ten, each on all tasks and at all sizes, so that what was reached is of use whenever it is
stopped. The same call goes on. FOLDER is a collection as in tables/collection.py, with two more entries for each cell:
``best_epoch``, that of the best accuracy on half A, and ``test_accuracy``, that of its weights on images held out.
"""

import argparse
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ConfigSpace.hyperparameters import OrdinalHyperparameter, UniformIntegerHyperparameter

from hyperstar_tune import ImageTask, SearchSpace
from hyperstar_tune.errors import HyperStarError, first_line
from hyperstar_tune.finetune import FineTune, FineTuneSettings
from hyperstar_tune.finetune.cells import failed_cell
from hyperstar_tune.finetune.wanted import WantedCell, pending_cells, task_row
from hyperstar_tune.search.parts import part_of
from hyperstar_tune.space import Config
from hyperstar_tune.tables.collection import Collection
from hyperstar_tune.tables.journal import Journal
from hyperstar_tune.tables.objectives import OBJECTIVES
from hyperstar_tune.tasks.sources import Joined, Subset
from hyperstar_tune.tasks.splits import by_class, shares

TASKS = ("neu_steel_surface", "brain_tumor_mri", "pacs_sketch", "corn_leaf_disease")
SIZES = (32, 64, 128)
MAX_EPOCHS, PATIENCE = 16, 5
N_TRAIN, N_VAL, N_TEST = 128, 200, 320  # images of a task
N_CONFIGS = 150
_BLOCK, _AGAIN = 10, 5  # configurations of a block; which of them have a second seed: every so many

_FIXED: Config = {"augmentation": "none"}  # of every training, as in the notes


def space() -> SearchSpace:
    """``cnn-from-scratch`` with small layers, so that two cores can measure it, and small batches for few images."""
    whole = SearchSpace.from_name("cnn-from-scratch")
    numbers = whole.configuration_space["n_conv"].sequence
    smaller = {"batch_size": OrdinalHyperparameter("batch_size", [8, 16, 32, 64])}
    for number in numbers:
        filters, size = f"filters_{number}", f"filter_size_{number}"
        smaller[filters] = UniformIntegerHyperparameter(filters, 4, 24, log=True)
        smaller[size] = OrdinalHyperparameter(size, [3, 5])
    return SearchSpace(part_of(whole, smaller).configuration_space, "cnn-from-scratch, small layers")


def sized_space() -> SearchSpace:
    """The space with the image size as a parameter."""
    sized = space().configuration_space
    sized.add(OrdinalHyperparameter("image_size", SIZES))
    return SearchSpace(sized, "cnn-from-scratch, small layers, image sizes")


def settings() -> FineTuneSettings:
    """Those of every training; the image size is in the configuration."""
    return FineTuneSettings(
        model="cnn-from-scratch", max_epochs=MAX_EPOCHS, schedule="constant", patience=PATIENCE, device="cpu"
    )


@dataclass(frozen=True)
class Splits:
    """A task of which few images are trained on, and more are held out."""

    task: ImageTask
    test: ImageTask  # its validation images are those held out


def splits(folder: Path, n_train: int = N_TRAIN, n_val: int = N_VAL, n_test: int = N_TEST) -> Splits:
    """Cuts training and validation images from those of a folder, stratified, seed 0; of the others some are tested."""
    whole = ImageTask.from_folder(folder)
    train, rest = _cut(whole, "train", n_train)
    val, val_rest = _cut(whole, "val", n_val)
    others = np.concatenate([rest, whole.n_train + val_rest])  # positions in both splits joined
    labels = np.concatenate([whole.train_labels, whole.val_labels])
    test = others[_stratified(labels[others], len(whole.classes), min(n_test, len(others)))[0]]
    sources = {s: Subset(whole.sources[s], places) for s, places in (("train", train), ("val", val))}
    held_out = Subset(Joined(whole.sources["train"], whole.sources["val"]), test)

    def task(val_source: Subset, val_labels: np.ndarray) -> ImageTask:
        own = {"train": whole.train_labels[train], "val": val_labels}
        return ImageTask(whole.name, whole.classes, {**sources, "val": val_source}, own, whole.location)

    return Splits(task(sources["val"], whole.val_labels[val]), task(held_out, labels[test]))


def _cut(task: ImageTask, split: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    return _stratified(task.labels(split), len(task.classes), n)


def _stratified(labels: np.ndarray, n_classes: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted positions of ``n`` images, of every class in proportion, and of the others."""
    members = by_class(labels, n_classes)
    taken = shares(np.array([len(m) for m in members]), n)
    rng = np.random.default_rng(0)
    chosen = np.sort(np.concatenate([rng.permutation(m)[:k] for m, k in zip(members, taken, strict=True)]))
    return chosen, np.setdiff1d(np.arange(len(labels)), chosen)


def cells() -> Iterator[WantedCell]:
    """All cells, block by block."""
    configs = space().sample(N_CONFIGS, 0)
    for first in range(0, N_CONFIGS, _BLOCK):
        for task in TASKS:
            for size in SIZES:
                for number in range(first, min(first + _BLOCK, N_CONFIGS)):
                    for seed in (0, 1) if number % _AGAIN == 0 else (0,):
                        yield task, {**configs[number], "image_size": size}, seed


def measure(tasks: Splits, config: Config, seed: int) -> dict[str, Any]:
    """Trains a cell until patience or epochs are used up; its line of the journal. Seconds are those of the core."""
    clock, cell = time.process_time, failed_cell(config, seed, None)
    start = clock()
    run = FineTune(tasks.task, {**config, **_FIXED}, settings(), seed=seed, clock=clock)
    best, best_epoch, weights = -math.inf, 0, run.trained_state()
    while run.epoch < MAX_EPOCHS and not run.stalled and not run.diverged:
        row = run.train_epoch()
        cell["epochs"].append(run.epoch)
        for name in OBJECTIVES:
            cell[name].append(round(row[name], 4) if math.isfinite(row[name]) else None)
        if row["val_accuracy"] > best:
            best, best_epoch, weights = row["val_accuracy"], run.epoch, run.trained_state()
    seconds = clock() - start
    tested = FineTune(tasks.test, {**config, **_FIXED}, settings(), seed=seed, validation="whole")
    tested.load_trained_state(weights)
    test = tested.evaluate()["val_accuracy"]
    more = {"best_epoch": best_epoch, "test_accuracy": round(test, 4) if math.isfinite(test) else None}
    return {**cell, **more, "device": run.device_name, "seconds": round(seconds, 3)}


_splits: dict[str, Splits] = {}  # of a process


def _begin(tasks_dir: Path) -> None:
    torch.set_num_threads(1)
    _splits.update({name: splits(tasks_dir / name) for name in TASKS})


def _measure(cell: WantedCell) -> tuple[WantedCell, dict[str, Any]]:
    task, config, seed = cell
    try:
        return cell, measure(_splits[task], config, seed)
    except HyperStarError as error:
        return cell, failed_cell(config, seed, first_line(error))


def collect(folder: Path, tasks_dir: Path, max_hours: float, workers: int) -> None:
    """Measures what is missing in the folder."""
    rows = []
    for name in TASKS:
        cut = splits(tasks_dir / name)
        rows.append({**task_row(cut.task, {}, {}), "n_test": cut.test.n_val})
    network = {"patience": PATIENCE, "epochs": MAX_EPOCHS, **_FIXED}
    wanted = Collection(settings().fingerprint(sized_space()), sized_space(), network, rows)
    end = time.monotonic() + 3600 * max_hours
    context = get_context("spawn")  # torch does not survive a fork
    with closing(Journal(folder, wanted)) as journal:
        finished = {name: journal.finished(name) for name in TASKS}
        todo = iter(pending_cells(list(cells()), finished))
        done = sum(map(len, finished.values()))
        total, said = sum(1 for _ in cells()), 0.0
        with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(tasks_dir,)) as pool:
            running = {pool.submit(_measure, cell) for cell in islice(todo, workers)}
            while running:
                ready = next(as_completed(running))
                running.remove(ready)
                (task, _, _), cell = ready.result()
                journal.append(task, cell)
                done += 1
                if time.monotonic() < end:
                    running |= {pool.submit(_measure, more) for more in islice(todo, 1)}
                if time.monotonic() > said + 60 or not running:
                    said = time.monotonic()
                    print(f"{time.strftime('%H:%M:%S')}  {done}/{total} cells  {task}", flush=True)


def main() -> None:
    """Collects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks-dir", type=Path, required=True)
    parser.add_argument("--max-hours", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    collect(args.folder, args.tasks_dir, args.max_hours, args.workers)


if __name__ == "__main__":
    main()
