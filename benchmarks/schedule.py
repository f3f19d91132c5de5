"""What a schedule of the learning rate is worth: constant, cosine, and settling over the last part of R.

    python benchmarks/schedule.py --tasks-dir TASKS [--workers 2] [--max-hours 2]  # measures; goes on where it stopped
    python benchmarks/schedule.py                                                  # judges what was measured

Four configurations that people really type are trained on small sub-tasks with each schedule. A settled run is judged
by its last epoch; a constant one by its last epoch, and by its best epoch, chosen on the other half of the validation
images.
Writes ``benchmarks/results/schedule.json``. TASKS holds the image folders of docs/tasks.md.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from _common import ROOT, environment, write_json
from collect_table import LITE0, listed

from hyperstar_tune.comparison.statistics import bootstrap_mean
from hyperstar_tune.finetune import FineTuneSettings, collect
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tables import MetaDataset
from hyperstar_tune.tasks import ImageTask

CURVES = ROOT / "metadata" / "schedule.collections"
RESULT = ROOT / "results" / "schedule.json"
TASKS = (  # development families, photographs and others, the cheapest first
    *("wbc_blood_cells4", "plane_vs_ship", "ants_bees", "cifar10", "neu_steel_surface", "rice_leaf_disease"),
    *("gtsrb_signs", "dtd_textures10", "breast_ultrasound_busi", "brick_wall_crack", "scene15", "pacs_sketch"),
)
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {"schedule": "constant"},
    "settle over a quarter": {"schedule": "settle", "settle_share": 1 / 4},
    "settle over three eighths": {"schedule": "settle", "settle_share": 3 / 8},
    "settle over a half": {"schedule": "settle", "settle_share": 1 / 2},
    "cosine": {"schedule": "cosine"},
}
CONFIGS: list[Config] = [
    {"layers": layers, "optimizer": optimizer, "lr": lr, "augmentation": "basic"}
    for layers, optimizer, lr in (
        ("all", "adamw", 1e-3),
        ("last_stage", "adamw", 1e-3),
        ("all", "sgd", 1e-2),
        ("last_stage", "sgd", 1e-2),
    )
]
MAX_EPOCHS = 32
EPOCHS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32)
Floats = npt.NDArray[np.float64]


def space() -> SearchSpace:
    """The four configurations, as a space that holds no others."""
    return listed(CONFIGS, "typed by hand")


def measure(tasks_dir: Path, weights: str, workers: int, max_hours: float | None) -> None:
    """Trains what is not there yet, task by task, so that whatever was reached compares all schedules."""
    ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False)  # once, not per schedule
    for name in TASKS:
        task = ImageTask.from_folder(tasks_dir / name, name=name).sub_task("small")
        for schedule, changes in SCHEDULES.items():
            settings = FineTuneSettings(weights=weights, max_epochs=MAX_EPOCHS, evaluate_at=EPOCHS, **LITE0, **changes)
            collect(
                [task],
                space(),
                CURVES / schedule.replace(" ", "-"),
                settings=settings,
                nice=19,
                max_hours=max_hours,
                progress=partial(print, f"{schedule}: ", flush=True),
            )


def judged(table: MetaDataset) -> dict[str, Floats]:
    """Accuracies in points, one per task: mean over configurations, and over which half chooses and which reports."""
    halves = [table.curve(name)[:, :, 0].astype(np.float64) for name in ("val_accuracy", "val_accuracy_b")]  # [T, H, F]
    filled = [np.nan_to_num(half, nan=0.0) for half in halves]  # a diverged run has learned nothing
    last, best = [], []
    for chooses, reports in (filled, filled[::-1]):
        last.append(reports[..., -1])
        epochs = chooses.argmax(axis=-1)[..., None]
        best.append(np.take_along_axis(reports, epochs, axis=-1)[..., 0])
    return {
        "last epoch": 100 * np.mean(last, axis=(0, 2)),
        "best epoch, chosen on the other half": 100 * np.mean(best, axis=(0, 2)),
    }


def against(values: Floats, others: Floats) -> dict[str, Any]:
    """Mean difference over tasks with its standard error and interval, in points."""
    differences = values - others
    interval = bootstrap_mean(differences)
    error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    return {
        "mean": round(interval.mean, 2),
        "standard_error": round(error, 2),
        "interval": [round(interval.low, 2), round(interval.high, 2)],
        "by_task": [round(float(d), 2) for d in differences],
    }


def main() -> None:
    """Measures if it is told where the images are, then judges all tasks that every schedule has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks-dir", type=Path)
    parser.add_argument("--weights", default="package", help="'package', or a local file of the same weights")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max-hours", type=float)
    args = parser.parse_args()
    if args.tasks_dir is not None:
        measure(args.tasks_dir, args.weights, args.workers, args.max_hours)
    tables = {
        name: MetaDataset.from_collection(CURVES / name.replace(" ", "-"), complete_only=True) for name in SCHEDULES
    }
    tasks = {name: table.tasks["name"].tolist() for name, table in tables.items()}
    shared = [task for task in tasks["cosine"] if all(task in others for others in tasks.values())]
    found = {name: judged(table.subset([tasks[name].index(task) for task in shared])) for name, table in tables.items()}
    constant = found["constant"]
    result: dict[str, Any] = {
        **environment(),
        "network": "tf_efficientnet_lite0, 64 px",
        "max_epochs": MAX_EPOCHS,
        "tasks": shared,
        "configurations": CONFIGS,
        "schedules": {
            name: {
                "last epoch": round(float(values["last epoch"].mean()), 2),
                "best epoch, chosen on the other half": round(
                    float(values["best epoch, chosen on the other half"].mean()), 2
                ),
                "last epoch against the constant run's last": against(values["last epoch"], constant["last epoch"]),
                "last epoch against the constant run's best, chosen on the other half": against(
                    values["last epoch"], constant["best epoch, chosen on the other half"]
                ),
                "last epoch against its own best, chosen on the other half": against(
                    values["last epoch"], values["best epoch, chosen on the other half"]
                ),
            }
            for name, values in found.items()
        },
    }
    for name, values in result["schedules"].items():
        gain = values["last epoch against the constant run's best, chosen on the other half"]
        gained = f"{gain['mean']:+.2f} (standard error {gain['standard_error']:.2f})"
        print(f"{name:28s} {values['last epoch']:6.2f}  {gained}")
    write_json(RESULT, result)


if __name__ == "__main__":
    main()
