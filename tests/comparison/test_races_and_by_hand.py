"""The race and what a person does without a tuner, replayed by the classes of real runs."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from made_up_table import make_ranker, make_table

from hyperstar_tune import SearchSpace
from hyperstar_tune.comparison import Budgets, LooScores, leave_family_out, make_method, sweep
from hyperstar_tune.comparison.by_hand import BY_HAND, EXPERTS_RACE, by_hand
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.simulation import TaskCurves

R, RACE_EPOCHS = 9, 2
BUDGETS = [Budgets(3, (1, 2, 4))]


@pytest.fixture(scope="module")
def loo(table):
    frame = leave_family_out(partial(make_ranker, "plus_average"), table)
    return LooScores(pd.concat([frame, frame.assign(ranker="hyperstar_plus")]), table.configs)


def at(frame, method, task, column="accuracy"):
    rows = frame[(frame["method"] == method) & (frame["task"] == task)].sort_values("budget")
    return rows[column].tolist()


def test_the_untuned_default_is_one_training_and_no_more(table):
    frame = sweep(["untuned_default"], table, budgets=BUDGETS)
    curves = TaskCurves.of(table, "task1")
    config = {name: BY_HAND["untuned_default"][name] for name in ("lr", "optimizer", "layers", "augmentation")}
    best = curves.accuracy[curves.row(config)].max()
    assert at(frame, "untuned_default", "task1") == [best] * 3
    assert set(frame["trials"]) == {1}


def test_a_race_finishes_the_better_of_the_first_and_its_complement(table, loo):
    frame = sweep(["race", "hyperstar_plus+alone"], table, loo, budgets=[Budgets(3, (1, 4))])
    for task in table.tasks["name"]:
        curves = TaskCurves.of(table, task)
        family = curves.family
        first = loo.ranking("hyperstar_plus", task, 0).configs[0]
        steady = table.without(family).steady_scores()
        falls = np.maximum(steady - steady.max(axis=1, keepdims=True), -0.1)
        pairs = np.maximum(falls, falls[:, [curves.row(first)]]).mean(axis=0)
        pairs[curves.row(first)] = -1
        second = int(pairs.argmax())
        started = [curves.accuracy[row, :RACE_EPOCHS].max() for row in (curves.row(first), second)]
        winner = curves.row(first) if started[0] >= started[1] else second
        reached = R - RACE_EPOCHS  # of the budget R, the loser took the epochs of the race
        expected = max(*started, curves.accuracy[winner, :reached].max())
        assert at(frame, "race", task)[0] == pytest.approx(expected)


def test_a_race_without_images_begins_with_the_least_fall_on_known_tasks(table, loo):
    frame = sweep(["race_no_images"], table, loo, budgets=[Budgets(3, (RACE_EPOCHS / R, 1))])
    for task in table.tasks["name"]:
        curves = TaskCurves.of(table, task)
        steady = table.without(curves.family).steady_scores()
        falls = np.maximum(steady - steady.max(axis=1, keepdims=True), -0.1).mean(axis=0)
        assert at(frame, "race_no_images", task)[0] == curves.accuracy[falls.argmax(), :RACE_EPOCHS].max()


def test_several_workers_spend_the_same_epochs_in_less_time(table, loo):
    frame = sweep(["race", "race_parallel_4"], table, loo, budgets=BUDGETS)
    for task in table.tasks["name"]:
        one, four = (at(frame, method, task, "seconds")[-1] for method in ("race", "race_parallel_4"))
        assert four < one
        # The run of several is planned anew for every budget, and finds what one finds.
        assert at(frame, "race_parallel_4", task) == at(frame, "race", task)


def test_a_race_for_a_budget_in_seconds_goes_by_what_an_epoch_costs(table, loo):
    frame = sweep(["race_seconds", "race"], table, loo, budgets=BUDGETS)
    dear = table.evaluations.copy()
    first = table.configs.index(loo.ranking("hyperstar_plus", "task2", 0).configs[0])
    dear[:, first, ..., 5] *= 1e6
    costly = replace(table, evaluations=dear)
    again = sweep(["race_seconds", "race"], costly, loo, budgets=BUDGETS, tasks=["task2"])
    assert at(frame, "race", "task2") == at(again, "race", "task2")  # epochs count alike
    assert at(frame, "race", "task2", "seconds")[0] < 1e3 < at(again, "race", "task2", "seconds")[0]
    assert at(again, "race_seconds", "task2", "seconds")[0] < 1e3


def test_a_race_in_seconds_is_run_anew_for_the_seconds_of_each_budget(table, loo):
    first = table.configs.index(loo.ranking("hyperstar_plus", "task2", 0).configs[0])
    timed = table.evaluations.copy()
    timed[..., 5] = 3.0  # so that a race takes longer than R seconds
    timed[:, first, ..., 5] = 2.9
    slow = replace(table, evaluations=timed)
    frame = sweep(["race_seconds"], slow, loo, budgets=BUDGETS, tasks=["task2"], epoch_seconds={"task2": 1.0})
    curve = TaskCurves.of(slow, "task2").accuracy[first]
    assert at(frame, "race_seconds", "task2", "timed_accuracy")[0] == curve[:3].max()  # no race within R seconds
    by_epochs = sweep(["race"], slow, loo, budgets=BUDGETS, tasks=["task2"])
    assert at(frame, "race_seconds", "task2")[0] == at(by_epochs, "race", "task2")[0]  # but within R epochs


def test_an_expert_races_two_usual_configurations():
    values = {"optimizer": ["adamw", "sgd"], "lr": [1e-3, 1e-2], "layers": ["last_stage", "all"]}
    small = make_table()
    space = SearchSpace.from_values({**values, "augmentation": ["basic", "none"]})
    fingerprint = Fingerprint(schedule="constant")
    table = type(small)(space, space.grid(), small.epochs, small.evaluations[:, :16], small.tasks, fingerprint)
    frame = sweep(["expert"], table, budgets=BUDGETS)
    curves = TaskCurves.of(table, "task2")
    rows = [curves.row(by_hand(name, space)) for name in EXPERTS_RACE["expert"]]
    first, second = (curves.accuracy[row] for row in rows)
    winner = first if first[:RACE_EPOCHS].max() >= second[:RACE_EPOCHS].max() else second
    assert at(frame, "expert", "task2")[1:] == [max(winner.max(), first[:2].max(), second[:2].max())] * 2
    assert set(frame["trials"]) == {2}


def test_a_space_without_the_usual_values_is_refused():
    with pytest.raises(SpaceError, match="image_size"):
        by_hand("untuned_default_96px", SearchSpace.from_name("mobilenet-v2"))
    with pytest.raises(SpaceError):
        by_hand("head_alone", SearchSpace.from_name("se-resnext-50"))
    assert by_hand("tutorial_sgd", SearchSpace.from_name("mobilenet-v2"))["optimizer"] == "sgd"


def test_seconds_may_be_counted_in_the_unit_of_another_table(table):
    plain, slow = (
        sweep(["untuned_default"], table, budgets=BUDGETS, tasks=["task0"], epoch_seconds=unit)
        for unit in (None, {"task0": 1e9})
    )
    assert plain["timed_accuracy"].iloc[0] <= slow["timed_accuracy"].iloc[0] == slow["accuracy"].max()


def test_a_method_says_how_many_work_at_a_time():
    assert make_method("race_parallel_8").n_workers == 8
    assert make_method("race").n_workers == 0
