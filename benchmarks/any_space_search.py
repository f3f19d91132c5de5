"""Every way to search a space of ranges at equal seconds, on a surrogate of its table: results/any_space.json.

    python benchmarks/any_space_search.py [--table FOLDER] [--by-hand FOLDER] [--methods NAME ...] [--seeds 10]

Budgets are 1, 2, 4.5 and 16 times the seconds that a mean configuration of the table takes to R. Each is a run of its
own. One half of the validation images chooses and the other one reports; the roles change with every seed. What learns
from other tasks learns from other families alone, and from the configurations that all of them have. A table that is
not complete serves by the tasks that have at least 24 configurations, and the result says so.

What a person does without a tuner is replayed on its measured curves, and once more on the surrogate; all else runs on
``TaskSurrogate``, with the regression that explains most of what was left out. Results of runs lie in runs/any_space,
one file per method, task and seed, and are not made again for the same table. Processes with other --tasks or --methods
may fill it side by side. Delete the folder of a method whose code has changed. A method without what it needs is left
out, with the reason. The test families of docs/protocol.md wait for --test-families.
"""

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from _common import RESULTS, ROOT, about_table, environment, write_json
from scoreboard.any_space_rivals import RIVALS, Case, with_defaults
from scoreboard.by_hand import load, table_by_hand
from scoreboard.equal_seconds import above, of_families, wanted
from scoreboard.families import development_families
from scoreboard.regressors import REGRESSORS
from scoreboard.table_surrogate import Seconds, TaskSurrogate, trained
from task_traits import TRAITS_FILE

from hyperstar_tune._files import write_file
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.predictor.traits import SHIPPED_TRAITS
from hyperstar_tune.simulation import TaskCurves
from hyperstar_tune.tables import MetaDataset

Found = TypeVar("Found")
BUDGETS = (1.0, 2.0, 4.5, 16.0)  # in units of the seconds of a mean configuration trained to R
LEAST = 24  # configurations that a task must have
OURS = ("any_space_learning", "any_space_learning_no_images", "any_space", "any_space_no_images")
WHOLE = {"tasks": 42, "families": 36, "coverage": 0.95}  # of a table that is complete


def judged_rows(table: MetaDataset, families: Sequence[str]) -> npt.NDArray[np.intp]:
    """The tasks of some families that have enough configurations, [n]."""
    rows = np.flatnonzero((trained(table).sum(axis=1) >= LEAST) & table.tasks["family"].isin(families).to_numpy())
    if not len(rows):
        raise SystemExit(f"no task of the table has {LEAST} configurations yet; collect more")
    return rows


def common_part(table: MetaDataset, families: Sequence[str]) -> MetaDataset:
    """The complete part that has the most cells: tasks with many configurations, and those that all of them have."""
    kept, judged = trained(table), judged_rows(table, families)
    counts = kept[judged].sum(axis=1)
    parts = [judged[counts >= least] for least in np.unique(counts)]
    rows = max(parts, key=lambda rows: len(rows) * kept[rows].all(axis=0).sum())
    columns = np.flatnonzero(kept[rows].all(axis=0))
    return MetaDataset(
        table.space,
        [table.configs[column] for column in columns],
        table.epochs,
        table.evaluations[np.ix_(rows, columns)],
        table.tasks.iloc[rows].reset_index(drop=True),
        table.fingerprint,
    )


def timed(table: MetaDataset, seconds: Seconds) -> MetaDataset:
    """The same with the seconds that are expected where a cell was trained but not timed."""
    evaluations = table.evaluations.copy()
    place = table.objectives.index("epoch_seconds")
    for row, column in np.argwhere(trained(table) & ~table.measured[:, :, 0]):
        evaluations[row, column, 0, :, place] = seconds.of(table.tasks["name"].iloc[row], table.configs[column])
    return MetaDataset(table.space, table.configs, table.epochs, evaluations, table.tasks, table.fingerprint)


def explained(table: MetaDataset, tasks: Sequence[str], seconds: Seconds) -> dict[str, dict[str, float]]:
    """Share of the variance that each regression explains of what was left out, by task."""
    return {
        kind: {task: round(TaskSurrogate(table, task, seconds, kind).left_out_r2(), 4) for task in tasks}
        for kind in REGRESSORS
    }


def cases(
    table: MetaDataset,
    common: MetaDataset,
    seconds: Seconds,
    kind: str,
    families: Sequence[str],
    by_hand: MetaDataset | None,
) -> list[Case]:
    """One case per task of some families, which knows the other families' part of ``common``."""
    common = timed(common, seconds)
    traits = pd.read_parquet(TRAITS_FILE)[list(SHIPPED_TRAITS)]
    known = {str(name): row.to_numpy(dtype=np.float64) for name, row in traits.iterrows()}
    found = []
    for task in table.tasks.iloc[judged_rows(table, families)].to_dict("records"):
        others = [family for family in common.families if family != task["family"]]
        if len(others) < 2:
            raise SystemExit(f"{task['name']} needs two other families to learn from, but there are {len(others)}")
        surrogate = TaskSurrogate(table, task["name"], seconds, kind)
        n_images = int(task["n_train"] + task["n_val"])
        found.append(Case(surrogate, common.only(others), n_images, hand_curves(by_hand, task["name"]), known))
    return found


def hand_curves(by_hand: MetaDataset | None, task: str) -> TaskCurves | None:
    """The measured curves of what a person types, if the task has all of them."""
    if by_hand is None or task not in by_hand.tasks["name"].tolist():
        return None
    row = by_hand.tasks["name"].tolist().index(task)
    return TaskCurves.of(by_hand, task) if by_hand.measured[row, :, 0].all() else None


def unit_seconds(case: Case, table: MetaDataset) -> float:
    """Seconds in which a mean configuration of the table is trained to R on a task."""
    return float(table.epochs[-1] * np.mean([case.surrogate.expected(config)[1] for config in table.configs]))


def origin_of_runs(table: MetaDataset, by_hand: MetaDataset | None) -> str:
    """A digest of everything that runs depend on besides method, task and seed."""
    parts = [table.evaluations.tobytes(), table.space.fingerprint.encode(), repr(BUDGETS).encode()]
    return hashlib.sha256(b"".join([*parts, by_hand.evaluations.tobytes() if by_hand else b""])).hexdigest()[:12]


def accuracies(case: Case, method: str, seed: int, unit: float) -> dict[str, float]:
    """Accuracy that the reporting half gives at the end of each budget."""
    found = {}
    for budget in BUDGETS:
        best = RIVALS[method].run(case, seed, budget * unit).incumbent
        place = best.at_seconds(np.array([budget * unit]))[0]
        found[f"{budget:g}"] = float(np.nan_to_num(best.accuracy_b[place]))
    return found


def kept_or_made(path: Path, origin: str, make: Callable[[], Found]) -> Found:
    """What ``make`` gives, from a file if that was made from the same."""
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["origin"] == origin:
            return cast(Found, kept["found"])
    found = make()
    write_file(path, json.dumps({"origin": origin, "found": found}).encode())
    return found


def run_all(
    found: Sequence[Case], table: MetaDataset, methods: Sequence[str], seeds: int, folder: Path, origin: str
) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Accuracies by method, task and budget, one per seed; and what was left out, by method and task."""
    runs: dict[str, Any] = {}
    left_out: dict[str, dict[str, str]] = {}
    for case in found:
        unit = unit_seconds(case, table)
        for method in methods:
            rival, started = RIVALS[method], time.perf_counter()
            if lacks := rival.lacks(case):
                left_out.setdefault(method, {})[case.task] = lacks
                continue
            of_seeds = [
                kept_or_made(
                    folder / method / case.task / f"{seed}.json",
                    origin,
                    partial(accuracies, case, method, seed, unit),
                )
                for seed in range(min(seeds, rival.seeds or seeds))
            ]
            runs.setdefault(method, {})[case.task] = {
                budget: [round(one[budget], 5) for one in of_seeds] for budget in of_seeds[0]
            }
            print(f"{case.task} {method} ({time.perf_counter() - started:.1f} s)", flush=True)
    return runs, left_out


def beside_by_hand(case: Case) -> tuple[float, float] | None:
    """What measured curves by hand are above the surrogate, in the mean; None if there are none in its space.

    Returns:
        Points of the last accuracy, and the factor of the seconds of an epoch.
    """
    if case.by_hand is None:
        return None
    points, logs = [], []
    for row, typed in enumerate(case.by_hand.configs):
        try:
            halves, seconds = case.surrogate.expected(with_defaults(typed, case.space))
        except SpaceError:
            continue
        measured = (case.by_hand.accuracy[row, -1] + case.by_hand.accuracy_b[row, -1]) / 2
        points.append(100 * float(np.nan_to_num(measured) - halves[:, -1].mean()))
        logs.append(np.log(case.by_hand.seconds[row].mean() / seconds))
    return (float(np.mean(points)), float(np.exp(np.mean(logs)))) if points else None


def told_of_surrogate(
    found: Sequence[Case], table: MetaDataset, seconds: Seconds, kind: str, explains: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """How good the surrogate is, by task, and over families."""
    by_hand = {case.task: beside for case in found if (beside := beside_by_hand(case)) is not None}
    by_task = {
        case.task: {
            "family": case.surrogate.family,
            "configurations": case.surrogate.n_configs,
            "r2": explains[kind][case.task],
            "noise_points": round(case.surrogate.noise_points(), 2),
            "noise_from": case.surrogate.noise_from,
            "unit_seconds": round(unit_seconds(case, table), 2),
        }
        for case in found
    }
    families = {task: about["family"] for task, about in by_task.items()}
    r2 = {name: of_families({task: of[task] for task in by_task}, families) for name, of in explains.items()}
    return {
        "kind": kind,
        "r2": r2[kind],
        "r2_of_all_kinds": r2,
        "r2_seconds": round(seconds.left_out_r2(), 4),
        "measured_by_hand_above_it_points": of_families({task: of[0] for task, of in by_hand.items()}, families)
        if by_hand
        else None,
        "measured_by_hand_seconds": {task: round(of[1], 3) for task, of in by_hand.items()},  # by those it expects
        "by_task": by_task,
    }


def is_whole(table: MetaDataset) -> bool:
    """Whether a table has all that it is to have."""
    kept: npt.NDArray[np.bool_] = trained(table)
    enough = len(table.tasks) >= WHOLE["tasks"] and len(table.families) >= WHOLE["families"]
    return bool(enough and kept.mean() >= WHOLE["coverage"])


def summary(runs: Mapping[str, Any], families: Mapping[str, str]) -> dict[str, Any]:
    """Methods with their means over families, what ours are above the others, and the goals."""
    methods = {
        name: {
            "label": RIVALS[name].label,
            "accuracy": {
                f"{budget:g}": of_families(
                    {task: 100 * float(np.mean(of[f"{budget:g}"])) for task, of in by_task.items()}, families
                )
                for budget in BUDGETS
            },
            "runs": by_task,
        }
        for name, by_task in runs.items()
    }
    leads = {
        ours: {rival: above(runs[ours], runs[rival], families) for rival in runs if rival != ours}
        for ours in OURS
        if ours in runs
    }
    return {"methods": methods, "above": leads, "goals": {ours: wanted(leads[ours]) for ours in leads}}


def main() -> None:
    """Runs what has not been run, and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=ROOT / "metadata" / "efficientnet-lite0.collection")
    parser.add_argument("--by-hand", type=Path, help="curves of what a person does; by default TABLE-by-hand")
    parser.add_argument("--tasks", nargs="*", help="run these alone; they still learn from all others")
    parser.add_argument("--methods", nargs="*", choices=list(RIVALS), default=list(RIVALS))
    parser.add_argument("--seeds", type=int, default=10, help="runs of a method and task at each budget")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "any_space", help="where results of runs are kept")
    parser.add_argument("--test-families", action="store_true", help="run the test families: once, at the end")
    parser.add_argument("--out", type=Path, default=RESULTS / "any_space.json")
    args = parser.parse_args()
    LOGGER.setLevel(logging.ERROR)  # or each of thousands of runs tells how it begins
    table = load(args.table, complete_only=False)
    named = args.table.with_name(args.table.name.removesuffix(".collection"))
    hand_path = args.by_hand or table_by_hand(named)
    by_hand = None if hand_path is None else load(hand_path, complete_only=False)
    development = development_families(table)
    families = [f for f in table.families if f not in development] if args.test_families else development
    common = common_part(table, table.families if args.test_families else development)
    seconds = Seconds(table)
    folder, origin = args.runs / named.name, origin_of_runs(table, by_hand)
    judged = table.tasks["name"].iloc[judged_rows(table, families)].tolist()
    explains = kept_or_made(
        folder / f"explained_{args.test_families}.json", origin, partial(explained, table, judged, seconds)
    )
    kind = max(explains, key=lambda kind: np.mean(list(explains[kind].values())))
    found = cases(table, common, seconds, kind, families, by_hand)
    found = [case for case in found if not args.tasks or case.task in args.tasks]
    runs, left_out = run_all(found, table, args.methods, args.seeds, folder, origin)
    of_tasks = {case.task: case.surrogate.family for case in found}
    used = {"tasks": len(found), "families": len(set(of_tasks.values())), "learned_from": len(common.configs)}
    result = {
        **environment(),
        "table": about_table(table, args.table),
        "complete": is_whole(table),
        "block": "test families" if args.test_families else "development families",
        "used": used,
        "seeds": args.seeds,
        "budgets": list(BUDGETS),
        "surrogate": told_of_surrogate(found, table, seconds, kind, explains),
        "images_kept": {case.task: round(case.predictor.kept, 3) for case in found},  # by families left out
        **summary(runs, of_tasks),
        "left_out": left_out,
    }
    write_json(args.out, result)
    for name, method in result["methods"].items():
        print(f"{name:24s}", "  ".join(f"{of['mean']:5.1f}" for of in method["accuracy"].values()))


if __name__ == "__main__":
    main()
