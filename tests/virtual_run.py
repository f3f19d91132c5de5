"""Runs of searchers and schedulers on made-up curves, in process."""

from collections import Counter

from ray import tune

from hyperstar_tune import PlanScheduler, RandomSearcher
from hyperstar_tune.simulation import MadeUpCurves, VirtualController


class VirtualRun(VirtualController):
    """Tells the searcher nothing of the metric, as Ray if the run has no config; saves a trial before it is paused."""

    def __init__(self, scheduler, searcher, workers=2, curve=None, metric="acc", seed=0, **options):
        scheduler.set_search_properties("acc", "max")
        curves = MadeUpCurves(curve or default_curve, scheduler.plan.max_epochs, metric=metric, seed=seed)
        super().__init__(curves, searcher, scheduler, n_workers=workers, save_s=0.1, **options)
        self.trained = []  # (trial id, epoch) in order

    @property
    def trials(self):
        return self.get_trials()

    def deliver(self, trial, **changed):
        self.trained.append((trial.trial_id, trial.epoch + 1))
        super().deliver(trial, **changed)

    def run(self):
        super().run()
        assert not self.stalled, f"{self.scheduler.debug_string()} {Counter(t.status for t in self.trials)}"
        return self

    def play(self, n_steps):
        for _ in range(n_steps):
            self.step()
        return self

    def restored(self, saved, scheduler, searcher):
        """A new driver that goes on from a saved state."""
        new = VirtualRun(scheduler, searcher, self.n_workers)
        new.curves = self.curves
        new.restore(saved, searcher, scheduler)
        return new


def default_curve(config, epoch):
    """Rises with ``x``; the best configuration is the last of the grid."""
    return config["x"] / 100 + epoch / 10_000


def choices(n):
    """A Ray domain of ``n`` values of ``x``."""
    return tune.choice(list(range(n)))


def random_run(plan, n=200, seed=0, **options):
    """A run of vanilla Hyperband over ``n`` configurations."""
    return VirtualRun(PlanScheduler(plan), RandomSearcher({"x": choices(n)}, seed=seed), seed=seed, **options)
