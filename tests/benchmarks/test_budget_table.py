"""What a ranking saves, read off a made-up summary of a sweep."""

import pytest
from scoreboard.budget_table import budget_table

from hyperstar_tune.errors import MetaDatasetError

GRID = [1, 2, 3, 4, 5, 6, 7, 8]


def summary(**curves):
    """Two development tasks of one family, one of another, and a test task on which everything is 0."""
    tasks = {task: dict(curves) for task in ("a1", "a2", "b")}
    tasks["t"] = {name: [0.0] * len(GRID) for name in curves}
    part = {"budgets": [2, 8], "grid": GRID, "methods": {name: {"seeds": 3} for name in curves}, "tasks": tasks}
    return {"half": "B", "families": {"a1": "a", "a2": "a", "b": "b", "t": "trashnet"}, "by_eta": {"2": part}}


SLOW = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
FAST = [0.4, 0.6, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]
SUMMARY = summary(
    **{"hyperband": SLOW, "bohb": SLOW, "average_top1+hyperband": FAST, "plus+hyperband": FAST, "plus+alone": SLOW}
)


def test_a_ranking_that_is_there_after_three_of_eight_epochs_needs_three_eighths():
    table = budget_table(SUMMARY, ["a", "b"], ("plus", "other"))
    assert table["method"] == "plus+hyperband"
    assert table["families"] == 2
    ratios = table["epochs_to_target_ratio"]
    assert ratios["vs_hyperband"]["mean"] == pytest.approx(3 / 8)
    assert ratios["vs_bohb"]["mean"] == pytest.approx(3 / 8)
    assert ratios["vs_average_ranking"]["mean"] == pytest.approx(1)
    goals = {name: goal["met"] for name, goal in table["goals"].items()}
    assert goals.pop("worst_family_points") is True
    assert not any(goals[f"epochs_{rival}"] for rival in ("vs_hyperband", "vs_bohb", "vs_average_ranking"))
    assert goals["points_vs_hyperband"]
    assert table["longest_first"] is None
    assert table["alone"]["epochs_to_target_ratio"]["vs_hyperband"]["mean"] == pytest.approx(1)


def test_points_are_those_of_the_wanted_families_alone():
    table = budget_table(SUMMARY, ["a", "b"], ("plus",))
    assert table["smallest_budget_gain_points"]["vs_hyperband"]["mean"] == pytest.approx(40)
    assert table["methods"]["2"]["plus+hyperband"]["2"] == {"mean": 60, "ci_low": 60, "ci_high": 60}
    assert set(table["epochs_to_target_ratio"]["vs_hyperband"]) >= {"mean", "ci_low", "ci_high"}
    assert budget_table(SUMMARY, ["trashnet"], ("plus",))["methods"]["2"]["hyperband"]["8"]["mean"] == 0


def test_the_worst_family_is_that_of_any_budget_and_eta():
    part = summary(**{"hyperband": SLOW, "plus+hyperband": FAST})
    worst = budget_table(part, ["a", "b"], ("plus",))["worst_family_points"]
    assert (worst["eta"], worst["budget"], worst["points"]) == (2, 8, pytest.approx(0))
    other = summary(**{"hyperband": FAST, "plus+hyperband": FAST})["by_eta"]["2"] | {"budgets": [4]}
    other["tasks"]["b"]["plus+hyperband"] = [0.4, 0.6, 0.8, 0.75, 0.8, 0.8, 0.8, 0.8]
    other["tasks"]["t"]["plus+hyperband"] = [-1.0] * 8
    part["by_eta"]["3"] = other
    found = budget_table(part, ["a", "b"], ("plus",))["worst_family_points"]
    assert found == {"family": "b", "eta": 3, "budget": 4, "points": pytest.approx(-5)}


def test_what_is_never_reached_counts_as_twice_the_largest_budget():
    part = summary(hyperband=FAST, **{"plus+hyperband": [0.1] * 8})
    ratio = budget_table(part, ["a", "b"], ("plus",))["epochs_to_target_ratio"]["vs_hyperband"]
    assert ratio["mean"] == pytest.approx(16 / 3)
    assert ratio["families_that_reach_it"] == 0


def test_a_sweep_without_the_ranking_or_the_families_is_refused():
    for families, rankers in ((["a"], ("magic",)), (["nobody"], ("plus",))):
        with pytest.raises(MetaDatasetError, match="the sweep must hold"):
            budget_table(SUMMARY, families, rankers)
