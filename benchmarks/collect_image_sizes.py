"""Collects curves at growing image sizes, for ``image_sizes.py``: of a network from scratch, and of fine-tuning.

    python benchmarks/collect_image_sizes.py PART FOLDER --tasks-dir TASKS [--max-hours 2] [--workers 2]

PART is a name of ``PARTS``. The same random configurations are trained on its tasks at every size, and some with a
second seed. They are measured in blocks of ten, each on all tasks and at all sizes, so that what was reached is of use
whenever it is stopped. The same call goes on. FOLDER is a collection as in tables/collection.py, with two more entries
for each cell: ``best_epoch``, that of the best accuracy on half A, and ``test_accuracy``, that of its weights on images
held out.
"""

import argparse
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    OrdinalHyperparameter,
    UniformIntegerHyperparameter,
)

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

N_TRAIN, N_VAL, N_TEST = 128, 200, 320  # images of a task
_BLOCK = 10  # configurations


@dataclass(frozen=True)
class Part:
    """What is measured of one network."""

    configuration_space: ConfigurationSpace  # without the image size
    settings: FineTuneSettings
    tasks: tuple[str, ...]
    sizes: tuple[int, ...]  # pixels
    n_configs: int
    again: int  # one configuration in so many has a second seed
    fixed: Config = field(default_factory=dict)  # of every training, beside its configuration

    @property
    def space(self) -> SearchSpace:
        """What is searched at one size."""
        return SearchSpace(self.configuration_space)

    @cached_property
    def sized_space(self) -> SearchSpace:
        """The space with the image size as a parameter."""
        sized = SearchSpace.from_json(self.space.to_json()).configuration_space
        sized.add(OrdinalHyperparameter("image_size", self.sizes))
        return SearchSpace(sized, f"{self.space.name}, image sizes")

    def collection(self, rows: list[dict[str, Any]]) -> Collection:
        """What ``collection.json`` says, given what it says of the tasks."""
        network = {"patience": self.settings.patience, "epochs": self.settings.max_epochs, **self.fixed}
        return Collection(self.settings.fingerprint(self.sized_space), self.sized_space, network, rows)

    def cells(self) -> Iterator[WantedCell]:
        """All cells, block by block; each configuration has its image size."""
        configs = list(enumerate(self.space.sample(self.n_configs, 0)))
        for first in range(0, self.n_configs, _BLOCK):
            for task in self.tasks:
                for size in self.sizes:
                    for number, config in configs[first : first + _BLOCK]:
                        for seed in (0, 1) if number % self.again == 0 else (0,):
                            yield task, {**config, "image_size": size}, seed


def _small_layers() -> ConfigurationSpace:
    """``cnn-from-scratch`` with small layers, so that two cores can measure it, and small batches for few images."""
    whole = SearchSpace.from_name("cnn-from-scratch")
    smaller = {"batch_size": OrdinalHyperparameter("batch_size", [8, 16, 32, 64])}
    for number in whole.configuration_space["n_conv"].sequence:
        filters, size = f"filters_{number}", f"filter_size_{number}"
        smaller[filters] = UniformIntegerHyperparameter(filters, 4, 24, log=True)
        smaller[size] = OrdinalHyperparameter(size, [3, 5])
    return _named(part_of(whole, smaller), "cnn-from-scratch, small layers")


def _more_than_the_head() -> ConfigurationSpace:
    """The space ``mobilenet-v2`` without configurations that train the head alone."""
    layers = CategoricalHyperparameter("layers", ["last_stage", "all"])
    return _named(
        part_of(SearchSpace.from_name("mobilenet-v2"), {"layers": layers}), "mobilenet-v2, more than the head"
    )


def _named(space: SearchSpace, name: str) -> ConfigurationSpace:
    space.configuration_space.name = name
    return space.configuration_space


PARTS = {
    "from-scratch": Part(
        _small_layers(),
        FineTuneSettings(model="cnn-from-scratch", max_epochs=16, schedule="constant", patience=5, device="cpu"),
        ("neu_steel_surface", "brain_tumor_mri", "pacs_sketch", "corn_leaf_disease"),
        (32, 64, 128),
        150,
        5,
        {"augmentation": "none"},  # as in the notes
    ),
    "fine-tuning": Part(
        _more_than_the_head(),
        FineTuneSettings(model="tf_efficientnet_lite0", weights="package", max_epochs=8, device="cpu"),
        ("brain_tumor_mri", "pacs_sketch"),
        (32, 64, 96),
        24,
        4,
    ),
}


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


def measure(part: Part, tasks: Splits, config: Config, seed: int) -> dict[str, Any]:
    """Trains a cell until patience or epochs are used up; its line of the journal. Seconds are those of the core."""
    clock, cell = time.process_time, failed_cell(config, seed, None)
    whole, settings = {**config, **part.fixed}, part.settings
    start = clock()
    run = FineTune(tasks.task, whole, settings, seed=seed, clock=clock)
    best, best_epoch, weights = -math.inf, 0, run.trained_state()
    while run.epoch < settings.max_epochs and not run.stalled and not run.diverged:
        row = run.train_epoch()
        cell["epochs"].append(run.epoch)
        for name in OBJECTIVES:
            cell[name].append(round(row[name], 4) if math.isfinite(row[name]) else None)
        if row["val_accuracy"] > best:
            best, best_epoch, weights = row["val_accuracy"], run.epoch, run.trained_state()
    seconds = clock() - start
    tested = FineTune(tasks.test, whole, settings, seed=seed, validation="whole")
    tested.load_trained_state(weights)
    test = tested.evaluate()["val_accuracy"]
    more = {"best_epoch": best_epoch, "test_accuracy": round(test, 4) if math.isfinite(test) else None}
    return {**cell, **more, "device": run.device_name, "seconds": round(seconds, 3)}


_splits: dict[str, Splits] = {}  # of a process


def _begin(part: str, tasks_dir: Path) -> None:
    torch.set_num_threads(1)
    _splits.update({name: splits(tasks_dir / name) for name in PARTS[part].tasks})


def _measure(part: str, cell: WantedCell) -> tuple[str, dict[str, Any]]:
    task, config, seed = cell
    try:
        return task, measure(PARTS[part], _splits[task], config, seed)
    except HyperStarError as error:
        return task, failed_cell(config, seed, first_line(error))


def collect(name: str, folder: Path, tasks_dir: Path, max_hours: float, workers: int) -> None:
    """Measures what is missing in the folder."""
    part, rows = PARTS[name], []
    for task in part.tasks:
        cut = splits(tasks_dir / task)
        rows.append({**task_row(cut.task, {}, {}), "n_test": cut.test.n_val})
    end, context = time.monotonic() + 3600 * max_hours, get_context("spawn")  # torch does not survive a fork
    with closing(Journal(folder, part.collection(rows))) as journal:
        wanted = list(part.cells())
        pending = pending_cells(wanted, {task: journal.finished(task) for task in part.tasks})
        todo, done, said = map(partial(partial, _measure, name), pending), len(wanted) - len(pending), 0.0
        with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(name, tasks_dir)) as pool:
            running = {pool.submit(cell) for cell in islice(todo, workers)}
            while running:
                ready = next(as_completed(running))
                running.remove(ready)
                task, cell = ready.result()
                journal.append(task, cell)
                done += 1
                if time.monotonic() < end:
                    running |= {pool.submit(cell) for cell in islice(todo, 1)}
                if time.monotonic() > said + 60 or not running:
                    said = time.monotonic()
                    print(f"{time.strftime('%H:%M:%S')}  {done}/{len(wanted)} cells  {task}", flush=True)


def main() -> None:
    """Collects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks-dir", type=Path, required=True)
    parser.add_argument("--max-hours", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    collect(args.part, args.folder, args.tasks_dir, args.max_hours, args.workers)


if __name__ == "__main__":
    main()
