"""Syne Tune's own methods and its simulator on the same table and development families, for a figure beside ours.

Writes benchmarks/results/syne_tune.json, from which benchmarks/replay.py takes the speed.

    python benchmarks/syne_tune_methods.py
"""

import argparse
import logging
import os
import tempfile
import time
from typing import Any

os.environ.setdefault("SYNETUNE_FOLDER", tempfile.mkdtemp())  # read when Syne Tune is imported

import numpy as np
import pandas as pd
from _common import RESULTS, about_table, environment, write_json
from scoreboard.families import development_families
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular
from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
from syne_tune.config_space import choice, randint
from syne_tune.optimizer.baselines import ASHA, BOHB, RandomSearch

from hyperstar_tune.comparison.statistics import bootstrap_mean
from hyperstar_tune.simulation.curves import TaskCurves
from hyperstar_tune.tables.metadataset import MetaDataset

METHODS = ("syne_random_search", "syne_asha", "syne_bohb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="benchmarks/metadata/shufflenet-v2-x1-v0")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    whole = MetaDataset.load(arguments.table)
    table = whole.only(development_families(whole))
    complete = table.tasks["name"][table.complete].tolist()
    longest = int(table.epochs[-1])
    points = [int(multiple * longest) for multiple in (1, 2, 2.5, 4.5)]
    rows = []
    for task in complete:
        curves = TaskCurves.of(table, task)
        blackbox = as_blackbox(curves)
        for method in METHODS:
            for seed in range(arguments.seeds):
                best = replay(blackbox, curves, method, seed, points[-1])
                rows.append({"method": method, "task": task, "family": curves.family, "seed": seed} | at(best, points))
        print(task, flush=True)
    frame = pd.DataFrame(rows)
    columns = [str(point) for point in points]
    means = frame.groupby(["method", "family"], sort=False)[columns].mean()
    speed = trials_per_second(TaskCurves.of(table, complete[-1]))
    data = environment() | {
        "table": about_table(table, arguments.table) | {"replayed_tasks": len(complete)},
        "syne_tune_trials_per_second": round(speed["trials"] / speed["cpu_s"], 1),
        "speed": speed,
        "seeds": arguments.seeds,
        "accuracy_at_budgets": {
            method: {column: bootstrap_mean(means.loc[method][column]).to_json() for column in columns}
            for method in METHODS
        },
        "runs": {
            method: {
                task: np.round(part[columns].to_numpy(), 4).tolist()
                for task, part in frame[frame["method"] == method].groupby("task", sort=False)
            }
            for method in METHODS
        },
    }
    write_json(RESULTS / "syne_tune.json", data)
    for method, values in data["accuracy_at_budgets"].items():
        print(f"{method:20s}", "  ".join(f"{100 * values[column]['mean']:5.1f}" for column in columns))
    print(f"{data['syne_tune_trials_per_second']} trials a second of CPU")


def as_blackbox(curves: TaskCurves) -> BlackboxTabular:
    """One task as Syne Tune's table: 1 - accuracy, and the seconds since a trial's start."""
    names = list(curves.space.parameters)
    values = {name: list(dict.fromkeys(config[name] for config in curves.configs)) for name in names}
    objectives = np.stack([1 - np.nan_to_num(curves.accuracy), curves.end_seconds[:, 1:]], axis=-1)
    return BlackboxTabular(
        hyperparameters=pd.DataFrame(curves.configs, columns=names),
        configuration_space={name: choice(values[name]) for name in names},
        fidelity_space={"epoch": randint(1, curves.max_epochs)},
        objectives_evaluations=objectives[:, None].astype(np.float64),
        fidelity_values=np.arange(1, curves.max_epochs + 1),
        objectives_names=["error", "elapsed"],
    )


def replay(blackbox: BlackboxTabular, curves: TaskCurves, method: str, seed: int, n_epochs: int) -> np.ndarray:
    """The best accuracy after each of the first ``n_epochs`` epochs."""
    result = run(blackbox, curves, method, seed, StoppingCriterion(max_num_evaluations=2 * n_epochs))
    ordered = result.sort_values("st_tuner_time", kind="stable")["error"].to_numpy()[:n_epochs]
    return np.maximum.accumulate(1 - ordered)


def run(blackbox: BlackboxTabular, curves: TaskCurves, method: str, seed: int, stop: StoppingCriterion) -> pd.DataFrame:
    space = blackbox.configuration_space
    shared: dict[str, Any] = {"random_seed": seed}
    if method == "syne_random_search":
        scheduler = RandomSearch(space, metrics=["error"], **shared)
    else:
        kind = {"syne_asha": ASHA, "syne_bohb": BOHB}[method]
        scheduler = kind(
            space, metric="error", time_attr="epoch", max_t=curves.max_epochs, reduction_factor=2, **shared
        )
    recorder = SimulatorCallback()
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(blackbox, elapsed_time_attr="elapsed"),
        scheduler=scheduler,
        stop_criterion=stop,
        n_workers=1,
        sleep_time=0,
        callbacks=[recorder],
        save_tuner=False,
        print_update_interval=1e9,
        results_update_interval=1e9,
    )
    tuner.run()
    return pd.DataFrame(recorder.results)


def at(best: np.ndarray, points: list[int]) -> dict[str, float]:
    return {str(point): float(best[min(point, len(best)) - 1]) for point in points}


def trials_per_second(curves: TaskCurves) -> dict[str, float]:
    """ASHA over 108 trials, three times."""
    blackbox = as_blackbox(curves)
    run(blackbox, curves, "syne_asha", 0, StoppingCriterion(max_num_trials_finished=20))
    wall, cpu, trials = time.perf_counter(), time.process_time(), 0
    for seed in range(3):
        result = run(blackbox, curves, "syne_asha", seed, StoppingCriterion(max_num_trials_finished=108))
        trials += result["trial_id"].nunique()
    return {
        "trials": trials,
        "cpu_s": round(time.process_time() - cpu, 3),
        "wall_s": round(time.perf_counter() - wall, 3),
    }


if __name__ == "__main__":
    main()
