"""Tr-AutoML and RUSH do what their papers say."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from made_up_table import make_table
from ray.tune.schedulers import FIFOScheduler

from hyperstar_tune.errors import SearchError
from hyperstar_tune.rivals.rush import RushScheduler, WarmStartSearcher, best_of_each_task
from hyperstar_tune.rivals.tr_automl import TrAutoMLSearcher
from hyperstar_tune.simulation import TaskCurves, replay


@pytest.fixture(scope="module")
def table():
    return make_table(5)


def test_ten_benchmarks_then_the_best_of_the_most_similar_task(table):
    twin = TaskCurves.of(table, "task3")
    searcher = TrAutoMLSearcher(table, n_benchmarks=10, seed=2)  # the task itself is in the table: nothing is nearer
    run = replay(twin, searcher, FIFOScheduler(), reports=[9])
    rows = [trial.row for trial in run.trials]
    assert len(set(rows)) == 11
    assert rows[-1] == int(np.argmax(twin.accuracy[:, -1]))
    assert run.epochs == 11 * 9
    assert not run.stalled


def test_the_benchmarks_do_not_depend_on_the_task(table):
    rows = []
    for task in ("task0", "task4"):
        curves = TaskCurves.of(table, task)
        run = replay(curves, TrAutoMLSearcher(table.without(curves.family), seed=7), FIFOScheduler(), reports=[9])
        rows.append([trial.row for trial in run.trials][:10])
    assert rows[0] == rows[1]


def test_a_failed_benchmark_does_not_stop_the_search(table):
    from hyperstar_tune.simulation import faults

    curves = TaskCurves.of(table, "task3")
    run = replay(curves, TrAutoMLSearcher(table, seed=2), FIFOScheduler(), faults={4: faults.error})
    assert len(run.trials) == 11
    assert not run.stalled


def test_too_many_benchmarks_are_refused(table):
    with pytest.raises(SearchError, match="between 2 and 47"):
        TrAutoMLSearcher(table, n_benchmarks=48)


def test_known_configurations_come_first_and_once(table):
    first = best_of_each_task(table)
    assert len({str(config) for config in first}) == len(first)
    curves = TaskCurves.of(table, "task0")
    run = replay(curves, WarmStartSearcher(curves.space, first=first, seed=1), FIFOScheduler(), reports=[9])
    rows = [trial.row for trial in run.trials]
    assert rows[: len(first)] == [curves.row(config) for config in first]
    assert sorted(rows) == list(range(48))


@pytest.mark.parametrize("diverged", [math.nan, math.inf, -math.inf])
def test_a_known_configuration_that_diverges_sets_no_bar(diverged):
    scheduler = RushScheduler(1, max_t=9, reduction_factor=3, metric="acc", mode="max")
    known, other = SimpleNamespace(trial_id="known"), SimpleNamespace(trial_id="other")
    for trial in (known, other):
        scheduler.on_trial_add(None, trial)
    scheduler.on_trial_result(None, known, {"training_iteration": 1, "acc": diverged})
    assert not scheduler._bar


def test_rush_stops_what_is_worse_than_the_known_configurations(table):
    curves = TaskCurves.of(table, "task3")
    first = [curves.configs[int(np.argsort(curves.accuracy[:, 0])[30])]]
    scheduler = RushScheduler(len(first), max_t=9, reduction_factor=3)
    run = replay(curves, WarmStartSearcher(curves.space, first=first, seed=1), scheduler)
    known, others = run.trials[: len(first)], run.trials[len(first) :]
    bar = max(curves.accuracy[trial.row, 0] for trial in known)
    assert all(trial.epochs == 1 for trial in others if curves.accuracy[trial.row, 0] < bar)
    assert any(trial.epochs > 1 for trial in others)
