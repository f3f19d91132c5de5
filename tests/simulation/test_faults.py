"""The fault harness: an error in the place of any report of a full Hyperband plan must not stall the run."""

import functools

import pytest
from made_up_table import make_table
from ray.tune.schedulers import HyperBandScheduler

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.bohb import BohbSearcher, has_hpbandster
from hyperstar_tune.simulation import TaskCurves, faults, replay

PLAN = HyperBandPlan(27, 3)  # 357 epochs: as many reports
SHORT = HyperBandPlan(9, 3)  # for BOHB, whose model is refitted for each suggestion


@functools.cache
def long_curves():
    return TaskCurves.of(make_table(2, max_epochs=27), "task0")


def searcher(name):
    curves = long_curves()
    if name == "hyperband":
        return RandomSearcher(curves.space, seed=1)
    if name == "hyperstar":
        return HyperStarSearcher(ranking=Ranking.of(curves.configs, curves.accuracy[:, -1]))
    if not has_hpbandster():
        pytest.skip("hpbandster is not installed")
    return BohbSearcher(curves.space, seed=1, n_samples=1)  # the run's course counts here


def make(name, plan=PLAN):
    return searcher(name), PlanScheduler(plan)


@pytest.mark.parametrize(("name", "plan"), [("hyperband", PLAN), ("hyperstar", PLAN), ("bohb", SHORT)])
def test_an_error_at_any_report_stalls_nothing(name, plan):
    clean = replay(long_curves(), *make(name, plan))
    assert not clean.stalled
    assert clean.n_results >= 0.95 * plan.epoch_budget
    for n in range(1, clean.n_results + 1):
        run = replay(long_curves(), *make(name, plan), faults={n: faults.error})
        assert not run.stalled, f"stalled after an error at report {n}"
        assert run.epochs == plan.epoch_budget
        assert sum(trial.status == "ERROR" for trial in run.trials) == 1


@pytest.mark.parametrize("n_workers", [1, 3])
@pytest.mark.parametrize("name", ["hyperband", "hyperstar"])
def test_a_crash_costs_redone_epochs_and_no_budget(name, n_workers):
    for n in range(1, 357, 4):
        run = replay(long_curves(), *make(name), n_workers=n_workers, faults={n: faults.crash})
        assert not run.stalled, f"stalled after a crash at report {n}"
        assert run.epochs == PLAN.epoch_budget
        assert run.redone_epochs < 27  # since the last pause; a trial may pass a rung's end without one
        assert all(trial.status == "TERMINATED" for trial in run.trials)


@pytest.mark.parametrize("n_workers", [1, 3])
@pytest.mark.parametrize("name", ["hyperband", "hyperstar"])
def test_a_killed_driver_goes_on_after_its_restore(name, n_workers):
    clean = replay(long_curves(), *make(name), n_workers=n_workers)
    for n in range(2, 357, 13):
        kill = faults.kill(functools.partial(make, name))
        run = replay(long_curves(), *make(name), n_workers=n_workers, faults={n: kill})
        assert not run.stalled, f"stalled after a kill at report {n}"
        assert run.epochs == PLAN.epoch_budget
        if n_workers == 1:
            assert sorted((t.row, t.epochs) for t in run.trials) == sorted((t.row, t.epochs) for t in clean.trials)


def test_rays_own_scheduler_does_stall():
    """What the harness finds in the stock scheduler: the figure that stands beside ours in the results."""

    def stock(**arguments):
        ranked = HyperStarSearcher(ranking=Ranking.of(long_curves().configs, long_curves().accuracy[:, -1]))
        scheduler = HyperBandScheduler(max_t=27, reduction_factor=3)
        return replay(long_curves(), ranked, scheduler, n_queued=200, **arguments)

    n_reports = stock().n_results
    assert any(stock(faults={n: faults.error}).stalled for n in range(1, n_reports + 1, 3))
