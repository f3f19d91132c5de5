"""Every method at equal budgets on a table: benchmarks/results/sweep.json, or sweep_TABLE.json, and its figures.

    python benchmarks/sweep.py             # runs (or goes on with) the sweep, sums it up and draws
    python benchmarks/sweep.py --add --methods race,expert    # adds methods to the JSON file, which keeps all others
    python benchmarks/sweep.py --add --methods race --again race    # the same for a method whose code has changed
    python benchmarks/sweep.py --draw      # redraws the figures from the JSON file alone

The runs are kept in runs/sweep/TABLE, one file per task. Without that folder the same numbers are made again. No pixels
are needed, because rankings come from the table's leave-family-out scores. Tasks without scores of a ranker are left
out, and so are methods that follow a ranking which does not exist. --test-families replays the test families of
docs/protocol.md instead, once, at the end, into sweep_test_families.json and figures of their own.

What a person does without a tuner is replayed on the table's own curves where it holds these configurations, and else
on those of a second table (--by-hand, by default TABLE-by-hand beside it). Methods whose configurations neither holds
are left out.
"""

import argparse
import json
import multiprocessing
import time
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from _common import RESULTS, ROOT, about_table, environment, result_path, scores_path, stale_rankers, write_json
from scoreboard.by_hand import WITHOUT_US, load, replayed_by_hand, table_by_hand
from scoreboard.families import development_families, scored_part
from scoreboard.joined import joined, without
from scoreboard.live_figure import draw_live_beside_replay
from scoreboard.race_table import STEADY_RIVALS

from hyperstar_tune.comparison import Budgets, LooScores, make_method, protocol_budgets, sweep
from hyperstar_tune.comparison.budgets import finer
from hyperstar_tune.comparison.judging import true_scores
from hyperstar_tune.comparison.methods import current_names, looks
from hyperstar_tune.comparison.summary import summarize
from hyperstar_tune.comparison.sweeping import SweepProgress
from hyperstar_tune.report.figures import draw_average, draw_regret, draw_tasks
from hyperstar_tune.rivals.bohb import has_hpbandster
from hyperstar_tune.simulation.curves import TaskCurves
from hyperstar_tune.tables.metadataset import MetaDataset

RACES = ("race", "race_seconds", "race_no_images", *(f"race_parallel_{k}" for k in (2, 4, 8, 16)))
HYPERSTAR = "bm_both"  # as published but for its backbone, which stays frozen
PLUS = "hyperstar_plus"
METHODS = (
    *("random_search", "hyperband", "hyperband_longest_first", "ray_hyperband", "asha", "tr_automl", "rush"),
    *(f"{HYPERSTAR}+{use}" for use in ("hyperband", "hyperband_mixed", "hyperband_sampled", "hyperband_restart")),
    *(f"{HYPERSTAR}+{use}" for use in ("hyperband_longest_first", "alone", "asha")),
    *(f"{PLUS}+{use}" for use in ("hyperband", "hyperband_mixed", "hyperband_longest_first", "alone", "asha")),
    *(f"average_top1+{use}" for use in ("hyperband", "hyperband_longest_first", "alone", "asha")),
    *(
        f"{ranker}+{use}"
        for ranker in (
            *("average_normalized", "random_forest", "nearest_task", "meta_data", "global_mean"),
            *("portfolio", "deep_kernel", "zap_pairwise", "plus_average"),
        )
        for use in ("hyperband", "alone")
    ),
    *(f"{ranker}+{use}" for ranker in ("bm", "bm_gan", "bm_similarity") for use in ("hyperband", "alone")),
    "tpe_hyperband",
    "bohb",
    f"{HYPERSTAR}+bohb",
    f"{PLUS}+bohb",
    *RACES,
    *WITHOUT_US,
    *("average_top1+race", "portfolio+race"),
    *STEADY_RIVALS,
)
DRAWN = (
    *("hyperband", "bohb", "tr_automl", "average_top1+hyperband", f"{HYPERSTAR}+hyperband", f"{HYPERSTAR}+alone"),
    *(f"{PLUS}+{use}" for use in ("hyperband", "alone")),
    *("race", "expert"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="benchmarks/metadata/shufflenet-v2-x1-v0")
    parser.add_argument("--loo", help="leave-family-out scores; by default those of loo_scores.py")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--add", action="store_true", help="keep what the JSON file says of methods not replayed now")
    parser.add_argument("--again", default="", help="with --add: those whose code has changed; the file forgets them")
    parser.add_argument("--by-hand", type=Path, help="curves of what a person does; by default TABLE-by-hand")
    parser.add_argument("--seeds", type=int, default=100, help="runs of a method and task")
    parser.add_argument("--slow-seeds", type=int, default=10, help="the same where every suggestion fits a model")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--test-families", action="store_true", help="replay the test families: once, at the end")
    parser.add_argument("--draw", action="store_true", help="only draw, from the JSON file")
    arguments = parser.parse_args()
    arguments.loo = arguments.loo or str(scores_path(Path(arguments.table).name))
    if not arguments.draw:
        run(arguments)
    draw(Path(arguments.table).name, block_of(arguments.test_families))


def block_of(test_families: bool) -> str:
    return "test families" if test_families else "development families"


def sweep_path(table: str, block: str) -> Path:
    """The summary of a sweep over one block of a table's families."""
    return result_path(_named("sweep", block), table)


def _named(kind: str, block: str) -> str:
    return f"{kind}_test_families" if block == "test families" else kind


def run(arguments: argparse.Namespace) -> None:
    whole = MetaDataset.load(arguments.table)
    development = development_families(whole)
    table = whole if arguments.test_families else whole.only(development)
    judged = [family for family in table.families if (family in development) != arguments.test_families]
    block = block_of(arguments.test_families)
    name_of_table = Path(arguments.table).name
    parts = ROOT.parent / "runs" / "sweep" / name_of_table
    methods = [name for name in arguments.methods.split(",") if "bohb" not in name or has_hpbandster()]
    complete = true_scores(table, judged)
    loo = LooScores.load(arguments.loo, table.configs)
    if Path(arguments.loo).with_suffix(".json").exists():
        stale = stale_rankers(Path(arguments.loo), table, block)
        for ranker, reason in stale.items():
            print(f"left out: {ranker}: {reason}")
        loo = loo.without(stale)
    truth, ranked = scored_part(loo, complete)
    names = truth.tasks
    if len(names) < len(complete.tasks):
        print(f"no scores of all rankers, left out: {', '.join(sorted(set(complete.tasks) - set(names)))}")
    left_out = [name for name in methods if make_method(name).ranker not in ("", *ranked)]
    if left_out:
        print(f"no scores, left out: {', '.join(left_out)}")
    if arguments.by_hand is None:
        arguments.by_hand = table_by_hand(Path(arguments.table))
    typed, unknown = replayed_by_hand(methods, table, arguments.by_hand, names)
    if unknown:
        print(f"no curves of these configurations, left out: {', '.join(unknown)}")
    methods = [name for name in methods if name not in {*left_out, *unknown}]
    started = time.perf_counter()
    jobs = [(arguments, methods, typed, name, parts / f"{name}.parquet") for name in names]
    with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool:
        seconds = []
        for number, (name, used) in enumerate(pool.imap_unordered(_one_task, jobs), 1):
            seconds.append(used)
            print(
                f"{number}/{len(names)} {name}: {used:.0f} s of CPU, {time.perf_counter() - started:.0f} s", flush=True
            )
    files = [path for *_, path in jobs] + [typed_part(path) for *_, path in jobs if typed]
    frame = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    minutes = add_up(
        parts / f"{_named('minutes', block)}.json", (time.perf_counter() - started) / 60, sum(seconds) / 60
    )
    summary = environment() | {
        "table": about_table(table, arguments.table)
        | {"replayed_tasks": len(names), "families_replayed": len(set(truth.families))},
        "complete_tasks_without_scores": [task for task in complete.tasks if task not in set(names)],
        "block": block,
        "jobs": arguments.jobs,
        **minutes,
    }
    summary |= summarize(frame, table, protocol_budgets(table))
    path = sweep_path(name_of_table, block)
    if arguments.add and path.exists():
        old = read_summary(path)
        summary = joined(without(old, arguments.again.split(",")), json.loads(json.dumps(summary)))
    write_json(path, summary, lines=False)
    show(json.loads(path.read_text()))


def add_up(path: Path, wall: float, cpu: float) -> dict[str, float]:
    """Minutes of all calls together, on however busy a machine, and of CPU time."""
    before = json.loads(path.read_text()) if path.exists() else {"sweep_minutes": 0.0, "cpu_minutes": 0.0}
    minutes = {
        "sweep_minutes": round(before["sweep_minutes"] + wall, 2),
        "cpu_minutes": round(before["cpu_minutes"] + cpu, 2),
    }
    path.write_text(json.dumps(minutes))
    return minutes


def _one_task(job: tuple[argparse.Namespace, list[str], list[str], str, Path]) -> tuple[str, float]:
    arguments, methods, typed, name, part = job
    whole, loo = _loaded(arguments.table, arguments.loo)
    table = known_for(whole, name)
    budgets = grids(table)
    before = time.process_time()
    sweep(
        [method for method in methods if method not in typed],
        table,
        loo,
        budgets=budgets,
        tasks=[name],
        seeds=arguments.seeds,
        slow_seeds=arguments.slow_seeds,
        out=part,
        progress=_tell,
    )
    if typed:  # on curves of their own, with the same unit of seconds
        unit = {name: float(TaskCurves.of(table, name).seconds.mean())}
        hand = load(arguments.by_hand)
        sweep(typed, hand, budgets=budgets, tasks=[name], epoch_seconds=unit, out=typed_part(part))
    return name, time.process_time() - before


@cache
def _loaded(table: str, loo: str) -> tuple[MetaDataset, LooScores]:
    """A table and its scores, read once in every process."""
    whole = MetaDataset.load(table)
    return whole, LooScores.load(loo, whole.configs)


def typed_part(part: Path) -> Path:
    """The file of a task's runs on the second table."""
    return part.with_suffix(".by_hand.parquet")


def known_for(table: MetaDataset, task: str) -> MetaDataset:
    """What methods that learn from other tasks may know: for a development task, the development families alone."""
    family = dict(zip(table.tasks["name"], table.tasks["family"], strict=True))[task]
    development = development_families(table)
    return table.only(development) if family in development else table


def _tell(progress: SweepProgress) -> None:
    if progress.method == "tpe_hyperband" or "bohb" in progress.method:
        print(f"  {progress.task}: {progress.method}, {progress.done}/{progress.total} runs", flush=True)


def grids(table: MetaDataset) -> list[Budgets]:
    """The protocol's budgets and many between them, for curves."""
    low, *large = protocol_budgets(table)
    return [finer(low, table), *(finer(budgets, table, steps_per_r=4) for budgets in large)]


def show(summary: dict[str, Any]) -> None:
    for eta, part in summary["by_eta"].items():
        print(f"\neta = {eta}: mean best accuracy (half {summary['half']}), %, at budgets {part['budgets']}")
        last = str(part["budgets"][-1])
        ordered = sorted(
            part["methods"].items(),
            key=lambda m: -m[1]["at_budgets"][str(part["budgets"][0])]["accuracy"]["mean"],
        )
        for name, method in ordered:
            values = method["at_budgets"]
            means = "  ".join(f"{100 * values[str(b)]['accuracy']['mean']:5.1f}" for b in part["budgets"])
            low, high = (100 * values[last]["accuracy"][end] for end in ("low", "high"))
            print(f"  {name:32s} {means}   last [{low:4.1f}, {high:4.1f}]  {method['seeds']} seeds")


def draw(table: str, block: str) -> None:
    summary = read_summary(sweep_path(table, block))
    shown = looks(DRAWN)
    for kind, figure in (("figure_5b_average", draw_average), ("regret", draw_regret)):
        figure(summary, result_path(_named(kind, block), table, ".png"), shown)
    del shown["tr_automl"]  # it answers once, after 11 R epochs: not a curve of a task
    draw_tasks(summary, result_path(_named("figure_3_4_tasks", block), table, ".png"), shown)
    live = RESULTS / "live.json"
    if live.exists():
        draw_live_beside_replay(json.loads(live.read_text()), RESULTS / "live_beside_replay.png")
    print("drew the figures in benchmarks/results")


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a sweep under today's names of methods."""
    return current_names(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
