"""A controller in process that treats searcher and scheduler as Ray's does, with faults on demand.

It keeps one PENDING trial queued, saves a trial before it is paused, recovers or fails trials, and can be killed and
restored from its last snapshot.
"""

import pickle
import random
from collections import Counter
from dataclasses import dataclass, field

from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.search import Searcher

from hyperstar_tune import RandomSearcher, TaskAwareHyperBand

PENDING, RUNNING, PAUSED = RayTrial.PENDING, RayTrial.RUNNING, RayTrial.PAUSED
TERMINATED, ERROR = RayTrial.TERMINATED, RayTrial.ERROR


@dataclass(eq=False)
class FakeTrial:
    trial_id: str
    config: dict
    status: str = PENDING
    epoch: int = 0
    checkpoint: int = 0
    is_saving: bool = False
    after_save: str = ""
    restored_at: int = 0
    last_result: dict = field(default_factory=dict)

    def set_status(self, status):
        self.status = status

    def get_trainable_cls(self):
        return object


class FakeSearchAlg:
    """Ray's SearchGenerator."""

    def __init__(self, searcher, num_samples):
        self.searcher = searcher
        self.num_samples = num_samples
        self.count = 0
        self.finished = False

    def next_trial(self):
        if self.is_finished():
            return None
        trial_id = f"t{self.count:04d}"
        config = self.searcher.suggest(trial_id)
        if config is None:
            return None
        if config == Searcher.FINISHED:
            self.finished = True
            return None
        self.count += 1
        return FakeTrial(trial_id, config)

    def is_finished(self):
        return self.finished or self.count >= self.num_samples

    def set_finished(self):
        self.finished = True


class FakeController:
    """Runs trials on ``workers`` workers.

    ``faults`` maps the number of a training event to "fail" (for good), "recover" (Ray starts it again from its last
    checkpoint), "lose" (Ray ends it and tells nobody), "save" (saving fails, recovered), "nan" or "done".
    """

    def __init__(
        self, scheduler, searcher, workers=2, curve=None, faults=None, num_samples=10**9, seed=0, metric="acc"
    ):
        self.scheduler = scheduler
        self.search_alg = FakeSearchAlg(searcher, num_samples)
        self.workers = workers
        self.curve = curve or default_curve
        self.faults = dict(faults or {})
        self.metric = metric
        self.trials = []
        self.trained = []  # (trial id, epoch) in order
        self.events = 0
        self.random = random.Random(seed)
        self.snapshot = None
        self.snapshot_every = 0
        scheduler.set_search_properties(metric, "max")

    # -- what a scheduler may call -------------------------------------------------------------------------------------

    def get_trials(self):
        return self.trials

    def get_live_trials(self):
        return {trial for trial in self.trials if trial.status not in (TERMINATED, ERROR)}

    def _set_trial_status(self, trial, status):
        trial.status = status

    def stop_trial(self, trial):
        if trial.status in (PENDING, PAUSED):
            self.scheduler.on_trial_remove(self, trial)
            self.search_alg.searcher.on_trial_complete(trial_id=trial.trial_id)
        elif trial.status == RUNNING:
            self.scheduler.on_trial_complete(self, trial, dict(trial.last_result))
            self.search_alg.searcher.on_trial_complete(trial_id=trial.trial_id, result=dict(trial.last_result))
        else:
            return
        trial.status = TERMINATED

    # -- the loop ------------------------------------------------------------------------------------------------------

    def add(self, trial):
        self.trials.append(trial)
        self.scheduler.on_trial_add(self, trial)

    @property
    def done(self):
        return self.search_alg.is_finished() and not self.get_live_trials()

    def run(self, steps=100_000):
        while not self.done:
            self.step()
            steps -= 1
            assert steps > 0, f"stalled: {self.scheduler.debug_string()} {Counter(t.status for t in self.trials)}"
        return self

    def step(self):
        if not self.search_alg.is_finished():
            while not any(trial.status == PENDING for trial in self.trials):
                trial = self.search_alg.next_trial()
                if trial is None:
                    break
                self.add(trial)
        chosen = self.scheduler.choose_trial_to_run(self)
        if chosen is not None and chosen.status == PAUSED:
            chosen.status = PENDING
        waiting = [t for t in ([chosen] if chosen else []) + self.trials if t.status == PENDING]
        for trial in dict.fromkeys(waiting):
            if sum(t.status == RUNNING for t in self.trials) < self.workers:
                trial.status = RUNNING
                trial.epoch = trial.restored_at = trial.checkpoint
        busy = [trial for trial in self.trials if trial.status == RUNNING]
        if busy:
            self.event(self.random.choice(busy))
        if self.snapshot_every and self.events % self.snapshot_every == 0:
            self.save()

    def event(self, trial):
        if trial.is_saving:
            trial.is_saving = False
            if self.faults.get(self.events) == "save":
                del self.faults[self.events]
                self.recover(trial)
                return
            trial.checkpoint = trial.epoch
            self.act(trial, trial.after_save)
            return
        self.events += 1
        fault = self.faults.pop(self.events, None) if self.faults.get(self.events) != "save" else None
        if fault == "fail":
            self.scheduler.on_trial_error(self, trial)
            self.search_alg.searcher.on_trial_complete(trial_id=trial.trial_id, error=True)
            trial.status = ERROR
        elif fault == "recover":
            self.recover(trial)
        elif fault == "lose":
            trial.status = ERROR
        else:
            self.train(trial, fault)

    def train(self, trial, fault):
        trial.epoch += 1
        self.trained.append((trial.trial_id, trial.epoch))
        score = float("nan") if fault == "nan" else self.curve(trial.config, trial.epoch)
        result = {"training_iteration": trial.epoch, "iterations_since_restore": trial.epoch - trial.restored_at}
        if score is not None:
            result[self.metric] = score
        trial.last_result = result
        if fault == "done":
            self.stop_trial(trial)
            return
        decision = self.scheduler.on_trial_result(self, trial, result)
        if decision != "STOP":
            self.search_alg.searcher.on_trial_result(trial_id=trial.trial_id, result=result)
        if decision == "PAUSE":
            trial.is_saving, trial.after_save = True, PAUSED
        else:
            self.act(trial, decision)

    def act(self, trial, decision):
        if decision == "STOP":
            self.stop_trial(trial)
        elif decision == PAUSED:
            trial.status = PAUSED

    def recover(self, trial):
        trial.status = ERROR
        trial.is_saving = False
        self.scheduler.on_trial_error(self, trial)
        trial.status = PENDING
        self.trials.remove(trial)
        self.trials.append(trial)
        self.scheduler.on_trial_add(self, trial)

    # -- kill and restore ----------------------------------------------------------------------------------------------

    def save(self):
        state = self.search_alg.searcher.get_state()
        trials = [(t.trial_id, t.config, t.status, t.checkpoint, t.last_result) for t in self.trials]
        self.snapshot = pickle.dumps((state, trials, self.search_alg.count, self.search_alg.finished))

    def saved_spent(self):
        gate = pickle.loads(self.snapshot)[0]["_gate"]
        return gate.spent if gate else 0

    def saved_finished(self):
        return {trial[0] for trial in pickle.loads(self.snapshot)[1] if trial[2] in (TERMINATED, ERROR)}

    def restored(self, scheduler, searcher, **options):
        """A new driver that goes on from the last snapshot."""
        state, trials, count, finished = pickle.loads(self.snapshot)
        new = FakeController(scheduler, searcher, self.workers, self.curve, **options)
        searcher.set_state(state)
        new.search_alg.count, new.search_alg.finished = count, finished
        for trial_id, config, status, checkpoint, last_result in trials:
            if status not in (TERMINATED, ERROR):
                status = PENDING
            trial = FakeTrial(trial_id, config, status, checkpoint, checkpoint, last_result=last_result)
            new.add(trial)
        return new


def default_curve(config, epoch):
    """Rises with ``x``; the best configuration is the last of the grid."""
    return config["x"] / 100 + epoch / 10_000


def choices(n):
    """A Ray domain of ``n`` values of ``x``."""
    return tune.choice(list(range(n)))


def random_run(plan, n=200, seed=0, **options):
    """A run of vanilla Hyperband over ``n`` configurations."""
    return FakeController(TaskAwareHyperBand(plan), RandomSearcher({"x": choices(n)}, seed=seed), **options)
