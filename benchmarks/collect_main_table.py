"""Measures the main table of docs/protocol.md: mobilenetv2_100 at 64 px, 108 configurations, up to 32 epochs.

    python benchmarks/collect_main_table.py --tasks-dir TASKS --weights FILE --out runs/mobilenet-v2-64px

TASKS holds ImageFolder directories and a ``tasks.json`` with their licences. A call goes on where the last one stopped.
It measures first all small sub-tasks, one per family, then the large ones, then the parents. This measures more seeds
of some of them:

    python benchmarks/collect_main_table.py ... --only cifar10@small pacs_sketch@small --seeds 0 1 2
"""

import argparse
import json
from functools import partial
from pathlib import Path

from hyperstar_tune.errors import TaskError
from hyperstar_tune.finetune.collect import collect
from hyperstar_tune.tasks.task import ImageTask

# First one task per family, development and test families mixed; then the second members of families.
# fmt: off
ORDER = (
    "cifar10", "trashnet", "dtd_textures10", "sign_digits", "brain_tumor_mri", "scene15", "pacs_sketch",
    "neu_steel_surface", "flowers5", "gtsrb_signs", "caltech101_objects", "retina_eye_disease4", "aid_aerial30",
    "grocery_fruit_veg", "arabic_handwritten_chars", "cats_dogs", "car_vs_bike", "chestxray_pneumonia3",
    "corn_leaf_disease", "math_symbols_bhmsds", "breast_ultrasound_busi", "ants_bees", "houseplants3",
    "plane_vs_ship", "brick_wall_crack", "rice_leaf_disease", "wbc_blood_cells4", "car_brand_logos20", "pacs_photo",
    "pacs_cartoon", "pacs_art_painting", "caltech101_animals", "potato_blight2", "chestxray_covid3",
)
# fmt: on
FAMILIES = {
    **dict.fromkeys(("pacs_art_painting", "pacs_cartoon", "pacs_photo", "pacs_sketch"), "pacs"),
    **dict.fromkeys(("caltech101_animals", "caltech101_objects"), "caltech101"),
    **dict.fromkeys(("corn_leaf_disease", "potato_blight2"), "plantvillage"),
    **dict.fromkeys(("chestxray_covid3", "chestxray_pneumonia3"), "chestxray"),
}


def tasks_in_order(folder: Path) -> list[ImageTask]:
    """Small sub-tasks, large sub-tasks, parents; a task too small for a kind is left out there."""
    parents = [ImageTask.from_folder(folder / name) for name in ORDER]
    tasks = []
    for kind in ("small", "large"):
        for parent in parents:
            try:
                tasks.append(parent.sub_task(kind))
            except TaskError as error:
                print(f"left out: {error}")
    return tasks + parents


def main() -> None:
    """Collects until everything is measured or the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks-dir", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="safetensors of timm's mobilenetv2_100")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", help="names of tasks; all when left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max-hours", type=float)
    args = parser.parse_args()
    table = json.loads((args.tasks_dir / "tasks.json").read_text())
    tasks = tasks_in_order(args.tasks_dir)
    if args.only:
        unknown = set(args.only) - {task.name for task in tasks}
        if unknown:
            parser.error(f"--only takes names of tasks of the table, but got {', '.join(sorted(unknown))}")
        tasks = [task for task in tasks if task.name in args.only]
    summary = collect(
        tasks,
        "mobilenet-v2",
        args.out,
        model="mobilenetv2_100",
        weights=args.weights,
        seeds=args.seeds,
        image_size=64,
        max_epochs=32,
        schedule="constant",
        max_hours=args.max_hours,
        workers=args.workers,
        nice=19,
        families=FAMILIES,
        licences={row["name"]: row["licence"] for row in table},
        mean=(0.5, 0.5, 0.5),  # this file's weights were trained on RGB / 127.5 - 1 ...
        std=(0.5, 0.5, 0.5),
        model_kwargs={"pad_type": "same"},  # ... with TensorFlow's padding
        progress=partial(print, flush=True),
    )
    print(summary)


if __name__ == "__main__":
    main()
