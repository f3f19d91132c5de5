"""What a decision costs as a run grows: one pass of Hyperband (eta = 3) with R = 100, 1,000 and 10,000.

Searcher and scheduler are driven in process, without Ray's own cost, and a trial reports at the ends of rungs. A
decision is a suggestion, a result, or one look for a trial to run. With ``--tune`` a pass of R = 1,000 also runs on
real Ray Tune, with over 1,000 trials that train nothing; this takes several minutes.

    python benchmarks/scale.py [--sizes 100 1000 10000] [--tune]

Writes benchmarks/results/scale.json.
"""

import argparse
import gc
import json
import os
import pickle
import resource
import tempfile
import time
import tracemalloc
from pathlib import Path

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

from _common import RESULTS, environment, write_json

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, Ranking
from hyperstar_tune.simulation import MadeUpCurves, VirtualController
from hyperstar_tune.simulation.controller import METRIC, MODE


class Timed(PlanScheduler):
    """Counts its decisions and their seconds."""

    seconds = 0.0
    decisions = 0

    def _time(self, function, *arguments):
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            self.seconds += time.perf_counter() - start
            self.decisions += 1

    def on_trial_result(self, tune_controller, trial, result):
        """Decides as its base does, and takes the time."""
        return self._time(super().on_trial_result, tune_controller, trial, result)

    def choose_trial_to_run(self, tune_controller):
        """Chooses as its base does, and takes the time."""
        return self._time(super().choose_trial_to_run, tune_controller)


def _ranking(n_configs: int) -> Ranking:
    return Ranking.of([{"x": x} for x in range(n_configs)], [-x for x in range(n_configs)])


def in_process(size: int) -> dict[str, float]:
    """One pass with R = ``size``."""
    plan = HyperBandPlan(size, 3)
    n_configs = 2 * sum(bracket.n_configs for bracket in plan.brackets)
    curves = MadeUpCurves(lambda config, epoch: config["x"] / n_configs * (1 - 1 / (epoch + 1)), size)
    searcher = HyperStarSearcher(ranking=_ranking(n_configs))
    scheduler = Timed(plan)

    def target(trial):
        return searcher.next_report(trial.trial_id, trial.epoch, every_level=False)

    searcher.set_search_properties(METRIC, MODE, {})
    scheduler.set_search_properties(METRIC, MODE)
    controller = VirtualController(curves, searcher, scheduler, n_workers=4, next_report=target)
    gc.collect()
    controller.run()
    n_trials = len(controller.get_trials())
    assert controller.epochs == plan.epoch_budget
    assert not controller.stalled
    decisions = scheduler.decisions + n_trials
    return {
        "trials": n_trials,
        "decisions": decisions,
        "microseconds_per_decision": 1e6 * (scheduler.seconds + controller.searcher_s) / decisions,
        "saved_bytes_per_trial": len(pickle.dumps(searcher.get_state())) / n_trials,
    }


def measure(size: int, repeats: int) -> dict[str, float]:
    """Medians of the times; memory is traced in a run of its own, which is slower."""
    runs = [in_process(size) for _ in range(repeats)]
    times = sorted(run["microseconds_per_decision"] for run in runs)
    tracemalloc.start()
    in_process(size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        **runs[0],
        "microseconds_per_decision": round(times[len(times) // 2], 2),
        "microseconds_spread": [round(times[0], 2), round(times[-1], 2)],
        "saved_bytes_per_trial": round(runs[0]["saved_bytes_per_trial"]),
        "peak_bytes_per_trial": round(peak / runs[0]["trials"]),
    }


def on_tune(size: int) -> dict[str, float]:
    """One pass of no-op trials on real Tune."""
    import ray
    from ray import tune
    from tune_overhead import Noop

    plan = HyperBandPlan(size, 3)
    n_configs = 2 * sum(bracket.n_configs for bracket in plan.brackets)
    scheduler = Timed(plan)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as storage:
        trials = tune.run(
            Noop,
            search_alg=HyperStarSearcher(ranking=_ranking(n_configs)),
            scheduler=scheduler,
            metric="acc",
            mode="max",
            num_samples=-1,
            reuse_actors=True,
            storage_path=storage,
            name="run",
            verbose=0,
        ).trials
    seconds = time.perf_counter() - start
    ray.shutdown()
    assert {trial.status for trial in trials} == {"TERMINATED"}
    assert scheduler.spent_epochs == plan.epoch_budget
    return {
        "trials": len(trials),
        "max_epochs": size,
        "epochs": scheduler.spent_epochs,
        "seconds": round(seconds, 1),
        "microseconds_per_decision": round(1e6 * scheduler.seconds / scheduler.decisions, 2),
        "driver_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--tune-size", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json")
    arguments = parser.parse_args()
    by_size = {}
    for size in arguments.sizes:
        by_size[str(size)] = found = measure(size, arguments.repeats)
        print(f"R = {size}: {found}", flush=True)
    before = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    real = on_tune(arguments.tune_size) if arguments.tune else before.get("on_tune")
    write_json(
        arguments.out,
        {
            **environment(),
            "trials": {size: found["trials"] for size, found in by_size.items()},
            "microseconds_per_decision": {size: found["microseconds_per_decision"] for size, found in by_size.items()},
            "by_size": by_size,
            "on_tune": real,
        },
    )


if __name__ == "__main__":
    main()
