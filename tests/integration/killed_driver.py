"""A driver to be killed: ``killed_driver.py STORAGE LOG METHOD ENTRY`` begins a plan, or goes on with it."""

import json
import os
import sys

os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "0"  # Ray saves after every step, so that most kills fall into a save

import ray
from kill_plans import N_SAMPLES, PLANS
from noop import Table
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from hyperstar_tune import HyperStarSearcher, IncreasingImageSizes, PlanScheduler, RandomSearcher, Ranking, SearchSpace
from hyperstar_tune.search import Gated, KeepRestorable, make_restorable


def make_searcher(name, seed):
    space = SearchSpace.from_values({"x": list(range(100))})
    if name == "random":
        return RandomSearcher(space, seed=seed)
    if name == "sizes":
        return IncreasingImageSizes(RandomSearcher(space, seed=seed), sizes=(16, 32, 64), hand_on=2)
    if name == "bohb":
        from hyperstar_tune.rivals.bohb import BohbSearcher

        return BohbSearcher(space, seed=seed)
    if name == "optuna":
        from ray.tune.search.optuna import OptunaSearch

        return Gated(OptunaSearch(seed=seed))
    ranking = Ranking.of([{"x": x} for x in range(100)], [-x for x in range(100)])
    return HyperStarSearcher(ranking=ranking, use=name, seed=seed)


def main(storage, log, method="mixed, eta 3", entry="tuner"):
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    path = os.path.join(storage, "run")
    is_restored = make_restorable(path)
    name, plan = method.split(", ")
    is_ours = plan in PLANS
    scheduler = PlanScheduler(PLANS[plan]) if is_ours else ASHAScheduler(max_t=9, reduction_factor=3)
    callbacks = [] if is_ours else [KeepRestorable()]
    common = {
        "search_alg": make_searcher(name, seed=5 if is_restored else 4),
        "scheduler": scheduler,
        "metric": "acc",
        "mode": "max",
        "num_samples": -1 if is_ours else N_SAMPLES,
        "reuse_actors": True,
    }
    config = {"log": log, "log_by": "trial", "wait_s": 0.05}
    if name == "optuna":
        config["x"] = tune.randint(0, 100)
    if entry == "run":
        options = {**common, "storage_path": storage, "name": "run", "callbacks": callbacks, "verbose": 0}
        trials = tune.run(Table, config=config, resume=is_restored, **options).trials
    else:
        if is_restored:
            tuner = tune.Tuner.restore(path, Table, param_space=config)
        else:
            tuner = tune.Tuner(
                Table,
                param_space=config,
                tune_config=tune.TuneConfig(**common),
                run_config=tune.RunConfig(storage_path=storage, name="run", callbacks=callbacks, verbose=0),
            )
        trials = tuner.fit()._experiment_analysis.trials
        scheduler = tuner._local_tuner._tune_config.scheduler
    ended = {
        "statuses": [trial.status for trial in trials],
        "epochs": {trial.trial_id: trial.last_result["training_iteration"] for trial in trials},
        "is_restored": is_restored,
    }
    if is_ours:
        ended |= {
            "spent": scheduler.spent_epochs,
            "seconds": [scheduler._gate.seconds, scheduler.plan.seconds_budget],
            "budget": scheduler.plan.epoch_budget,
            "summary": scheduler.summary(),
            "redone": scheduler.redone_epochs,
            "rungs": [[record.bracket, record.rung, len(record.trial_ids)] for record in scheduler.rungs],
        }
    with open(os.path.join(storage, "ended.json"), "w") as file:
        json.dump(ended, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
