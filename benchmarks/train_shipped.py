"""Trains the predictors that ship with the package, and first measures how they rank for families they have not seen.

It needs the images of the tasks, so only a person runs it. With --measure one predictor per family is trained on the
other development families of docs/protocol.md and judged on the complete tasks of that family. The figures go onto the
card of the shipped predictor as they are. The test families take no part in this; the shipped predictor is trained on
all families.

    python benchmarks/train_shipped.py --tasks TASKS --method hyperstar_plus --measure FIGURES.json
    python benchmarks/train_shipped.py --tasks TASKS --method hyperstar_plus --measured FIGURES.json --out OUT

HyperSTAR+ takes a minute, and the paper's networks (--method network) some hours on a CPU. What a predictor keeps of
its known tasks, for the race and for budgets in seconds, can be renewed by itself. That needs no images and leaves its
scores as they are:

    python benchmarks/train_shipped.py --table TABLE --renew-known PREDICTOR ...
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import ROOT, about_table
from loo_scores import task_images
from scoreboard.families import development_families

from hyperstar_tune.comparison.judging import true_scores
from hyperstar_tune.comparison.leave_out import complete_rows
from hyperstar_tune.metrics import (
    average_precision,
    chance_average_precision,
    normalize_scores,
    normalized_regret,
    ranking_of,
    regret,
)
from hyperstar_tune.predictor import EpochReport, Predictor, TrainingSettings, meta_train, train_plus
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.predictor.sampling import MAX_IMAGES
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

METHODS = ("network", "hyperstar_plus")
PLUS_SETTINGS = PlusSettings()
SETTINGS = TrainingSettings(
    train_backbone="none", epochs=12, image_batches=5, configs_per_batch=108, alpha=1.0, beta=0.1
)
LICENCE = "Apache-2.0; learned from images of mixed licences, of which none is contained"
OUTSIDE = {  # what becomes of tasks unlike all listed ones
    "network": "Tasks unlike all listed ones get a ranking too, and nothing says that it is worth little",
    "hyperstar_plus": (
        "For tasks unlike all listed ones it is the average ranking, and says so. It needs labelled images"
    ),
}


def image_note(table: MetaDataset, images: dict[str, ImageTask]) -> str:
    """Which images of the tasks were looked at, and whether the curves were trained on them."""
    recorded = dict(zip(table.tasks["name"], table.tasks["image_hash"], strict=True))
    unsure = [name for name, known in recorded.items() if known != images[name].sample_hash()]
    note = f"up to {MAX_IMAGES} training images a task, those that its curves were trained on"
    if not unsure:
        return note
    return (
        f"{note} but for {len(unsure)} of {len(recorded)} tasks (such as {unsure[-1]}), whose images were not recorded"
    )


def limit_note(table: MetaDataset, method: str) -> str:
    """What the table cannot tell."""
    n_val, n_seeds = table.tasks["n_val"], table.evaluations.shape[2]
    seeds = "one seed" if n_seeds == 1 else f"one to {n_seeds} seeds"
    return (
        f"{len(table.tasks)} tasks of {len(table.families)} families, images of {table.fingerprint.image_size} px, one "
        f"network; accuracies of {seeds} on {n_val.min()} to {n_val.max()} validation images a task, so that part of "
        f"what is left to gain is noise (see docs/predictor.md). {OUTSIDE[method]}"
    )


def about(table: MetaDataset, path: Path, method: str, images: dict[str, ImageTask]) -> dict[str, Any]:
    """Entries of the card that say what the predictor is for and where it comes from."""
    circumstances = table.fingerprint
    return {
        "task": (
            f"rank the {len(table.configs)} configurations of the space {table.space.name} for fine-tuning "
            f"{circumstances.model} at {circumstances.image_size} px"
        ),
        "origin": (
            f"learned by benchmarks/train_shipped.py from the tasks listed here, in table {path.name} "
            f"(protocol {circumstances.protocol}: {circumstances.schedule}, {circumstances.max_epochs} epochs)"
        ),
        "table": about_table(table, path),
        "images": image_note(table, images),
        "limits": limit_note(table, method),
        "licence": LICENCE,
    }


def learn(
    method: str, table: MetaDataset, images: dict[str, ImageTask], settings: TrainingSettings, **more: Any
) -> Predictor:
    """A predictor of either method."""
    if method == "hyperstar_plus":
        return train_plus(table, images, PLUS_SETTINGS, name=more.get("name", "unnamed"), about=more.get("about"))
    return meta_train(table, images, settings, **more)


def measure(
    method: str, table: MetaDataset, images: dict[str, ImageTask], families: list[str], settings: TrainingSettings
) -> list[dict[str, Any]]:
    """Leave-family-out figures on the complete tasks of some families, one row per task."""
    rows = []
    for family in families:
        if not complete_rows(table, family).size:
            continue
        started = time.perf_counter()
        others, truth = table.without(family), true_scores(table, [family])
        predictor = learn(method, others, images, settings)
        known = others.scores()[others.complete]
        rivals = {"mean accuracy": known.mean(axis=0), "mean normalized": normalize_scores(known).mean(axis=0)}
        keys = [str(config) for config in table.configs]
        for name, half_a, half_b in zip(truth.tasks, truth.half_a, truth.half_b, strict=True):
            ranking = predictor.rank(images[name], table.configs)
            by_key = {str(config): score for config, score in zip(ranking.configs, ranking.scores, strict=True)}
            candidates = {"predictor": np.array([by_key[key] for key in keys]), **rivals}
            rows.append({"task": name, "family": family, "regret_on_half": truth.reported})
            rows[-1] |= {method: figures(half_a, half_b, scores) for method, scores in candidates.items()}
            print(json.dumps(rows[-1]), flush=True)
        print(f"{family}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return rows


def figures(half_a: np.ndarray, half_b: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """AP@10 in percent on half A, regret@1 and @3 on half B normalized, @3 also in points of accuracy."""
    ranking = ranking_of(predicted)
    return {
        "ap10": round(100 * average_precision(half_a, ranking, 10), 2),
        "regret3_points": round(100 * regret(half_b, ranking, 3), 2),
        "regret1_normalized": round(normalized_regret(half_b, ranking, 1), 4),
        "regret3_normalized": round(normalized_regret(half_b, ranking, 3), 4),
    }


def summarize(rows: list[dict[str, Any]], n_configs: int) -> dict[str, Any]:
    """Means over families of the means over their tasks."""
    families = sorted({row["family"] for row in rows})
    summary = {}
    for method in ("predictor", "mean accuracy", "mean normalized"):
        of_method = [[row[method] for row in rows if row["family"] == family] for family in families]
        summary[method] = {
            figure: round(float(np.mean([np.mean([task[figure] for task in tasks]) for tasks in of_method])), 3)
            for figure in of_method[0][0]
        }
    return {
        "how": (
            "leave-family-out on the complete tasks of the development families; each predictor was learned from the "
            "other development families. Truth: last-epoch accuracy, where the table has no half B on the undivided "
            "validation images, so that decision and report share them. Means over families. Rivals: average rankings "
            "of the complete tasks of the other families. Settings had been tried on these same families, so the "
            "predictor's figures are flattered; plus_attempts.json of the table says by how much (nested)"
        ),
        "families": len(families),
        "tasks": len(rows),
        "chance_ap10": round(100 * chance_average_precision(n_configs, 10), 2),
        "mean": summary,
    }


def main() -> None:
    """Measures, learns and saves as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=ROOT / "metadata" / "shufflenet-v2-x1-v0")
    parser.add_argument("--tasks", type=Path, help="folder of image folders, one for each parent task")
    parser.add_argument("--renew-known", type=Path, nargs="+", default=[], help="folders of predictors")
    parser.add_argument("--method", choices=METHODS, default="hyperstar_plus")
    parser.add_argument("--measure", type=Path, help="write leave-family-out figures to this file")
    parser.add_argument("--families", nargs="*", help="families to measure (default: all that are not test families)")
    parser.add_argument("--measured", type=Path, nargs="*", help="put the figures of these files on the card")
    parser.add_argument("--checkpoint", type=Path, help="where an interrupted training of networks goes on")
    parser.add_argument("--out", type=Path, help="directory to save the predictor in; its name is the predictor's")
    parser.add_argument("--train-backbone", default=SETTINGS.train_backbone, help="of networks")
    parser.add_argument("--epochs", type=int, default=SETTINGS.epochs, help="of networks")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = TrainingSettings(**{**vars(SETTINGS), "train_backbone": args.train_backbone, "epochs": args.epochs})
    table = MetaDataset.load(args.table)
    for folder in args.renew_known:
        predictor = Predictor.load(folder)
        predictor.learn_known(table)
        predictor.save(folder)
    if args.renew_known:
        return
    if args.tasks is None:
        parser.error("to learn from images, --tasks must say where they are")
    images = task_images(table, args.tasks)
    if args.measure:
        development = table.only(development_families(table))
        rows = measure(args.method, development, images, args.families or list(development.families), settings)
        used = asdict(PLUS_SETTINGS) if args.method == "hyperstar_plus" else vars(settings)
        result = summarize(rows, len(table.configs)) | {
            "settings": json.loads(json.dumps(used)),
            "rows": rows,
            "versions": {"torch": torch.__version__},
        }
        args.measure.parent.mkdir(parents=True, exist_ok=True)
        args.measure.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result["mean"], indent=1))
    if args.out:
        entries = about(table, args.table, args.method, images)
        entries["measured"] = merged(args.measured, len(table.configs)) if args.measured else "not measured"
        more = {} if args.method == "hyperstar_plus" else {"checkpoint": args.checkpoint, "progress": report}
        predictor = learn(args.method, table, images, settings, name=args.out.name, about=entries, **more)
        predictor.save(args.out)
        print(Predictor.load(args.out), predictor.card["weights"])


def merged(paths: list[Path], n_configs: int) -> dict[str, Any]:
    """The figures of several runs of --measure with one set of settings, as one."""
    runs = [json.loads(path.read_text()) for path in paths]
    if any(run["settings"] != runs[0]["settings"] for run in runs):
        raise SystemExit("figures must be of the same settings to go on one card")
    rows = [row for run in runs for row in run["rows"]]
    return summarize(rows, n_configs) | {"rows": rows}


def report(epoch: EpochReport) -> None:
    print(
        f"{epoch.epoch}/{epoch.epochs}: performance {epoch.performance:.3f}, similarity {epoch.similarity:.3f}, "
        f"adversarial {epoch.adversarial:.3f}, discriminator {epoch.discriminator_accuracy:.2f}, {epoch.seconds:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
