"""Does to runs, many times over, what a cluster does, and checks the promises of docs/reliability.md.

Drivers are killed at random moments and restored, with several searchers and plans. Workers and nodes are killed.
Trials raise errors, hang, diverge, and run out of memory and of disk. The storage goes away. The scenarios are those of
tests/integration.

    python benchmarks/soak.py [--kills 4] [--seeds 2] [--only kills|faults|nodes]

It writes benchmarks/results/soak.json, and takes about 13 minutes on two cores, or more if they are busy.
"""

import argparse
import contextlib
import importlib.util
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "integration"))

import noop
import ray
from _common import RESULTS, environment, write_json
from clusters import run_on_two_nodes
from faults import FAULTS, run_that_must_stop, run_with_fault
from kills import run_with_kills

from hyperstar_tune import HyperStarSearcher
from hyperstar_tune.errors import PredictorError

METHODS = (
    *("top, race", "top, race in seconds", "random, race", "mixed, eta 3", "top, eta 2", "random, eta 3"),
    *("random, eta 2", "bohb, eta 3", "optuna, eta 2", "top, asha", "sizes, eta 3"),
    "sizes, asha",
)


def truncated_predictor(storage, log, seed):
    """A predictor file that was cut is refused before the run starts."""
    del log
    from _fuzz_targets import targets

    (storage / "sound").mkdir()
    target = next(target for target in targets(storage / "sound") if target.name == "predictor, damaged")
    folder = storage / "cut"
    folder.mkdir()
    for name, content in target.files.items():
        (folder / name).write_bytes(content[: len(content) * (seed + 1) // 7] if "weights" in name else content)
    try:
        HyperStarSearcher(task="torchvision:CIFAR10", predictor=str(folder))
    except PredictorError as error:
        return ([] if "\n" not in str(error) else ["an error must be one line"]), {}
    return ["a cut predictor must be refused"], {}


def kill_scenarios(n_kills, n_seeds):
    """Drivers killed."""
    for seed in range(n_seeds):
        for method in METHODS:
            package = {"bohb": "hpbandster", "optuna": "optuna"}.get(method.split(",")[0])
            if package is None or importlib.util.find_spec(package):
                yield (
                    f"driver killed {n_kills} times: {method}, seed {seed}",
                    lambda storage, log, m=method, s=seed: run_with_kills(storage, log, n_kills, s, m),
                )


def fault_scenarios(n_seeds):
    """Faults of one trial, and runs that cannot go on, on one local Ray."""
    for seed in range(n_seeds):
        for fault in FAULTS:
            yield (
                f"trial: {fault}, seed {seed}",
                lambda storage, log, f=fault, s=seed: run_with_fault(storage, log, f, s),
            )
        yield (
            f"predictor file cut, seed {seed}",
            lambda storage, log, s=seed: truncated_predictor(storage, log, s),
        )
    for fault in ("metric missing", "storage gone"):
        yield f"run: {fault}", lambda storage, log, f=fault: run_that_must_stop(storage, log, f)


def node_scenarios(n_seeds):
    """Two nodes."""
    yield "two nodes", lambda storage, log: run_on_two_nodes(storage)
    for seed in range(n_seeds):
        after = random.Random(seed).randrange(1, 28)  # of 42 epochs: later the second node may have none to train
        yield (
            f"node killed after {after} epochs, seed {seed}",
            lambda storage, log, n=after: run_on_two_nodes(storage, n),
        )


def play(scenarios, total, found):
    """Plays scenarios one after another and counts."""
    for name, scenario in scenarios:
        start = time.monotonic()
        said = io.StringIO()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            storage, log = Path(folder, "storage"), Path(folder, "log")
            storage.mkdir()
            log.mkdir()
            with contextlib.redirect_stdout(said):
                wrong, counted = scenario(storage, log)
        seconds = round(time.monotonic() - start, 1)
        total.update({key: value for key, value in counted.items() if isinstance(value, int)})
        total["failed"] += bool(wrong)
        found.append({"scenario": name, "wrong": wrong, **counted, "seconds": seconds})
        print(f"{'ok ' if not wrong else 'NOT'} {seconds:6.1f} s  {name}  {counted}", flush=True)
        for line in wrong:
            print(f"      {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=4, help="of each driver")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=("kills", "faults", "nodes"))
    parser.add_argument("--out", type=Path, default=RESULTS / "soak.json")
    arguments = parser.parse_args()
    start = time.monotonic()
    total: Counter = Counter()
    found: list[dict] = []
    if arguments.only in (None, "nodes"):
        play(node_scenarios(arguments.seeds), total, found)
    if arguments.only in (None, "faults"):
        ray.cloudpickle.register_pickle_by_value(noop)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        play(fault_scenarios(arguments.seeds), total, found)
        ray.shutdown()
    if arguments.only in (None, "kills"):
        play(kill_scenarios(arguments.kills, arguments.seeds), total, found)
    write_json(
        arguments.out,
        {
            **environment(),
            "scenarios": len(found),
            "failed": total["failed"],
            "kills": total["kills"],
            "torn_states_mended": total["torn"],
            "hangs": total["hangs"],
            "lost_results": total["lost"],
            "budget_violations": total["violations"],
            "redone_epochs": total["redone"],
            "redone_epochs_not_counted": total["redone_uncounted"],
            "minutes": round((time.monotonic() - start) / 60, 1),
            "found": found,
        },
    )
    sys.exit(total["failed"] > 0)


if __name__ == "__main__":
    main()
