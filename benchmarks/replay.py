"""How fast the replay is, what faults do to schedulers, and where the time goes: benchmarks/results/replay.json.

    python benchmarks/replay.py

Speeds are per second of CPU time of one core, so that a busy machine does not change them much. The wall time is given
too. Syne Tune's speed comes from syne_tune.json and the sweep's time from sweep.json, both in benchmarks/results.
"""

import argparse
import cProfile
import gc
import json
import pstats
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS, about_table, environment, write_json
from ray.tune.schedulers import HyperBandScheduler

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher
from hyperstar_tune.comparison import Setting, make_method, run_method
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.bohb import BohbSearcher, has_hpbandster
from hyperstar_tune.simulation import Run, TaskCurves, faults, replay
from hyperstar_tune.tables.metadataset import MetaDataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="benchmarks/metadata/shufflenet-v2-x1-v0")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--no-faults", action="store_true", help="leave out the fault harness (some minutes with BOHB)")
    arguments = parser.parse_args()
    table = MetaDataset.load(arguments.table)
    complete = table.tasks["name"][table.complete].tolist()
    recorded = TaskCurves.of(table, complete[-1])
    curves = at_length(recorded, 32)
    _ = curves.results, recorded.results
    gc.collect()
    gc.freeze()
    data: dict[str, Any] = environment() | {
        "table": about_table(table, arguments.table) | {"task": curves.task},
        "size": f"{len(curves.configs)} configurations x {curves.max_epochs} epochs, a full pass of Hyperband, eta = 2",
        "unit": "runs or trials a second of CPU time, one core; best of five blocks",
    }
    plan, at27 = HyperBandPlan(32, 2), curves.prefix(27)
    speeds = {
        "hyperband": speed(lambda seed: method_run("hyperband", curves, plan, seed), arguments.runs),
        "hyperband_every_epoch": speed(
            lambda seed: method_run("hyperband", curves, plan, seed, "every epoch"), arguments.runs
        ),
        "hyperband_eta_3": speed(
            lambda seed: method_run("hyperband", at27, HyperBandPlan(27, 3), seed), arguments.runs
        ),
        "hyperstar": speed(lambda seed: method_run("truth+hyperband", curves, plan, seed), arguments.runs),
        "asha": speed(
            lambda seed: method_run("asha", curves, HyperBandPlan(32, 2, 800), seed), max(5, arguments.runs // 10)
        ),
        # What syne_tune_methods.py measures: the same scheduler on the same curves at their own length.
        "asha_as_syne_tune": speed(
            lambda seed: method_run("asha", recorded, HyperBandPlan(recorded.max_epochs, 2, 800), seed),
            max(5, arguments.runs // 10),
        ),
    }
    if has_hpbandster():
        speeds["bohb"] = speed(lambda seed: method_run("bohb", curves, plan, seed), 5)
    data["speeds"] = speeds
    data["hyperband_runs_per_second"] = speeds["hyperband"]["runs_per_cpu_second"]
    data["bohb_runs_per_second"] = speeds.get("bohb", {}).get("runs_per_cpu_second")
    data["our_trials_per_second"] = speeds["asha_as_syne_tune"]["trials_per_cpu_second"]
    data["syne_tune_trials_per_second"] = other("syne_tune.json", "syne_tune_trials_per_second")
    data["sweep_minutes"] = other("sweep.json", "sweep_minutes")
    data["profile"] = profile(lambda: [method_run("hyperband", curves, plan, seed) for seed in range(100)])
    old = RESULTS / "replay.json"
    if not arguments.no_faults:
        data["faults"] = fault_harness(curves.prefix(27))
    elif old.exists():
        data["faults"] = json.loads(old.read_text()).get("faults")
    write_json(old, data)
    for name, value in data.items():
        if name.endswith(("_second", "_minutes")):
            print(f"{name:32s} {value}")
    for name, value in (data.get("faults") or {}).items():
        print(f"{name:32s} {value}")


def at_length(curves: TaskCurves, max_epochs: int) -> TaskCurves:
    """The same curves over another number of epochs: each epoch repeated, or the first ones."""
    times = -(-max_epochs // curves.max_epochs)
    names = ("accuracy", "accuracy_b", "loss", "seconds")
    longer = {name: np.repeat(getattr(curves, name), times, axis=1)[:, :max_epochs] for name in names}
    return TaskCurves(curves.task, curves.family, curves.space, curves.configs, **longer)


def method_run(name: str, curves: TaskCurves, plan: HyperBandPlan, seed: int, reports: str | None = None) -> Run:
    ranking = Ranking.of(curves.configs, np.nan_to_num(curves.accuracy[:, -1])) if "+" in name else None
    return run_method(make_method(name), curves, Setting(curves.space, plan, seed, ranking), reports=reports)


def speed(one: Callable[[int], Run], n_runs: int) -> dict[str, float]:
    one(0)
    blocks = []
    for block in range(5):
        wall, cpu, trials = time.perf_counter(), time.process_time(), 0
        for seed in range(n_runs // 5):
            trials += len(one(1000 * block + seed).trials)
        blocks.append((time.process_time() - cpu, time.perf_counter() - wall, trials))
    cpu_s, wall_s, trials = min(blocks)
    count = n_runs // 5
    return {
        "runs_per_cpu_second": round(count / cpu_s, 1),
        "runs_per_wall_second": round(count / wall_s, 1),
        "slowest_block": round(count / max(blocks)[0], 1),
        "trials_per_cpu_second": round(trials / cpu_s, 1),
    }


def profile(work: Callable[[], Any], n: int = 12) -> list[dict[str, Any]]:
    """The functions with the largest share of the time."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    stats: Any = pstats.Stats(profiler)
    rows = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:n]
    return [
        {
            "function": f"{Path(file).name}:{name}",
            "share": round(own / stats.total_tt, 4),
            "calls": calls,
        }
        for (file, _, name), (_, calls, own, _, _) in rows
    ]


def fault_harness(curves: TaskCurves) -> dict[str, Any]:
    """Puts an error in the place of each report of a full plan (R = 27, eta = 3), for our scheduler and for Ray's."""
    ranking = Ranking.of(curves.configs, np.nan_to_num(curves.accuracy[:, -1]))
    plan = HyperBandPlan(27, 3)
    ours: dict[str, Callable[[], Any]] = {
        "hyperband": lambda: RandomSearcher(curves.space, seed=0),
        "hyperstar": lambda: HyperStarSearcher(ranking=ranking),
    }
    if has_hpbandster():
        ours["bohb"] = lambda: BohbSearcher(curves.space, seed=0, n_samples=4)
    counted = {}
    for name, searcher in ours.items():
        counted[name] = count_stalls(lambda s=searcher, **how: replay(curves, s(), PlanScheduler(plan), **how))
    for name, queued in (("ray_hyperband_with_a_searcher", 1), ("ray_hyperband_without", 200)):
        counted[name] = count_stalls(
            lambda q=queued, **how: replay(
                curves,
                HyperStarSearcher(ranking=Ranking.of(ranking.configs[:49], ranking.scores[:49])),
                HyperBandScheduler(max_t=27, reduction_factor=3),
                n_queued=q,
                **how,
            )
        )
    return counted


def count_stalls(run: Callable[..., Run]) -> dict[str, int]:
    n_reports = run().n_results
    stalls = sum(run(faults={n: faults.error}).stalled for n in range(1, n_reports + 1))
    return {"cases": n_reports, "stalls": stalls}


def other(file: str, name: str) -> Any:
    path = RESULTS / file
    return json.loads(path.read_text()).get(name) if path.exists() else None


if __name__ == "__main__":
    main()
