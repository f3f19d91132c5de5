"""Measures the claims of Increasing Image Sizes: collects curves of ``cnn-from-scratch``, then compares searches.

    python benchmarks/image_sizes.py collect FOLDER --tasks-dir TASKS --tasks aid_aerial30 ants_bees ... --max-hours 8
    python benchmarks/image_sizes.py measure FOLDER [--live TASK --tasks-dir TASKS]

``collect`` trains the same random configurations at every image size, and some of them with a second seed. It goes on
where it was stopped. ``measure`` writes ``results/image_sizes.json`` from what was collected, at least four tasks and
150 configurations; with fewer it refuses to write, unless ``--out`` names another file.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS, environment, write_json
from scipy.stats import spearmanr
from scoreboard.growing import Surrogate, cells, interval, outcome_of, rank_correlation

from hyperstar_tune import ImageTask, IncreasingImageSizes, MetaDataset, SearchSpace
from hyperstar_tune.finetune import FineTune, FineTuneSettings, collect
from hyperstar_tune.report.importance import importance
from hyperstar_tune.rivals.optimizers import optimizer
from hyperstar_tune.search import Narrowing
from hyperstar_tune.space import Config, config_key

SPACE = "cnn-from-scratch"
SIZES = (32, 64, 128)
OPTIMIZERS = ("random", "tpe", "smac", "genetic")
VARIANTS: dict[str, dict[str, Any]] = {
    "both": {},
    "without narrowing": {"narrow": None},
    "without handing on": {"hand_on": 0},
    "neither": {"narrow": None, "hand_on": 0},
}
_FEWEST_TASKS, _FEWEST_CONFIGS = 4, 150
_ENOUGH = 0.9  # complete share of a size's cells


def settings(max_epochs: int, size: int) -> FineTuneSettings:
    """Those of every training: at most ``max_epochs``, and five epochs of patience, as in the notes."""
    return FineTuneSettings(
        model=SPACE,
        image_size=size,
        max_epochs=max_epochs,
        schedule="constant",
        patience=5,
        evaluate_at=tuple(range(1, max_epochs + 1)),
        device="cpu",
    )


def part_of_space(n: int) -> SearchSpace:
    """The first random configurations of the space, the same ones for every size."""
    space = SearchSpace.from_name(SPACE)
    return SearchSpace(space.configuration_space, f"{n} of {SPACE}", space.sample(n, 0))


def collect_all(args: argparse.Namespace) -> None:
    """Collects what is missing: seed 0 of all configurations, then seed 1 of some."""
    tasks = [ImageTask.from_folder(args.tasks_dir / name, name=name) for name in args.tasks]
    end = time.monotonic() + 3600 * args.max_hours
    for seed, n, suffix in ((0, args.configs, ""), (1, args.again, "-again")):
        for size in args.sizes:
            hours = (end - time.monotonic()) / 3600
            if hours <= 0 or not n:
                continue
            summary = collect(
                [task.sub_task("small") if args.small else task for task in tasks],
                part_of_space(n),
                args.folder / f"{size}{suffix}",
                settings(args.max_epochs, size),
                seeds=[seed],
                order="round-robin",
                max_hours=hours,
                workers=args.workers,
                nice=19,
                progress=partial(print, flush=True),
            )
            print(f"{size} px{suffix}: {summary}")


def measure(args: argparse.Namespace) -> None:
    """Computes all figures from what was collected."""
    tables = {size: MetaDataset.from_collection(args.folder / str(size)) for size in args.sizes}
    names = [name for name in tables[args.sizes[0]].tasks["name"] if all(_enough(t, name) for t in tables.values())]
    n_configs = min(len(table.configs) for table in tables.values())
    if not names:
        raise SystemExit(f"{args.folder} has no task with nine tenths of its cells at every size; collect on")
    if args.out is None and (len(names) < _FEWEST_TASKS or n_configs < _FEWEST_CONFIGS):
        raise SystemExit(
            f"image_sizes.json needs {_FEWEST_TASKS} tasks and {_FEWEST_CONFIGS} configurations at every size, but "
            f"{len(names)} tasks have {n_configs}; collect on, or pass --out for a trial"
        )
    measured = {name: {size: cells(table, name) for size, table in tables.items()} for name in names}
    again = {size: path for size in args.sizes if (path := args.folder / f"{size}-again").is_dir()}
    configs = {config_key(config): config for config in tables[args.sizes[0]].configs}
    space = SearchSpace.from_name(SPACE)
    surrogates = {name: Surrogate(space, of_sizes, configs) for name, of_sizes in measured.items()}
    found: dict[str, Any] = {
        **environment(),
        "tasks": names,
        "configurations": n_configs,
        "sizes": list(args.sizes),
        "trials": args.trials,
        "repeats": args.repeats,
        "rank_correlation_between_sizes": _between_sizes(measured, args.sizes),
        "noise_ceiling": _noise_ceiling(tables, again, names),
        "importance_agreement": _importance_agreement(measured, configs, space, args.sizes),
        "surrogate_r2": {name: surrogate.left_out_r2() for name, surrogate in surrogates.items()},
        "optimizers": {name: _compare(name, surrogates, args) for name in args.optimizers},
        "live_check": _live(args) if args.live else None,
    }
    write_json(args.out or RESULTS / "image_sizes.json", _without_nan(found))


def _without_nan(value: Any) -> Any:
    """None in place of NaN: the correlation of rankings in which all are equal."""
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _enough(table: MetaDataset, name: str) -> bool:
    rows = table.tasks["name"].tolist()
    return name in rows and bool(table.measured[rows.index(name), :, 0].mean() >= _ENOUGH)


def _between_sizes(measured: dict[str, Any], sizes: Sequence[int]) -> dict[str, Any]:
    return {
        f"{a} and {b} px": interval([rank_correlation(of[a], of[b]) for of in measured.values()])
        for a, b in combinations(sizes, 2)
    }


def _noise_ceiling(tables: dict[int, MetaDataset], again: dict[int, Path], names: list[str]) -> dict[str, Any]:
    """Rank correlation of two seeds at the same size, on the configurations that were trained twice."""
    found = {}
    for size, path in again.items():
        second = MetaDataset.from_collection(path)
        shared = [name for name in names if _enough(second, name)]
        if shared:
            values = [rank_correlation(cells(second, name), cells(tables[size], name)) for name in shared]
            found[f"{size} px"] = interval(values)
    return found


def _importance_agreement(
    measured: dict[str, Any], configs: dict[str, Config], space: SearchSpace, sizes: Sequence[int]
) -> dict[str, Any]:
    """Importances of every size, mean over tasks, and their rank correlation between sizes."""
    of_size: dict[int, dict[str, float]] = {}
    for size in sizes:
        of_tasks = [
            importance([configs[key] for key in of[size]], [v[0] for v in of[size].values()], space, pairs=False)
            for of in measured.values()
        ]
        of_size[size] = {n: float(np.mean([one.parameters[n].mean for one in of_tasks])) for n in space.parameters}
    agreement = {
        f"{a} and {b} px": float(spearmanr(list(of_size[a].values()), list(of_size[b].values())).statistic)
        for a, b in combinations(sizes, 2)
    }
    return {"importances": {f"{size} px": found for size, found in of_size.items()}, "rank_correlation": agreement}


def _compare(name: str, surrogates: dict[str, Surrogate], args: argparse.Namespace) -> dict[str, Any]:
    """Growing sizes against the largest alone, at equal numbers of trials, for an optimizer."""
    saved: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    better: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    good_a: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for surrogate in surrogates.values():
        for seed in range(args.repeats):

            def evaluate(config: Config, surrogate: Surrogate = surrogate) -> tuple[float, float, float]:
                shape = {key: value for key, value in config.items() if key != "image_size"}
                return surrogate.evaluate(shape, config["image_size"])

            alone = outcome_of(_search(name, seed, args.sizes[-1:], args.trials), evaluate, args.sizes[-1])
            for variant, options in VARIANTS.items():
                grown = outcome_of(_search(name, seed, args.sizes, args.trials, **options), evaluate, args.sizes[-1])
                saved[variant].append(100 * (1 - grown.seconds / alone.seconds))
                better[variant].append(100 * (grown.half_b - alone.half_b))
                good_a[variant].append(100 * (grown.half_a - alone.half_a))
    figures = {
        variant: {
            "time_saved_percent": interval(saved[variant]),
            "accuracy_change_points": interval(better[variant]),
            "half_a_change_points": interval(good_a[variant]),
        }
        for variant in VARIANTS
    }
    return {**figures.pop("both"), "variants": figures}


def _search(name: str, seed: int, sizes: Sequence[int], n: int, **options: Any) -> IncreasingImageSizes:
    options = {"narrow": Narrowing(), **options}
    goal = {"metric": "val_accuracy", "mode": "max"}
    return IncreasingImageSizes(optimizer(name, seed), space=SPACE, sizes=sizes, trials=n, **goal, **options)


def _live(args: argparse.Namespace) -> dict[str, Any]:
    """One real run of each kind on a task, with TPE."""
    task = ImageTask.from_folder(args.tasks_dir / args.live, name=args.live)
    found = {}

    def evaluate(config: Config) -> tuple[float, float, float]:
        run = FineTune(task, config, settings(args.max_epochs, args.sizes[-1]), clock=time.process_time)
        rows = []
        start = time.process_time()
        while run.epoch < args.max_epochs and not run.stalled and not run.diverged:
            rows.append(run.train_epoch())
        best = max(rows, key=lambda row: np.nan_to_num(row["val_accuracy"], nan=-1.0))
        return best["val_accuracy"], best["val_accuracy_b"], time.process_time() - start

    for kind, sizes in (("growing sizes", args.sizes), ("one size", args.sizes[-1:])):
        outcome = outcome_of(_search("tpe", 0, sizes, args.live_trials), evaluate, args.sizes[-1])
        found[kind] = {"seconds": outcome.seconds, "half_a": outcome.half_a, "half_b": outcome.half_b}
    return {"task": args.live, "trials": args.live_trials, **found}


def main() -> None:
    """Collects, or measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("collect", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks-dir", type=Path)
    parser.add_argument("--tasks", nargs="+", default=[])
    parser.add_argument("--small", action="store_true", help="sub-tasks @small instead of whole tasks")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--configs", type=int, default=_FEWEST_CONFIGS)
    parser.add_argument("--again", type=int, default=30, help="configurations with a second seed, for the ceiling")
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--max-hours", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS))
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--live", help="a task for one real run of each kind")
    parser.add_argument("--live-trials", type=int, default=30)
    parser.add_argument("--out", type=Path, help="another file than results/image_sizes.json")
    args = parser.parse_args()
    collect_all(args) if args.what == "collect" else measure(args)


if __name__ == "__main__":
    main()
