"""What the race gains, read off made-up summaries of sweeps."""

import pytest
from scoreboard.joined import joined, without
from scoreboard.race_table import race_table

from hyperstar_tune.errors import MetaDatasetError

GRID = [2, 4, 8, 10, 18]  # R = 4
BUDGETS = [4, 8, 10, 18]


def summary(tasks, **curves):
    """A sweep of tasks (name -> family), on which each method has one curve; later tasks have 0.1 less."""
    found = {
        task: {name: [value - 0.1 * place for value in curve] for name, curve in curves.items()}
        for place, task in enumerate(tasks)
    }
    runs = {name: {task: [[of[name][GRID.index(b)] for b in BUDGETS]] for task, of in found.items()} for name in curves}
    part = {
        "budgets": BUDGETS,
        "grid": GRID,
        "methods": {name: {"seeds": 1} for name in curves},
        "tasks": found,
        "at_equal_seconds": {"budgets": [2, *BUDGETS], "tasks": found},
        "epochs_to_rival": {"hyperband": {"hyperband": {"mean": 1.0}}},
        "runs": runs,
    }
    best = {task: 0.9 - 0.1 * place for place, task in enumerate(tasks)}
    about = {"command": "sweep.py", "versions": {}}
    return {"half": "B", "families": tasks, "oracle": best, "by_eta": {"2": part}, **about}


AVERAGE = [0.4, 0.5, 0.5, 0.5, 0.5]
RACE = [0.4, 0.6, 0.7, 0.7, 0.8]
HYPERBAND = [0.1, 0.2, 0.4, 0.5, 0.6]
DEVELOPMENT = summary(
    {"a1": "a", "a2": "a", "b": "b"}, race=RACE, hyperband=HYPERBAND, **{"average_top1+alone": AVERAGE}
)
TEST = summary({"t": "t"}, race=RACE, hyperband=RACE, **{"average_top1+alone": RACE})


def test_differences_are_paired_by_family_and_families_weigh_alike():
    table = race_table([DEVELOPMENT])
    assert table["families"] == 2
    assert table["above"]["average_top1+alone"]["4"] == {"mean": 10.0, "ci_low": 10.0, "ci_high": 10.0}
    assert table["above"]["hyperband"]["18"]["mean"] == 20.0
    assert list(table["above_at_equal_seconds"]["hyperband"]) == ["2", "4", "8", "10", "18"]
    assert table["above_at_equal_seconds"]["hyperband"]["2"]["mean"] == 30.0
    assert table["accuracy"]["race"]["4"] == pytest.approx(47.5)  # 0.6 and 0.5 in one family, 0.4 in the other
    assert table["accuracy_at_equal_seconds"]["race"]["2"] == pytest.approx(27.5)


def test_pooled_families_count_once_each():
    table = race_table([DEVELOPMENT, TEST])
    assert table["families"] == 3
    assert table["above"]["hyperband"]["4"]["mean"] == pytest.approx(40 * 2 / 3, abs=1e-3)


def test_the_share_of_the_room_is_between_the_average_and_the_oracle():
    room = race_table([DEVELOPMENT])["share_of_room"]
    assert room["oracle"] == pytest.approx(77.5)  # 0.9 and 0.8 in one family, 0.7 in the other
    assert room["shares"]["average_top1+alone"]["4"] == 0
    assert room["shares"]["race"]["18"] == pytest.approx(0.75)
    assert room["shares"]["hyperband"]["4"] == pytest.approx(-0.75)


def test_epochs_and_goals():
    table = race_table([DEVELOPMENT])
    ratio = table["epochs_to_final_accuracy"]["hyperband"]
    assert ratio["mean"] == pytest.approx(4 / 18, abs=1e-4)
    goals = {name: goal["met"] for name, goal in table["goals"].items()}
    assert goals["above_average_top1+alone"]
    assert goals["above_hyperband"]
    assert goals["clearly_above_all_rankings"]
    assert goals["not_behind_at_equal_seconds"]
    assert not goals["epochs_to_hyperband"]
    assert not race_table([TEST])["goals"]["above_hyperband"]["met"]


def test_a_sweep_without_a_race_is_refused():
    with pytest.raises(MetaDatasetError, match="must hold the method 'race'"):
        race_table([summary({"a": "a"}, hyperband=HYPERBAND)])


def test_joining_adds_methods_and_keeps_what_was_there():
    tasks = {"a1": "a", "a2": "a", "b": "b"}
    old = summary(tasks, hyperband=HYPERBAND)
    old["by_eta"]["2"]["methods"]["hyperband"]["seeds"] = 100
    whole = joined(old, summary(tasks, race=RACE, hyperband=HYPERBAND))
    part = whole["by_eta"]["2"]
    assert part["methods"]["hyperband"] == {"seeds": 100}
    assert part["tasks"]["a1"] == {"hyperband": HYPERBAND, "race": RACE}
    assert part["epochs_to_rival"]["hyperband"]["race"]["mean"] == pytest.approx(4 / 18, abs=1e-4)
    assert whole["added"] == [{"command": "sweep.py", "versions": {}, "methods": ["hyperband", "race"]}]


def test_a_method_whose_code_has_changed_is_dropped_before_it_is_added_anew():
    tasks = {"a": "a", "b": "b"}
    old = without(summary(tasks, race=HYPERBAND, hyperband=HYPERBAND), ["race"])
    assert old["by_eta"]["2"]["tasks"]["a"] == {"hyperband": HYPERBAND}
    assert joined(old, summary(tasks, race=RACE))["by_eta"]["2"]["tasks"]["a"]["race"] == RACE


def test_joining_refuses_other_tasks_and_other_runs():
    old = summary({"a": "a"}, hyperband=HYPERBAND)
    with pytest.raises(MetaDatasetError, match="same tasks"):
        joined(old, summary({"b": "b"}, race=RACE))
    with pytest.raises(MetaDatasetError, match="hyperband ran differently on a"):
        joined(old, summary({"a": "a"}, hyperband=RACE))
