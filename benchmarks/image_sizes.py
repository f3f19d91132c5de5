"""Measures the claims of Increasing Image Sizes from what ``collect_image_sizes.py`` collected.

    python benchmarks/image_sizes.py [--live neu_steel_surface --tasks-dir TASKS]

Writes ``results/image_sizes.json`` and draws its figures. Between two stages the searches narrow and hand on; variants
of them do one of the two. All searches but the live one go through a surrogate of the curves.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS, ROOT, environment, write_json
from collect_image_sizes import N_TRAIN, PARTS, measure, splits
from scipy.stats import spearmanr
from scoreboard.growing import (
    Measured,
    Outcome,
    Reached,
    Surrogate,
    between_sizes,
    between_sizes_and_seeds,
    complete,
    interval,
    noise_ceiling,
    outcome_of,
    reached,
    read_measured,
)
from scoreboard.growing_figures import draw
from scoreboard.growing_fine_tuning import fine_tuning

from hyperstar_tune import IncreasingImageSizes, SearchSpace
from hyperstar_tune.log import LOGGER
from hyperstar_tune.report.importance import importance
from hyperstar_tune.rivals.optimizers import optimizer
from hyperstar_tune.search import Narrowing
from hyperstar_tune.space import Config

PART = PARTS["from-scratch"]
SIZES, LARGEST = PART.sizes, PART.sizes[-1]
OPTIMIZERS = ("random", "tpe", "smac", "genetic")
ALONE = "one size"
Runs = list[Outcome]  # one for each seed
VARIANTS: dict[str, dict[str, Any]] = {
    "both": {},
    "without narrowing": {"narrow": None},
    "without handing on": {"hand_on": 0},
}
KINDS = {name: (SIZES, options) for name, options in VARIANTS.items()}
KINDS |= {f"{size} px alone": ((size,), {}) for size in reversed(SIZES)}
_CHANGES = {"accuracy_change_points": "test", "half_b_change_points": "half_b", "half_a_change_points": "half_a"}
_TRIALS, _REPEATS = 60, 10
_LIVE_TRIALS = 12
_FORESTS = 3  # of an importance; the interval is over tasks
_SAVED_GOAL = 30.0  # percent
_BINS = 5  # of the learning rate
_LOOKED_AT = ("lr", "batch_size", "n_conv", "n_fc", "l1", "l2")  # good values of optimizers: what all networks have


def measured_claims(args: argparse.Namespace) -> dict[str, Any]:
    """All figures of the network from scratch."""
    measured, again = read_measured(args.collection), read_measured(args.collection, seed=1)
    whole = complete(measured, SIZES)
    if len(whole.configs) < 2 * len(PART.space.parameters):
        raise SystemExit(f"{args.collection} has {len(whole.configs)} configurations at all sizes; collect on")
    surrogate = Surrogate(PART.space, measured, again)
    n_cells = sum(len(of_size) for one in (measured, again) for of in one.tasks.values() for of_size in of.values())
    store = args.searches / f"{n_cells} cells"  # searches through a surrogate of other curves are others
    by_optimizer: dict[str, dict[str, Runs]] = {}
    for name in args.optimizers:
        for task in args.tasks or measured.tasks:
            for kind in args.kinds:
                path = store / f"{name}, {task}, {kind}.json"
                if args.made_only and not path.exists():
                    continue
                runs = kept(path, partial(searches, name, kind, task, surrogate))
                outcomes = [Outcome(seconds, Reached(*best), config) for seconds, best, config in runs]
                by_optimizer.setdefault(name, {}).setdefault(task, {})[kind] = outcomes
            print(f"{name} searched {task}", flush=True)
    live = None
    if args.live:
        live = kept(store / "live.json", partial(live_check, args.live, args.tasks_dir, surrogate))
    if args.only_search:
        raise SystemExit
    return {
        "tasks": list(measured.tasks),
        "images": {"train": N_TRAIN, "by_task": _images(args.collection)},
        "configurations": len(whole.configs),
        "wanted_configurations": PART.n_configs,
        "cells": n_cells,
        "sizes": list(SIZES),
        "trials": _TRIALS,
        "repeats": _REPEATS,
        "seconds_of_a_cell": {
            f"{size} px": interval(
                {task: [one.seconds for one in of[size].values()] for task, of in whole.tasks.items()}
            )
            for size in SIZES
        },
        "rank_correlation_between_sizes": between_sizes(whole.tasks, SIZES),
        "rank_correlation_between_sizes_and_seeds": between_sizes_and_seeds(measured, again, SIZES),
        "noise_ceiling": noise_ceiling(measured, again, SIZES),
        "importance_agreement": kept(store / "importance.json", partial(importance_agreement, whole, PART.space)),
        "marginals": marginals(whole),
        "surrogate_r2": kept(store / "r2.json", surrogate.left_out_r2),
        "surrogate_r2_possible": surrogate.explainable(),
        "surrogate_rank_correlation": surrogate.agreement(list(whole.configs.values()), SIZES[0], LARGEST),
        "surrogate_noise_points": {
            task: {f"{size} px": 100 * noise for size, noise in of.items()} for task, of in surrogate.noise.items()
        },
        "optimizers": {
            name: compared(found)
            for name, found in by_optimizer.items()
            if found.keys() == measured.tasks.keys() and _is_compared(found)
        },
        "good_values": {name: good_values(found, PART.space) for name, found in by_optimizer.items()},
        "live_check": live,
    }


def _images(collection: Path) -> dict[str, dict[str, int]]:
    from hyperstar_tune.tables.collection import Collection

    kept = ("classes", "n_train", "n_val", "n_test")
    return {task: {name: row[name] for name in kept} for task, row in Collection.read(collection).tasks.items()}


def importance_agreement(measured: Measured, space: SearchSpace) -> dict[str, Any]:
    """Importances at every size, and their rank correlation between sizes."""
    configs, of_task = list(measured.configs.values()), {}
    for task, of in measured.tasks.items():
        of_task[task] = {
            size: importance(
                configs, [one.half_a for one in of[size].values()], space, repeats=_FORESTS, pairs=False
            ).parameters
            for size in SIZES
        }
    shares = {
        f"{size} px": {
            name: interval({task: [of[size][name].mean] for task, of in of_task.items()}) for name in space.parameters
        }
        for size in SIZES
    }

    def agreement(of: Mapping[int, Any], a: int, b: int) -> float:
        return float(spearmanr(*([of[size][name].mean for name in space.parameters] for size in (a, b))).statistic)

    return {
        "importances": shares,
        "rank_correlation": {
            f"{a} and {b} px": interval({task: [agreement(of, a, b)] for task, of in of_task.items()})
            for a, b in combinations(SIZES, 2)
        },
    }


def marginals(measured: Measured) -> dict[str, Any]:
    """Mean half-A accuracy above the mean of task and size, in points, by learning rate and by numbers of layers."""
    rates = [config["lr"] for config in measured.configs.values()]
    hp: Any = PART.space.configuration_space["lr"]
    edges = np.geomspace(hp.lower, hp.upper, _BINS + 1)
    places = np.clip(np.searchsorted(edges, rates, side="right") - 1, 0, _BINS - 1)
    centres = np.sqrt(edges[1:] * edges[:-1])
    groups = {"lr": [float(f"{centres[place]:.2g}") for place in places]}
    groups |= {name: [config[name] for config in measured.configs.values()] for name in ("n_conv", "n_fc")}
    found: dict[str, Any] = {}
    for name, values in groups.items():
        of_sizes = found[name] = {"values": sorted(set(values))}
        for size in SIZES:
            above = {}
            for task, of in measured.tasks.items():
                accuracy = 100 * np.array([one.half_a for one in of[size].values()])
                above[task] = accuracy - accuracy.mean()
            of_sizes[f"{size} px"] = [
                interval({task: list(points[np.array(values) == value]) for task, points in above.items()})
                for value in of_sizes["values"]
            ]
    return found


def _search(name: str, seed: int, sizes: Sequence[int], n: int, **options: Any) -> IncreasingImageSizes:
    options = {"narrow": Narrowing(), "metric": "val_accuracy", "mode": "max", **options}
    return IncreasingImageSizes(optimizer(name, seed), space=PART.space, sizes=sizes, trials=n, **options)


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What a file holds, which is made if there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(make()), encoding="utf-8")
        part.replace(path)
    return json.loads(path.read_text(encoding="utf-8"))


def searches(name: str, kind: str, task: str, surrogate: Surrogate) -> list[Any]:
    """The searches of one kind, one for each seed, as JSON has outcomes."""
    sizes, options = KINDS[kind]
    evaluate, noise = partial(surrogate.evaluate, task), surrogate.noise[task]
    return [
        astuple(outcome_of(_search(name, seed, sizes, _TRIALS, **options), evaluate, sizes[-1], noise, seed))
        for seed in range(_REPEATS)
    ]


def _is_compared(by_task: Mapping[str, Mapping[str, Runs]]) -> bool:
    return all({"both", f"{LARGEST} px alone"} <= of.keys() for of in by_task.values())


def compared(by_task: Mapping[str, Mapping[str, Runs]]) -> dict[str, Any]:
    """Growing sizes against the largest alone, at equal numbers of trials, for an optimizer."""
    one_size = f"{LARGEST} px alone"

    def against(variant: str, difference: Callable[[Outcome, Outcome], float]) -> dict[str, Any]:
        pairs = {task: zip(of[variant], of[one_size], strict=True) for task, of in by_task.items()}
        return interval({task: [difference(grown, alone) for grown, alone in found] for task, found in pairs.items()})

    found = {
        variant: {
            "time_saved_percent": against(variant, lambda a, b: 100 * (1 - a.seconds / b.seconds)),
            **{
                name: against(variant, lambda a, b, of=of: 100 * (getattr(a.best, of) - getattr(b.best, of)))
                for name, of in _CHANGES.items()
            },
        }
        for variant in VARIANTS
        if all(variant in of for of in by_task.values())
    }
    alone = interval({task: [100 * run.best.test for run in of[one_size]] for task, of in by_task.items()})
    both = found.pop("both")
    met = {
        "time": both["time_saved_percent"]["mean"] >= _SAVED_GOAL,
        "accuracy": both["accuracy_change_points"]["high"] >= 0,
    }
    return {**both, "goal_met": met, "accuracy_of_one_size": alone, "variants": found}


def good_values(by_task: Mapping[str, Mapping[str, Runs]], space: SearchSpace) -> dict[str, Any]:
    """Where the best configurations of an optimizer lie that searched one size: 0 to 1, as parameters are scaled."""
    found: dict[str, Any] = {name: {} for name in _LOOKED_AT}
    for size in SIZES:
        kind = f"{size} px alone"
        if not all(kind in of for of in by_task.values()):
            continue
        places = {task: space.coordinates([run.config for run in of[kind]]) for task, of in by_task.items()}
        for name in _LOOKED_AT:
            column = space.parameters.index(name)
            found[name][f"{size} px"] = interval({task: list(of[:, column]) for task, of in places.items()})
    return found


def live_check(task: str, tasks_dir: Path, surrogate: Surrogate) -> dict[str, Any]:
    """One real search of each kind on a task with TPE, beside the surrogate's."""
    cut = splits(tasks_dir / task)

    def trained(config: Config, size: int) -> Reached:
        return reached(measure(PART, cut, {**config, "image_size": size}, 0))

    found: dict[str, Any] = {"task": task, "optimizer": "tpe", "trials": _LIVE_TRIALS}
    for kind, evaluate, noise in (
        ("live", trained, {}),
        ("surrogate", partial(surrogate.evaluate, task), surrogate.noise[task]),
    ):
        for repeat in range(1 if kind == "live" else _REPEATS):
            runs = [
                outcome_of(_search("tpe", repeat, sizes, _LIVE_TRIALS), evaluate, LARGEST, noise, repeat)
                for sizes in (SIZES, (LARGEST,))
            ]
            names = ("half_a", "half_b", "test", "seconds")
            row = {
                name: {**dict(zip(names, astuple(run.best), strict=True)), "seconds": run.seconds}
                for name, run in zip(("growing sizes", ALONE), runs, strict=True)
            }
            row["time_saved_percent"] = 100 * (1 - runs[0].seconds / runs[1].seconds)
            found.setdefault(kind, []).append(row)
    return found


def _without_nan(value: Any) -> Any:
    """None in place of NaN: the correlation of rankings in which all are equal."""
    if isinstance(value, dict):
        return {str(name): _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def main() -> None:
    """Measures what was collected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, default=ROOT / "metadata" / "image-sizes.collection")
    parser.add_argument("--fine-tuning", type=Path, default=ROOT / "metadata" / "image-sizes-fine-tuning.collection")
    parser.add_argument("--optimizers", nargs="*", default=list(OPTIMIZERS))
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--made-only", action="store_true", help="leave out searches that have not been made")
    parser.add_argument("--tasks", nargs="+", help="only these")
    parser.add_argument("--searches", type=Path, default=Path("runs/image-sizes"), help="folder of searches made")
    parser.add_argument("--only-search", action="store_true", help="measure nothing else: several at a time may")
    parser.add_argument("--live", help="a task for one real search of each kind")
    parser.add_argument("--tasks-dir", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS / "image_sizes.json")
    args = parser.parse_args()
    LOGGER.setLevel("ERROR")
    found = {**environment(), **measured_claims(args)}
    if args.fine_tuning.is_dir():
        found["fine_tuning"] = fine_tuning(args.fine_tuning)
    found = _without_nan(found)
    write_json(args.out, found)
    draw(found, args.out.parent)


if __name__ == "__main__":
    main()
