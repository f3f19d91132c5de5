"""What a collection is to measure: tasks, configurations, seeds, and the order of the cells."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.finetune.expected import rough_cost
from hyperstar_tune.finetune.from_scratch import shape_knobs
from hyperstar_tune.finetune.knobs import check_config
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables.collection import IDENTITY, Collection
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["ORDERS", "Wanted", "WantedCell", "in_order", "pending_cells", "task_row", "wanted_cells"]

ORDERS = ("by-task", "cheap-first", "round-robin")
MAX_EPOCHS = 32
_PROTOCOL_EPOCHS = {  # measured epochs, by version of docs/protocol.md
    1: (1, 2, 3, 4, 6, 8, 9, 12, 16, 20, 24, 27, 32),  # every rung of eta 2, 3 and 4 up to R = 32
    2: (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32),  # of eta 2 and 4
}
_NOT_YET = {"error": "not measured"}

WantedCell = tuple[str, Config, int]  # task, configuration, seed


@dataclass(frozen=True)
class Wanted:
    """A collection that is to be measured."""

    tasks: list[ImageTask]
    settings: FineTuneSettings  # with max_epochs
    collection: Collection
    cells: list[WantedCell]  # in the order in which they are measured


def wanted_cells(
    tasks: Sequence[str | Path | ImageTask],
    space: SearchSpace | str,
    settings: FineTuneSettings,
    *,
    seeds: Sequence[int] = (0,),
    order: str = "by-task",
    families: Mapping[str, str] | None = None,
    licences: Mapping[str, str] | None = None,
) -> Wanted:
    """Checks the arguments of ``collect``, and reads the tasks."""
    space = SearchSpace.from_name(space) if isinstance(space, str) else space
    configs = space.grid()
    for config in configs:
        check_config(config, shape_knobs(settings.model))
    if order not in ORDERS:
        raise MetaDatasetError(f"an order is one of {', '.join(ORDERS)}, but got {order!r}")
    if not tasks or not seeds:
        raise MetaDatasetError(f"a collection needs tasks and seeds, but got {len(tasks)} tasks, {len(seeds)} seeds")
    settings = _whole(settings)
    settings.check_network({size for config in configs if (size := config.get("image_size"))})
    images = [ImageTask.of(task) for task in tasks]
    network = {**settings.normalization(), "kwargs": settings.model_kwargs, "epochs": settings.evaluate_at}
    rows = [task_row(task, families or {}, licences or {}) for task in images]
    collection = Collection(settings.fingerprint(space), space, json.loads(json.dumps(network)), rows)
    cells = in_order(images, configs, [int(seed) for seed in seeds], order, settings.max_epochs or MAX_EPOCHS)
    return Wanted(images, settings, collection, cells)


def pending_cells(
    cells: Sequence[WantedCell], finished: Mapping[str, Mapping[tuple[str, int], dict[str, Any]]]
) -> list[WantedCell]:
    """The cells that are not finished, or that failed, given the finished ones of each task."""
    return [
        (task, config, seed)
        for task, config, seed in cells
        if finished[task].get((config_key(config), seed), _NOT_YET)["error"] is not None
    ]


def in_order(
    tasks: Sequence[ImageTask], configs: Sequence[Config], seeds: Sequence[int], order: str, max_epochs: int
) -> list[WantedCell]:
    """All cells in the order that ``collect`` describes."""
    dear_first = sorted(configs, key=rough_cost, reverse=True)
    if order == "by-task":
        return [(task.name, config, seed) for task in tasks for seed in seeds for config in dear_first]
    if order == "cheap-first":
        small_first = sorted(tasks, key=lambda task: task.n_train * max_epochs + task.n_val)
        cheap_first = sorted(configs, key=rough_cost)
        return [(task.name, config, seed) for seed in seeds for task in small_first for config in cheap_first]
    shuffled = [configs[place] for place in np.random.default_rng(0).permutation(len(configs))]
    return [(task.name, config, seed) for seed in seeds for config in shuffled for task in tasks]


def _whole(settings: FineTuneSettings) -> FineTuneSettings:
    """Settings with the epochs of a cell and those at which it is measured."""
    last = settings.max_epochs or MAX_EPOCHS
    whole = replace(settings, max_epochs=last)
    asked = whole.evaluate_at or _PROTOCOL_EPOCHS[whole.protocol]
    return replace(whole, evaluate_at=(*(e for e in asked if e < last), last))


def task_row(task: ImageTask, families: Mapping[str, str], licences: Mapping[str, str]) -> dict[str, Any]:
    """What a table says of a task; the mappings are those of ``collect``."""
    own_family = "" if task.family == task.name.partition("@")[0] else task.family
    location = task.location if task.location.startswith("torchvision:") else Path(task.location).name
    return {
        "name": task.name,
        "family": families.get(task.name, families.get(task.family, own_family)),
        "location": location,  # never a path of this machine
        "classes": len(task.classes),
        "n_train": task.n_train,
        "n_val": task.n_val,
        "licence": licences.get(task.name, licences.get(task.family, "")),
        "image_hash": task.sample_hash(),
        IDENTITY: task.identity(),
    }
