"""Runs a plan on the cluster of two nodes that RAY_ADDRESS names, and says where it trained.

``cluster_driver.py STORAGE KILL_AFTER SECOND``: the second node is the process group of that number.
"""

import json
import os
import signal
import sys
import time
from collections import Counter

os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"

import ray
from ray import tune

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, Ranking
from hyperstar_tune.cluster import join_ray

PLAN = HyperBandPlan(9, 3, 42)


class Where(tune.Trainable):
    """Reports the node it trains on."""

    def setup(self, config):
        self.node = ray.get_runtime_context().get_node_id()
        open(os.path.join(config["started"], self.node), "w").close()
        self.reset_config(config)

    def reset_config(self, new_config):
        self.config, self.epoch = new_config, 0
        return True

    def step(self):
        """Waits for the other node's first trial, as an epoch of real training would outlast its start."""
        deadline = time.monotonic() + 60
        while len(os.listdir(self.config["started"])) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(self.config["wait_s"])
        self.epoch += 1
        return {"acc": self.config["x"] / 100 + self.epoch / 10_000, "node": self.node}

    def save_checkpoint(self, checkpoint_dir):
        return {"epoch": self.epoch}

    def load_checkpoint(self, checkpoint):
        self.epoch = checkpoint["epoch"]


class Watch(tune.Callback):
    """Counts epochs by node and kills a node when it reports one after the ``kill_after``-th of the run; 0: never."""

    def __init__(self, victim, node_id, kill_after):
        self.victim, self.node_id, self.kill_after = victim, node_id, kill_after
        self.epochs = Counter()
        self.hosted = None
        self.shares = []  # of the nodes in the epochs until then

    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.epochs[result["node"]] += 1
        is_due = self.kill_after and sum(self.epochs.values()) > self.kill_after
        if is_due and self.hosted is None and result["node"] == self.node_id:
            self.hosted = trial.trial_id
            self.shares = self.shares_now()
            os.killpg(self.victim, signal.SIGKILL)

    def shares_now(self):
        return sorted(round(n / sum(self.epochs.values()), 3) for n in self.epochs.values())


def second_node():
    """The node that is not the head, once it has joined."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for node in ray.nodes():
            if node["Alive"] and "node:__internal_head__" not in node["Resources"]:
                return node["NodeID"]
        time.sleep(0.1)
    raise AssertionError("the second node must join within 60 s")


def main(storage, kill_after, victim):
    started = os.path.join(storage, "started")
    os.mkdir(started)
    join_ray()
    try:
        ray.cloudpickle.register_pickle_by_value(sys.modules["__main__"])
        watch = Watch(int(victim), second_node(), int(kill_after))
        scheduler = PlanScheduler(PLAN)
        trials = tune.run(
            Where,
            config={"wait_s": 0.15, "started": started},
            search_alg=HyperStarSearcher(ranking=Ranking.of([{"x": x} for x in range(50)], [-x for x in range(50)])),
            scheduler=scheduler,
            metric="acc",
            mode="max",
            num_samples=-1,
            reuse_actors=True,
            max_failures=3,
            raise_on_failed_trial=False,
            callbacks=[watch],
            storage_path=storage,
            name="run",
            verbose=0,
        ).trials
        ended = {
            "statuses": sorted({trial.status for trial in trials}),
            "spent": scheduler.spent_epochs,
            "budget": PLAN.epoch_budget,
            "kept": sum((trial.last_result or {}).get("training_iteration", 0) for trial in trials),
            "errors": [str(trial.get_error())[-1500:] for trial in trials if trial.status == "ERROR"],
            "summary": scheduler.summary(),
            "redone": scheduler.redone_epochs,
            "rungs": [len(record.trial_ids) for record in scheduler.rungs],
            "hosted": watch.hosted,
            "shares": watch.shares or watch.shares_now(),
        }
        with open(os.path.join(storage, "ended.json"), "w") as file:
            json.dump(ended, file)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
