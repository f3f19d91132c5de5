"""Measures the tables of docs/protocol.md, on whatever time there is.

    python benchmarks/collect_table.py TABLE --tasks-dir TASKS [--weights FILE] [--out FOLDER] [--max-hours 2]

TABLE is a name of ``TABLES`` below. TASKS holds the image folders of docs/tasks.md and a ``tasks.json`` with their
licences. A table goes on where it was stopped, in the order given here. Further seeds of some of its tasks:

    python benchmarks/collect_table.py TABLE ... --only cifar10@small pacs_sketch@small --seeds 0 1 2
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from _common import ROOT
from ConfigSpace import ConfigurationSpace
from scoreboard.by_hand import BY_HAND

from hyperstar_tune.errors import TaskError
from hyperstar_tune.finetune import FineTuneSettings, collect
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tasks import ImageTask

# fmt: off
# One task of each family first, development and test families mixed; then the second members of families.
PROTOCOL_1 = (
    "cifar10", "trashnet", "dtd_textures10", "sign_digits", "brain_tumor_mri", "scene15", "pacs_sketch",
    "neu_steel_surface", "flowers5", "gtsrb_signs", "caltech101_objects", "retina_eye_disease4", "aid_aerial30",
    "grocery_fruit_veg", "arabic_handwritten_chars", "cats_dogs", "car_vs_bike", "chestxray_pneumonia3",
    "corn_leaf_disease", "math_symbols_bhmsds", "breast_ultrasound_busi", "ants_bees", "houseplants3",
    "plane_vs_ship", "brick_wall_crack", "rice_leaf_disease", "wbc_blood_cells4", "car_brand_logos20", "pacs_photo",
    "pacs_cartoon", "pacs_art_painting", "caltech101_animals", "potato_blight2", "chestxray_covid3",
)
# Six domains on which it was first seen whether the space of protocol 2 has room.
PILOT = ("ants_bees", "aid_aerial30", "wbc_blood_cells4", "dtd_textures10", "gtsrb_signs", "arabic_handwritten_chars")
# What came with protocol 2: new development families, then its test families.
NEWER = (
    "bee_pollen", "euro_coins8", "pokemon5", "playing_cards_rank13", "bird_groups18", "ecg_beats", "devanagari20",
    "font10", "arch_style3", "fruit_fresh_rotten", "banknotes_inr7", "recaptcha_street6", "plant_seedlings12",
    "elpv_solar_cells", "canteen_food16", "gtzan_spectrograms10", "leeds_butterflies10", "vehicle_cctv6",
    "captcha_letters25", "chinese_painting_ming_song",
)
# Small tasks of unlike domains, on which networks and schedules are compared.
COMPARED = (
    "rice_leaf_disease", "aid_aerial30", "ants_bees", "gtsrb_signs", "brick_wall_crack", "plane_vs_ship", "cifar10",
    "breast_ultrasound_busi", "neu_steel_surface", "grocery_fruit_veg",
)
# fmt: on
PROTOCOL_2 = (*PILOT, *NEWER, *(name for name in PROTOCOL_1 if name not in PILOT))
FAMILIES = {
    **dict.fromkeys(("pacs_art_painting", "pacs_cartoon", "pacs_photo", "pacs_sketch"), "pacs"),
    **dict.fromkeys(("caltech101_animals", "caltech101_objects"), "caltech101"),
    **dict.fromkeys(("corn_leaf_disease", "potato_blight2"), "plantvillage"),
    **dict.fromkeys(("chestxray_covid3", "chestxray_pneumonia3"), "chestxray"),
    "recaptcha_street6": "car_vs_bike",
}
_INCEPTION = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # these weights were trained on RGB / 127.5 - 1
_MOBILENET = {"model": "mobilenetv2_100", **_INCEPTION, "model_kwargs": {"pad_type": "same"}}  # TensorFlow's padding
LITE0 = {"model": "tf_efficientnet_lite0", **_INCEPTION}


def listed(configs: Sequence[Config], name: str) -> SearchSpace:
    """Some configurations as a space that holds no others."""
    values = {parameter: [config[parameter] for config in configs] for parameter in configs[0]}
    return SearchSpace(
        ConfigurationSpace({parameter: sorted(set(found)) for parameter, found in values.items()}), name, configs
    )


def thirty_of(name: str) -> SearchSpace:
    """Thirty configurations of a named grid, in an order that has nothing to do with their parameters."""
    grid = SearchSpace.from_name(name).grid()
    shuffled = sorted(grid, key=lambda config: hashlib.sha256(config_key(config).encode()).hexdigest())
    return listed(shuffled[:30], f"thirty of {name}")


@dataclass(frozen=True)
class Collected:
    """How a table is measured."""

    space: SearchSpace
    tasks: tuple[str, ...]
    settings: dict[str, Any]  # fields of FineTuneSettings
    kinds: tuple[str, ...] = ("small", "large", "")  # of sub-tasks, in this order; "": the parents
    whole_up_to: int = 0  # training images up to which a task takes the place of its small sub-task


TABLES = {
    "mobilenet-v2-64px": Collected(
        SearchSpace.from_name("mobilenet-v2"), PROTOCOL_1, {**_MOBILENET, "schedule": "constant"}
    ),
    "efficientnet-lite0": Collected(
        SearchSpace.from_name("efficientnet-lite0"),
        PROTOCOL_2,
        {**LITE0, "schedule": "settle"},
        ("small", "large"),
        160,
    ),
    "efficientnet-lite0-by-hand": Collected(
        listed(list(BY_HAND.values()), "by hand"), PROTOCOL_2, {**LITE0, "schedule": "settle"}, ("small", "large"), 160
    ),
    "efficientnet-lite0-64px": Collected(  # the grid of protocol 1 on another network
        SearchSpace.from_name("mobilenet-v2"), COMPARED, {**LITE0, "schedule": "constant"}, ("small",)
    ),
    "mobilenet-v2-64px-settled": Collected(  # a part of the grid of protocol 1 with another schedule
        thirty_of("mobilenet-v2"), COMPARED, {**_MOBILENET, "schedule": "settle"}, ("small",)
    ),
}


def tasks_in_order(table: Collected, folder: Path) -> list[ImageTask]:
    """One kind of sub-task after the other; a task that is too small for a kind is left out there."""
    parents = [ImageTask.from_folder(folder / name, name=name) for name in table.tasks]
    tasks = []
    for kind in table.kinds:
        for parent in parents:
            is_whole = not kind or (kind == "small" and parent.n_train <= table.whole_up_to)
            try:
                tasks.append(parent if is_whole else parent.sub_task(kind))
            except TaskError as error:
                print(f"left out: {error}")
    return tasks


def main() -> None:
    """Collects until everything is measured or the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--tasks-dir", type=Path, required=True)
    parser.add_argument("--weights", default="package", help="'package', or a local safetensors file")
    parser.add_argument("--out", type=Path, help="default: benchmarks/metadata/TABLE.collection")
    parser.add_argument("--only", nargs="+", help="names of tasks; all when left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--order", default="by-task", help="of the cells, as hyperstar collect has it")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max-hours", type=float)
    args = parser.parse_args()
    table = TABLES[args.table]
    about = json.loads((args.tasks_dir / "tasks.json").read_text())
    tasks = tasks_in_order(table, args.tasks_dir)
    if args.only:
        unknown = set(args.only) - {task.name for task in tasks}
        if unknown:
            parser.error(f"--only takes names of tasks of the table, but got {', '.join(sorted(unknown))}")
        tasks = [task for task in tasks if task.name in args.only]
    summary = collect(
        tasks,
        table.space,
        args.out or ROOT / "metadata" / f"{args.table}.collection",
        settings=FineTuneSettings(weights=args.weights, image_size=64, max_epochs=32, **table.settings),
        seeds=args.seeds,
        order=args.order,
        max_hours=args.max_hours,
        workers=args.workers,
        nice=19,
        families=FAMILIES,
        licences={row["name"]: row["licence"] for row in about},
        progress=partial(print, flush=True),
    )
    print(summary)


if __name__ == "__main__":
    main()
