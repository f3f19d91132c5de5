"""Leave-family-out scores of every complete task of a table by every ranker: benchmarks/metadata/loo_scores*.parquet.

    python benchmarks/loo_scores.py --table benchmarks/metadata/shufflenet-v2-x1-v0 --tasks FOLDER_OF_TASKS

Rankers that need no image run without --tasks. Scores in the output that were made from the same table and settings are
not made again, so a call can be stopped at any time; all others are made again. Several calls with different --rankers
may run at once. A JSON file beside the output states how each ranker was trained, and its CPU seconds. Development
families are scored by rankers that saw no test family of docs/protocol.md either. Test families are scored only with
--test-families: once, at the end, by rankers that saw all other families.
"""

import argparse
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import ROOT, environment, origin_of, scores_path
from filelock import FileLock
from scoreboard.families import COSTLY, TEST_FAMILIES, development_families
from scoreboard.kept_features import KeptFeatures
from scoreboard.side_by_side import fit_side_by_side

from hyperstar_tune._files import replacing
from hyperstar_tune.comparison.leave_out import LOO_COLUMNS, complete_rows, leave_family_out, rank_family
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.predictor.training import TrainingSettings
from hyperstar_tune.rivals.registry import RankerKind, Supplies, ranker_kind, ranker_names
from hyperstar_tune.rivals.steady import with_steady_scores
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

BATCHWISE = ("bm", "bm_gan", "bm_similarity", "bm_both")  # folds, seeds and variants are trained side by side
REPLICAS = 12  # at once; four gained less
SEEDS = {  # cheap or dear; others: --seeds
    **dict.fromkeys(("random", "tr_automl", "random_forest"), 10),
    **dict.fromkeys(("meta_data", "deep_kernel", "zap_pairwise", "global_mean"), 10),
    **dict.fromkeys(COSTLY, 1),
}


def main() -> None:
    arguments = parse()
    whole = MetaDataset.load(arguments.table)
    torch.set_num_threads(1)
    development = development_families(whole)
    table = whole if arguments.test_families else whole.only(development)
    judged = [f for f in whole.families if f in TEST_FAMILIES] if arguments.test_families else development
    judged = [family for family in judged if complete_rows(table, family).size]
    settings = TrainingSettings(
        train_backbone="none",
        epochs=arguments.epochs,
        image_batches=arguments.image_batches,
        configs_per_batch=arguments.configs_per_batch,
    )
    traits = pd.read_parquet(arguments.traits) if Path(arguments.traits).exists() else None
    supplies = Supplies(table, image_store(table, arguments), settings, traits)
    scores = Scores(scores_path(Path(arguments.table).name))
    kinds = [ranker_kind(name) for name in arguments.rankers.split(",")]
    if with_steady_scores(table) is table:
        for kind in kinds:
            if kind.is_steady:
                print(f"{kind.name}: left out, it is {kind.plain_name} itself: accuracies of this table settle")
        kinds = [kind for kind in kinds if not kind.is_steady]
    if arguments.again:
        for kind in kinds:
            scores.forget(kind.name, block_of(judged))
    for kind in kinds:
        if kind.lacks(supplies):
            print(f"{kind.name}: needs {kind.lacks(supplies)}, left out")
    kinds = [kind for kind in kinds if not kind.lacks(supplies)]

    def seeds(kind: RankerKind) -> int:
        if not kind.is_random:
            return 1
        return arguments.steady_seeds if kind.is_steady else SEEDS.get(kind.name, arguments.seeds)

    def one_by_one(some: list[RankerKind]) -> None:
        for kind in some:
            run(kind, supplies, judged, seeds(kind), scores)

    one_by_one([kind for kind in kinds if kind.plain_name not in (*BATCHWISE, *COSTLY)])
    together = {kind: seeds(kind) for kind in kinds if kind.plain_name in BATCHWISE}
    run_side_by_side(together, supplies, judged, scores)
    one_by_one([kind for kind in kinds if kind.plain_name in COSTLY])  # last: whoever stops it there has all others


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="benchmarks/metadata/shufflenet-v2-x1-v0")
    parser.add_argument("--tasks", help="folder of image folders named like the table's parent tasks")
    parser.add_argument("--traits", default=str(ROOT / "metadata" / "task_traits.parquet"), help="by task_traits.py")
    parser.add_argument("--features", help="folder to keep the features of the frozen backbone in between calls")
    parser.add_argument("--rankers", default=",".join(ranker_names()))
    parser.add_argument("--seeds", type=int, default=5, help="how many, of rankers trained on images")
    parser.add_argument("--steady-seeds", type=int, default=3, help="how many, of rivals on steady targets")
    parser.add_argument("--epochs", type=int, default=12, help="passes of meta-training")
    parser.add_argument("--image-batches", type=int, default=5, help="image batches of each task in a pass")
    parser.add_argument("--configs-per-batch", type=int, default=108, help="in a step; the paper takes 10")
    parser.add_argument("--again", action="store_true", help="drop what there is of these rankers: their code changed")
    parser.add_argument(
        "--test-families", action="store_true", help="score the test families instead: once, at the end"
    )
    return parser.parse_args()


class Scores:
    """The file of scores and what is known of how they were made; several processes may fill it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about_path = path.with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per ranker, seed, task and configuration."""
        return pd.read_parquet(self.path) if self.path.exists() else pd.DataFrame(columns=list(LOO_COLUMNS))

    @property
    def about(self) -> dict[str, Any]:
        """The key of a ranker and a block of families."""
        return json.loads(self.about_path.read_text())["rankers"] if self.about_path.exists() else {}

    def forget(self, name: str, block: str) -> None:
        """So that ``begin`` drops what there is."""
        with self._alone():
            self._write(self.frame, {key: entry for key, entry in self.about.items() if key != f"{name}: {block}"})

    def begin(self, name: str, block: str, families: list[str], origin: str, settings: dict[str, Any]) -> set[Any]:
        """Drops what was made from something else; the (seed, family) pairs that remain."""
        with self._alone():
            frame, about = self.frame, self.about
            if about.get(f"{name}: {block}", {}).get("origin") != origin:
                frame = frame[~((frame["ranker"] == name) & frame["family"].isin(families))]
                about[f"{name}: {block}"] = {"origin": origin, "settings": settings, "folds": 0, "cpu_s": 0.0}
                self._write(frame, about)
        mine = frame[frame["ranker"] == name]
        return set(zip(mine["seed"], mine["family"], strict=True))

    def add(self, name: str, block: str, frame: pd.DataFrame, folds: int, cpu_s: float) -> None:
        """Keeps a part; it is on disk before anything else is run."""
        with self._alone():
            about = self.about
            entry = about[f"{name}: {block}"]
            entry["folds"] += folds
            entry["cpu_s"] = round(entry["cpu_s"] + cpu_s, 2)
            had = self.frame.astype({"ranker": object, "family": object, "task": object, "config": object})
            self._write(pd.concat([had, frame], ignore_index=True) if len(had) else frame, about)

    def _write(self, frame: pd.DataFrame, about: dict[str, Any]) -> None:
        plain = frame.astype(dict.fromkeys(("ranker", "family", "task", "config"), "category"))
        with replacing(self.path) as file:
            plain.astype({"seed": "int16", "score": "float32"}).to_parquet(file, index=False, compression="zstd")
        text = json.dumps(environment() | {"rankers": about}, indent=1, allow_nan=False)
        self.about_path.write_text(text + "\n", encoding="utf-8")

    def _alone(self) -> FileLock:
        """A lock to hold while no other process may read or write."""
        return FileLock(self.path.with_suffix(".lock"))


def run(kind: RankerKind, supplies: Supplies, families: list[str], n_seeds: int, scores: Scores) -> None:
    table = supplies.table
    had = begin(kind, supplies, families, scores)
    started, done = time.perf_counter(), 0
    for family in families:
        seeds = [seed for seed in range(n_seeds) if (seed, family) not in had]
        if seeds:
            before = time.process_time()
            frame = leave_family_out(lambda seed: kind.make(supplies, seed), table, seeds, [family])
            scores.add(kind.name, block_of(families), frame, len(seeds), time.process_time() - before)
            done += len(seeds)
    print(f"{kind.name}: {done} folds of {n_seeds} seeds, {time.perf_counter() - started:.0f} s", flush=True)


def run_side_by_side(kinds: dict[RankerKind, int], supplies: Supplies, families: list[str], scores: Scores) -> None:
    """Some seeds of each of the batchwise rankers, folds of equally many tasks together."""
    table = supplies.table
    missing: dict[int, list[tuple[RankerKind, int, str]]] = {}
    for kind, n_seeds in kinds.items():
        had = begin(kind, supplies, families, scores)
        for family in families:
            n_tasks = int((table.tasks["family"] != family).sum())
            jobs = [(kind, seed, family) for seed in range(n_seeds) if (seed, family) not in had]
            missing.setdefault(n_tasks, []).extend(jobs)
    ordered = [sorted(jobs, key=_seed) for jobs in missing.values()]
    chunks = [jobs[i : i + REPLICAS] for jobs in ordered for i in range(0, len(jobs), REPLICAS)]
    chunks.sort(key=lambda jobs: _seed(jobs[0]))  # whoever stops it has the first seed of every family
    started = time.perf_counter()
    for number, jobs in enumerate(chunks, 1):
        before = time.process_time()
        rankers: list[Any] = [kind.make(supplies, seed) for kind, seed, _ in jobs]
        fit_side_by_side(rankers, [table.without(family) for _, _, family in jobs])
        frames = [rank_family(r, seed, table, family) for r, (_, seed, family) in zip(rankers, jobs, strict=True)]
        used = (time.process_time() - before) / len(jobs)
        for (kind, _, _), frame in zip(jobs, frames, strict=True):
            scores.add(kind.name, block_of(families), frame, 1, used)
        print(f"side by side: {number}/{len(chunks)}, {time.perf_counter() - started:.0f} s", flush=True)


def _seed(job: tuple[RankerKind, int, str]) -> int:
    return job[1]


def begin(kind: RankerKind, supplies: Supplies, families: list[str], scores: Scores) -> set[Any]:
    depends_on = made_from(kind, supplies)
    return scores.begin(kind.name, block_of(families), families, origin_of(supplies.table, depends_on), depends_on)


def made_from(kind: RankerKind, supplies: Supplies) -> dict[str, Any]:
    """What the scores of a ranker depend on besides the table, as plain values."""
    if "settings" in kind.takes:
        settings = asdict(supplies.settings or TrainingSettings())
        return settings | {"train_backbone": "all"} if kind.plain_name == "end_to_end" else settings
    if kind.name not in ("plus_average", "hyperstar_plus"):
        return {}
    plus = asdict(PlusSettings())
    if kind.name == "plus_average" or supplies.traits is None:
        return plus
    names = [name for name in supplies.table.tasks["name"] if name in supplies.traits.index]
    values = supplies.traits.loc[names, list(plus["traits"])].to_numpy(dtype=np.float64)
    return plus | {"traits_of_tasks": hashlib.sha256(values.tobytes()).hexdigest()[:12]}


def block_of(families: list[str]) -> str:
    return "test families" if set(families) & set(TEST_FAMILIES) else "development families"


def image_store(table: MetaDataset, arguments: argparse.Namespace) -> KeptFeatures | None:
    if not arguments.tasks:
        return None
    images = task_images(table, Path(arguments.tasks))
    return KeptFeatures(images, table.fingerprint.image_size or 64, folder=arguments.features)


def task_images(table: MetaDataset, folder: Path) -> dict[str, ImageTask]:
    """The images of a table's tasks, sub-tasks of folders named like their parents among them."""
    parents: dict[str, ImageTask] = {}
    images: dict[str, ImageTask] = {}
    for name in table.tasks["name"]:
        parent, _, kind = str(name).partition("@")
        if parent not in parents:
            parents[parent] = ImageTask.from_folder(folder / parent, name=parent)
        images[name] = parents[parent].sub_task(kind) if kind else parents[parent]
    return images


if __name__ == "__main__":
    main()
