"""What a sweep is summed up to, checked against the runs, and that figures need the summary only."""

import json
from functools import partial

import numpy as np
import pytest
from made_up_table import make_ranker

from hyperstar_tune.comparison import Budgets, LooScores, leave_family_out, sweep
from hyperstar_tune.comparison.methods import looks
from hyperstar_tune.comparison.summary import summarize
from hyperstar_tune.report.figures import draw_average, draw_regret, draw_tasks

GRID = [Budgets(3, tuple(i / 9 for i in range(1, 37)))]
REPORTED = [Budgets(3, (1, 2, 4))]
METHODS = ("hyperband", "average_top1+alone", "tr_automl")


@pytest.fixture(scope="module")
def frame(table):
    loo = LooScores(leave_family_out(partial(make_ranker, "average_top1"), table), table.configs)
    return sweep(METHODS, table, loo, budgets=GRID, seeds=4)


@pytest.fixture(scope="module")
def summary(table, frame):
    return json.loads(json.dumps(summarize(frame, table, REPORTED), allow_nan=False))


def test_families_weigh_alike(frame, summary):
    at = frame[(frame["method"] == "hyperband") & (frame["budget"] == 18)]
    by_task = at.groupby("task")["accuracy_b"].mean()
    twins = (by_task["task0"] + by_task["task1"]) / 2
    expected = np.mean([twins, by_task["task2"], by_task["task3"]])
    reported = summary["by_eta"]["3"]["methods"]["hyperband"]["at_budgets"]["18"]["accuracy"]
    assert reported["mean"] == pytest.approx(expected, abs=1e-4)
    assert reported["low"] <= reported["mean"] <= reported["high"]


def test_half_b_is_reported_and_the_values_of_every_run_are_kept(frame, summary):
    assert summary["half"] == "B"
    runs = summary["by_eta"]["3"]["runs"]
    assert len(runs["hyperband"]["task2"]) == 4
    assert len(runs["average_top1+alone"]["task2"]) == 1
    one = frame[(frame["method"] == "hyperband") & (frame["task"] == "task2") & (frame["seed"] == 3)]
    expected = [one[one["budget"] == budget]["accuracy_b"].item() for budget in (9, 18, 36)]
    assert runs["hyperband"]["task2"][3] == pytest.approx(expected, abs=1e-4)


def test_a_method_needs_as_many_epochs_as_itself(summary):
    ratios = summary["by_eta"]["3"]["epochs_to_rival"]["hyperband"]
    assert ratios["hyperband"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "families_that_reach_it": 1.0}
    assert set(ratios) == set(METHODS)


def test_differences_to_hyperband_are_those_of_the_means(summary):
    methods = summary["by_eta"]["3"]["methods"]
    for budget, others in summary["by_eta"]["3"]["against"]["hyperband"].items():
        for name, difference in others.items():
            means = [methods[m]["at_budgets"][budget]["regret"]["mean"] for m in (name, "hyperband")]
            assert difference["mean"] == pytest.approx(means[0] - means[1], abs=3e-5)
            assert 0 < difference["holm_p"] <= 1


def test_regret_falls_and_is_never_more_than_the_best(summary):
    for method in summary["by_eta"]["3"]["methods"].values():
        for kind in ("regret", "regret_at_equal_seconds"):
            assert max(method[kind]["mean"]) < 1
    assert set(summary["best_of_table"]) == {"task0", "task1", "task2", "task3"}


def test_the_oracle_is_the_configuration_that_is_best_by_all_that_was_measured(table, summary):
    for row, task in enumerate(table.tasks["name"]):
        best = table.steady_scores()[row].argmax()
        half_a, half_b = (table.curve(name)[row, best, 0] for name in ("val_accuracy", "val_accuracy_b"))
        assert summary["oracle"][task] == pytest.approx(half_b[half_a.argmax()], abs=1e-5)


def test_figures_are_drawn_from_the_summary_alone(summary, tmp_path):
    summary = summary | {"table": {"name": "made up", "tasks": 4, "max_epochs": 9}}
    draw_tasks(summary, tmp_path / "tasks.png", looks(METHODS), eta="3")
    draw_average(summary, tmp_path / "average.png", looks(METHODS))
    draw_regret(summary, tmp_path / "regret.png", looks(METHODS), eta="3")
    for name in ("tasks", "average", "regret"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
