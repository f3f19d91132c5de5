import math
from types import SimpleNamespace

import pytest

from hyperstar_tune.tuning.history import RunHistory, contenders


def report(history, trial, epoch, accuracy, loss=1.0, **more):
    result = {"training_iteration": epoch, "val_accuracy": accuracy, "val_loss": loss, "done": False, "pid": 7, **more}
    member = SimpleNamespace(trial_id=trial, config={"lr": trial})
    history.on_trial_result(iteration=0, trials=[], trial=member, result=result)


def test_a_row_has_what_the_trainable_reported_and_when():
    history = RunHistory()
    report(history, "a", 1, 0.5, val_correct="3:oA==", config={"lr": "a"}, time_total_s=3.0)
    (row,) = history.rows
    assert row.keys() == {"trial", "epoch", "at_s", "val_accuracy", "val_loss", "val_correct", "training_iteration"}
    assert (row["trial"], row["val_accuracy"], row["val_correct"]) == ("a", 0.5, "3:oA==")
    assert 0 <= row["at_s"] < 10
    assert history.configs == {"a": {"lr": "a"}}


def test_epochs_trained_again_do_not_count_also_over_a_restored_run():
    history = RunHistory()
    for epoch in (1, 2, 1, 2, 3):
        report(history, "a", epoch, 0.5)
    again = RunHistory()
    again.set_state(history.get_state())
    report(again, "a", 3, 0.9)
    report(again, "a", 4, 0.6)
    assert [row["epoch"] for row in again.rows] == [1, 2, 3, 4]
    assert again.at_s >= history.rows[-1]["at_s"]


@pytest.mark.parametrize(
    ("rows", "order"),
    [
        ([("a", 1, 0.5, 1.0), ("b", 1, 0.6, 2.0)], [("b", 1), ("a", 1)]),
        ([("a", 1, 0.5, 1.0), ("b", 1, 0.5, 0.9)], [("b", 1), ("a", 1)]),  # a tie: the lower loss
        ([("a", 1, 0.5, 1.0), ("b", 1, 0.5, 1.0)], [("a", 1), ("b", 1)]),  # then the earlier one
        ([("a", 1, 0.5, 1.0), ("a", 2, 0.5, 0.8), ("a", 3, 0.4, 0.1)], [("a", 2)]),
        ([("a", 1, 0.5, 1.0), ("a", 2, math.nan, math.nan)], [("a", 1)]),
        ([("a", 1, math.nan, 1.0), ("b", 1, 0.1, 9.0)], [("b", 1)]),
        ([("a", 1, 0.9, math.inf)], []),
    ],
)
def test_contenders_stand_by_the_metric_then_by_the_loss(rows, order):
    history = RunHistory()
    for row in rows:
        report(history, *row)
    assert [(c.trial, c.row["epoch"]) for c in contenders(history, "val_accuracy")] == order


def test_epochs_whose_parameters_are_gone_do_not_count():
    history = RunHistory()
    for trial, epoch, accuracy in (("a", 1, 0.5), ("a", 2, 0.9), ("b", 1, 0.7), ("c", 1, 0.8)):
        report(history, trial, epoch, accuracy)
    found = contenders(history, "val_accuracy", kept={"a": 1, "b": 1})
    assert [(c.trial, c.standing[0]) for c in found] == [("b", 0.7), ("a", 0.5)]


def test_another_metric_may_decide():
    history = RunHistory()
    report(history, "a", 1, 0.9, val_macro_f1=0.2)
    report(history, "b", 1, 0.8, val_macro_f1=0.3)
    assert contenders(history, "val_macro_f1")[0].trial == "b"
    assert contenders(history, "no_such") == []
