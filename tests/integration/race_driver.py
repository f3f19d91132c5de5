"""A race on recorded curves, to be killed: ``race_driver.py STORAGE TASK`` begins it, or goes on with it."""

import json
import os
import sys
from pathlib import Path

os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "0"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ray
import table_trainable
from made_up_table import make_table
from ray import tune

from hyperstar_tune import HyperStarSearcher, PlanScheduler, RacePlan, Ranking
from hyperstar_tune.complement import shortfalls
from hyperstar_tune.search import make_restorable
from hyperstar_tune.simulation import TaskCurves

PLAN = RacePlan(9, 34)


def parts_of(task):
    """The curves of a task, and a searcher and a scheduler for it."""
    table = make_table()
    curves = TaskCurves.of(table, task)
    falls = shortfalls(table.without(curves.family).steady_scores())
    ranking = Ranking.of(curves.configs, curves.accuracy[:, 4], falls=falls, source="noisy")
    return curves, HyperStarSearcher(ranking=ranking, plan=PLAN), PlanScheduler(PLAN)


def run(storage, task, wait_s=0.0, resume=False):
    """Row, epochs, best accuracy and last half-B accuracy of every trial, and the rungs, on the Ray that is up."""
    curves, searcher, scheduler = parts_of(task)
    trials = tune.run(
        tune.with_resources(table_trainable.table_trainable(curves, wait_s), {"cpu": 2}),  # one at a time
        search_alg=searcher,
        scheduler=scheduler,
        metric="val_accuracy",
        mode="max",
        num_samples=-1,
        reuse_actors=True,
        storage_path=str(storage),
        name="run",
        resume=resume,
        verbose=0,
    ).trials
    row = {trial.trial_id: curves.row(trial.config) for trial in trials}
    last = {trial.trial_id: trial.last_result for trial in trials if trial.last_result.get("training_iteration")}
    best = {trial.trial_id: trial.metric_analysis["val_accuracy"]["max"] for trial in trials if trial.trial_id in last}
    return {
        "trials": sorted([row[i], last[i]["training_iteration"], best[i], last[i]["val_accuracy_b"]] for i in last),
        "rungs": [[r.bracket, r.rung, r.epochs, [row[i] for i in r.trial_ids]] for r in scheduler.rungs],
        "spent": scheduler.spent_epochs,
        "restored": scheduler._gate.restores,
    }


if __name__ == "__main__":
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    folder, name = sys.argv[1:]
    ended = run(folder, name, wait_s=0.1, resume=make_restorable(os.path.join(folder, "run")))
    Path(folder, "ended.json").write_text(json.dumps(ended))
