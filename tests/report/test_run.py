import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from hyperstar_tune.choosing import pack_correct
from hyperstar_tune.report.run import (
    ResultHistory,
    accuracy_of_winner,
    incumbent_curve,
)


def trial(name):
    return SimpleNamespace(trial_id=name, config={"lr": name})


@pytest.fixture
def progress():
    return ResultHistory()


def report(progress, member, epoch, accuracy, accuracy_b=0.5):
    result = {"training_iteration": epoch, "val_accuracy": accuracy, "val_accuracy_b": accuracy_b}
    progress.on_trial_result(iteration=0, trials=[], trial=member, result=result)


def test_the_incumbent_is_the_best_on_half_a_and_half_b_follows_it(progress):
    report(progress, trial("a"), 1, math.nan)
    report(progress, trial("a"), 2, 0.6, 0.4)
    report(progress, trial("b"), 1, 0.5, 0.9)
    report(progress, trial("b"), 2, 0.7, 0.6)
    curve = incumbent_curve(progress.history)
    assert curve["epochs_spent"].tolist() == [1, 2, 3, 4]
    assert math.isnan(curve["val_accuracy"][0])
    assert curve["val_accuracy"][1:].tolist() == [0.6, 0.6, 0.7]
    assert curve["val_accuracy_b"][1:].tolist() == [0.4, 0.4, 0.6]


def test_an_epoch_trained_again_is_not_counted_twice(progress):
    for epoch in (1, 2, 1, 2, 3):
        report(progress, trial("a"), epoch, 0.5)
    assert [row["epoch"] for row in progress.history] == [1, 2, 3]


def test_the_winners_accuracy_is_corrected_for_having_been_chosen(progress):
    rng = np.random.default_rng(0)
    right = rng.random((40, 200)) < 0.7  # forty trials that are equally good on new images
    for number, row in enumerate(right):
        result = {"training_iteration": 1, "val_accuracy": row.mean(), "val_correct": pack_correct(row)}
        progress.on_trial_result(iteration=0, trials=[], trial=trial(str(number)), result=result)
    found = accuracy_of_winner(progress.history)
    assert found.plain == right.mean(axis=1).max() > 0.75
    assert found.low < 0.7 < found.high < found.plain + 0.05
    assert abs(found.corrected - 0.7) < 0.05
    text = str(found)
    assert f"accuracy {found.corrected:.3f}, 95 % interval [{found.low:.3f}, {found.high:.3f}]" in text
    assert f"{found.plain:.3f} on the 200 validation images that chose it" in text


def test_without_the_images_that_were_right_nothing_is_corrected(progress):
    report(progress, trial("a"), 1, 0.9, math.nan)
    assert accuracy_of_winner(progress.history) is None


def test_the_state_of_a_history_travels(progress):
    report(progress, trial("a"), 1, 0.75)
    other = ResultHistory()
    other.set_state(pickle.loads(pickle.dumps(progress.get_state())))  # as Tune saves it
    report(other, trial("a"), 1, 0.1)
    assert [row["val_accuracy"] for row in other.history] == [0.75]
