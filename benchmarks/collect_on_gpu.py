"""Measures tables of docs/protocol.md on a GPU, hundreds of cells a minute, also where nothing can be installed.

    python benchmarks/collect_on_gpu.py pack BUNDLE --tasks-dir TASKS [--tables efficientnet-lite0 ...] [--tasks ...]
    python benchmarks/collect_on_gpu.py train BUNDLE --out CELLS [--processes 15] [--lanes 4] [--seconds 500]
    python benchmarks/collect_on_gpu.py add CELLS --tasks-dir TASKS

``pack`` copies the images that some tasks need into a folder, with what is to be trained on them. ``train`` needs
PyTorch, timm and a GPU, but neither Ray nor the other images; it goes on where it stopped. ``add`` puts what was
measured into the collections in ``benchmarks/metadata``. Seconds of an epoch are not measured: cells that share a GPU
tell nothing of what one costs alone, so ``add`` gives them those of like cells that a CPU trained, or null.
"""

import argparse
import gc
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from graphed import GraphedCell, Images, Lane
from like_cells import SecondsOfLikeCells

from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.tasks.sources import Files
from hyperstar_tune.tasks.task import SPLITS, ImageTask

METADATA = Path(__file__).resolve().parent / "metadata"
EPOCHS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32)
TABLES = ("efficientnet-lite0", "efficientnet-lite0-by-hand")
SETTINGS = {"image_size": 64, "max_epochs": EPOCHS[-1], "evaluate_at": EPOCHS}


def pack(bundle: Path, tasks_dir: Path, tables: list[str], names: list[str], seeds: list[int]) -> None:
    """Copies images and writes ``bundle.json``: tasks, and units of work (a task, an image size, configurations)."""
    from collect_table import TABLES as KNOWN
    from collect_table import tasks_in_order

    units: dict[tuple[str, int, int], list[Any]] = {}
    tasks: dict[str, Any] = {}
    for table in tables:
        known = KNOWN[table]
        for task in tasks_in_order(known, tasks_dir):
            if names and task.name not in names:
                continue
            if task.name not in tasks:
                tasks[task.name] = _packed(task, tasks_dir, bundle)
            for seed in seeds:
                for config in known.space.grid():
                    units.setdefault((task.name, seed, config["image_size"]), []).append([table, config])
    if names:
        units = dict(sorted(units.items(), key=lambda unit: (unit[0][1], names.index(unit[0][0]), -unit[0][2])))
    settings = {table: KNOWN[table].settings for table in tables}
    bundle.mkdir(parents=True, exist_ok=True)
    listed = [{"task": task, "seed": seed, "size": size, "cells": cells} for (task, seed, size), cells in units.items()]
    (bundle / "bundle.json").write_text(json.dumps({"tasks": tasks, "settings": settings, "units": listed}))
    print(f"{len(tasks)} tasks, {sum(len(unit['cells']) for unit in listed)} cells")


def _packed(task: ImageTask, tasks_dir: Path, bundle: Path) -> dict[str, Any]:
    about: dict[str, Any] = {"classes": list(task.classes), "location": task.name.partition("@")[0]}
    for split in SPLITS:
        paths = [Path(task.sources[split].name(i)) for i in range(len(task.labels(split)))]
        inside = [str(path.relative_to(tasks_dir)) for path in paths]
        for path, name in zip(paths, inside, strict=True):
            target = bundle / "images" / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        about[split] = {"files": inside, "labels": task.labels(split).tolist()}
    return about


def _unpacked(name: str, about: dict[str, Any], bundle: Path) -> ImageTask:
    root = (bundle / "images").absolute()
    sources = {split: Files([root / file for file in about[split]["files"]], root, None) for split in SPLITS}
    labels = {split: np.array(about[split]["labels"]) for split in SPLITS}
    return ImageTask(name, about["classes"], sources, labels, about["location"])


_END = object()
_worker: dict[str, Any] = {}


def _begin(out: Path, weights: str, n_lanes: int, ends: float, device: str, exact: bool) -> None:
    """Prepares a process."""
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = not exact
    gc.disable()  # whatever is freed while a graph is recorded would spoil it
    there = torch.device(device)
    lanes: list[Lane] = []
    with suppress(RuntimeError):  # a GPU that many processes share has so many streams and no more
        while len(lanes) < n_lanes:
            lanes.append(Lane.on(there))
    _worker.update(
        weights=weights,
        file=out / f"cells-{os.getpid()}.jsonl",
        lanes=lanes,
        ends=ends,
        device=there,
        cache=TensorCache(),
        warm=set(),
    )


def _train(unit: dict[str, Any]) -> tuple[int, float, str]:
    """Trains the cells of a unit on the lanes of this process; tells how many, in how many seconds, and errors."""
    began = time.monotonic()
    if time.time() > _worker["ends"]:
        return 0, 0.0, ""
    device, bundle = _worker["device"], Path(unit["bundle"])
    name = device.type if device.type == "cpu" else torch.cuda.get_device_name(device)
    settings = FineTuneSettings(
        weights=_worker["weights"], device=str(device), **{**SETTINGS, **unit["settings"], "image_size": unit["size"]}
    )
    free = list(_worker["lanes"])
    running: list[tuple[Lane, dict[str, Any], GraphedCell, Iterator[None]]] = []
    done, error = 0, ""

    def advance() -> None:
        """One step of every running cell; those that are through are written down and make place."""
        nonlocal done
        for entry in list(running):
            lane, row, cell, steps = entry
            with torch.cuda.stream(lane.stream):  # None: nothing changes
                if next(steps, _END) is not _END:
                    continue
            if lane.stream is not None:
                lane.stream.synchronize()
            row |= {"epochs": list(EPOCHS), **cell.result(), "epoch_seconds": [None] * len(EPOCHS)}
            with _worker["file"].open("a") as file:
                file.write(json.dumps(row | {"device": name, "seconds": 0.0, "error": None}) + "\n")
            cell.close()
            running.remove(entry)
            free.append(lane)
            done += 1

    try:
        images = Images(_unpacked(unit["task"], unit["about"], bundle), settings, unit["seed"], device)
        for table, config in unit["cells"]:
            while not free:
                advance()
            if time.time() > _worker["ends"]:
                break
            lane = free.pop()
            with torch.cuda.stream(lane.stream):
                cell = GraphedCell(images, config, settings, lane, _worker["cache"], _worker["warm"])
            row = {"table": table, "task": unit["task"], "config": config, "seed": unit["seed"]}
            running.append((lane, row, cell, cell.steps()))
        while running:
            advance()
    except Exception as caught:
        import traceback

        error = f"{unit['task']}: {caught!r} {traceback.format_exc()[-600:]}"
    if device.type == "cuda":
        torch.cuda.synchronize()
    for _, _, cell, _ in running:
        cell.close()
    running.clear()
    gc.collect()
    return done, time.monotonic() - began, error


def train(
    bundles: list[Path],
    out: Path,
    weights: str,
    n_processes: int,
    n_lanes: int,
    seconds: float,
    device: str,
    exact: bool,
) -> None:
    """Trains what is in the bundles and not in ``out`` yet. A bundle that is not there yet is waited for."""
    out.mkdir(parents=True, exist_ok=True)
    finished = {_key(cell) for path in out.glob("cells-*.jsonl") for cell in map(json.loads, path.open())}
    began, total = time.time(), 0
    setup = (out, weights, n_lanes, began + seconds, device, exact)
    with get_context("spawn").Pool(n_processes, _begin, setup) as pool:
        units = _units(bundles, finished, began + seconds)
        for number, (done, took, error) in enumerate(pool.imap_unordered(_train, units), 1):
            total += done
            if done or error:
                print(
                    f"{time.time() - began:6.1f} s  unit {number}  {total} cells ({done} in {took:.1f} s) {error}",
                    flush=True,
                )


def _units(bundles: list[Path], finished: set[Any], ends: float) -> Iterator[dict[str, Any]]:
    """The units of each bundle with all that a process must know."""
    for bundle in bundles:
        while not (bundle / "bundle.json").exists():
            if time.time() > ends:
                return
            time.sleep(1)
        about = json.loads((bundle / "bundle.json").read_text())
        (settings,) = {json.dumps(given): given for given in about["settings"].values()}.values()
        for unit in about["units"]:
            cells = [
                (table, config)
                for table, config in unit["cells"]
                if _key({**unit, "table": table, "config": config}) not in finished
            ]
            if cells:
                more = {"bundle": str(bundle), "about": about["tasks"][unit["task"]], "settings": settings}
                yield {**unit, **more, "cells": cells}


def _key(cell: dict[str, Any]) -> tuple[str, str, int, str]:
    return cell["table"], cell["task"], cell["seed"], json.dumps(cell["config"], sort_keys=True)


def add(cells: Path, tasks_dir: Path) -> None:
    """Puts measured cells into the collections that ``collect_table.py`` begins or goes on with."""
    from collect_table import FAMILIES, tasks_in_order
    from collect_table import TABLES as KNOWN

    from hyperstar_tune.finetune.wanted import wanted_cells
    from hyperstar_tune.space import config_key
    from hyperstar_tune.tables.collection import Collection
    from hyperstar_tune.tables.journal import Journal

    found = [cell for path in sorted(cells.glob("cells-*.jsonl")) for cell in map(json.loads, path.open())]
    licences = {row["name"]: row["licence"] for row in json.loads((tasks_dir / "tasks.json").read_text())}
    for table in sorted({cell["table"] for cell in found}):
        known = KNOWN[table]
        mine = [cell for cell in found if cell["table"] == table]
        tasks = [task for task in tasks_in_order(known, tasks_dir) if task.name in {cell["task"] for cell in mine}]
        settings = FineTuneSettings(weights="package", **SETTINGS, **known.settings)
        wanted = wanted_cells(tasks, known.space, settings, families=FAMILIES, licences=licences)
        n_added = 0
        with closing(Journal(METADATA / f"{table}.collection", wanted.collection)) as journal:
            sizes = {row["name"]: (row["n_train"], row["n_val"]) for row in Collection.read(journal.directory).tasks}
            finished = {name: journal.finished(name) for name in sizes}
            on_cpu = [(name, c) for name, done in finished.items() for c in done.values() if c["device"] == "cpu"]
            like = SecondsOfLikeCells(sizes, on_cpu)
            there = {name: set(done) for name, done in finished.items()}
            for cell in mine:
                key = config_key(cell["config"]), cell["seed"]
                if key not in there[cell["task"]]:
                    there[cell["task"]].add(key)
                    cell["epoch_seconds"] = like.of(cell["task"], cell["config"], cell["epochs"])
                    journal.append(cell["task"], {k: v for k, v in cell.items() if k not in ("table", "task")})
                    n_added += 1
        print(f"{table}: {n_added} of {len(mine)} cells are new")


def main() -> None:
    """Packs, trains or adds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack")
    packing.add_argument("bundle", type=Path)
    packing.add_argument("--tasks-dir", type=Path, required=True)
    packing.add_argument("--tables", nargs="+", default=list(TABLES))
    packing.add_argument("--tasks", nargs="+", default=[])
    packing.add_argument("--seeds", nargs="+", type=int, default=[0])
    training = verbs.add_parser("train")
    training.add_argument("bundles", type=Path, nargs="+", help="those that are not there yet are waited for")
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--weights", default="package", help="'package', or a local file of the same weights")
    training.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    training.add_argument("--lanes", type=int, default=4)
    training.add_argument("--seconds", type=float, default=math.inf)
    training.add_argument("--device", default="cuda")
    training.add_argument("--exact", action="store_true", help="single precision in convolutions too, not TF32")
    adding = verbs.add_parser("add")
    adding.add_argument("cells", type=Path)
    adding.add_argument("--tasks-dir", type=Path, required=True)
    args = vars(parser.parse_args())
    verb = args.pop("verb")
    if verb == "pack":
        pack(args["bundle"], args["tasks_dir"], args["tables"], args["tasks"], args["seeds"])
    elif verb == "train":
        names = ("bundles", "out", "weights", "processes", "lanes", "seconds", "device", "exact")
        train(*(args[name] for name in names))
    else:
        add(args["cells"], args["tasks_dir"])


if __name__ == "__main__":
    main()
