"""What our searcher and scheduler cost on real Tune: no-op trials beside Ray's FIFO, same trainable, trials and epochs.

Our run follows a Hyperband plan, with its pauses and resumes. Then FIFO runs the same number of trials to the same
epochs, each without a pause. Both reuse actors, write no logs and are repeated in turn. The medians are compared.

    python benchmarks/tune_overhead.py [--max-epochs 27] [--eta 3] [--repeats 3]
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import ray
from _common import RESULTS, environment, write_json
from ray import tune

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, Ranking, SearchSpace

N_CONFIGS = 500


class Noop(tune.Trainable):
    """Trains nothing; ends by itself after ``epochs`` epochs if the config says so."""

    def setup(self, config):
        """Takes the first configuration."""
        self.reset_config(config)

    def reset_config(self, new_config):
        """Takes the next one, so that the actor is reused."""
        self.x, self.epochs, self.epoch = new_config["x"], new_config.get("epochs"), 0
        return True

    def step(self):
        """One epoch."""
        self.epoch += 1
        return {"acc": self.x / N_CONFIGS + self.epoch / 1000, "done": self.epoch == self.epochs}

    def save_checkpoint(self, checkpoint_dir):
        """Saves the epoch, which is the whole state."""
        return {"epoch": self.epoch}

    def load_checkpoint(self, checkpoint):
        """Goes on after that epoch."""
        self.epoch = checkpoint["epoch"]


def run(storage, **options):
    """Seconds of a run and its trials."""
    start = time.perf_counter()
    analysis = tune.run(
        Noop,
        metric="acc",
        mode="max",
        reuse_actors=True,
        verbose=0,
        storage_path=storage,
        raise_on_failed_trial=False,
        **options,
    )
    return time.perf_counter() - start, analysis.trials


def run_ours(plan, storage):
    space = SearchSpace.from_values({"x": list(range(N_CONFIGS))})
    ranking = Ranking.of(space.grid(), [-x for x in range(N_CONFIGS)])
    searcher = HyperStarSearcher(ranking=ranking)
    return run(storage, search_alg=searcher, scheduler=PlanScheduler(plan), num_samples=-1)


def run_fifo(epochs, storage):
    """FIFO with Ray's variant generator: one trial for each entry of ``epochs``."""
    config = {"x": 1, "epochs": tune.grid_search(epochs)}
    return run(storage, config=config)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-epochs", type=int, default=27)
    parser.add_argument("--eta", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "tune_overhead.json")
    options = parser.parse_args()
    plan = HyperBandPlan(options.max_epochs, options.eta)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    ours, fifo = [], []
    with tempfile.TemporaryDirectory() as storage:
        run_ours(plan, storage)  # warms the workers up
        for _ in range(options.repeats):
            seconds, trials = run_ours(plan, storage)
            epochs = [trial.last_result["training_iteration"] for trial in trials]
            assert sum(epochs) == plan.epoch_budget
            ours.append(seconds)
            seconds, trials = run_fifo(epochs, storage)
            assert sum(trial.last_result["training_iteration"] for trial in trials) == plan.epoch_budget
            fifo.append(seconds)
    ray.shutdown()
    ours_s, fifo_s = statistics.median(ours), statistics.median(fifo)
    report = {
        "ratio_to_fifo": round(ours_s / fifo_s, 3),
        "seconds_per_trial": round(ours_s / len(epochs), 4),
        "fifo_seconds_per_trial": round(fifo_s / len(epochs), 4),
        "trials": len(epochs),
        "epochs": plan.epoch_budget,
        "ours_s": [round(seconds, 3) for seconds in ours],
        "fifo_s": [round(seconds, 3) for seconds in fifo],
        **environment(),
    }
    write_json(options.out, report)
    print(f"{report['trials']} trials, {plan.epoch_budget} epochs: {ours_s:.2f} s ours, {fifo_s:.2f} s FIFO")
    print(f"ratio {report['ratio_to_fifo']}, {report['seconds_per_trial']} s a trial")


if __name__ == "__main__":
    main()
