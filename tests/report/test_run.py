import io
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from hyperstar_tune.choosing import pack_correct
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.race import RacePlan
from hyperstar_tune.report.run import (
    BudgetProgress,
    accuracy_of_winner,
    incumbent_curve,
    results_table,
    write_report,
)

CHECKPOINT = SimpleNamespace(  # Ray's training result
    checkpoint=SimpleNamespace(path="somewhere/checkpoint_000002"), metrics={"training_iteration": 2}
)


def trial(name, **attributes):
    return SimpleNamespace(
        **{
            "trial_id": name,
            "config": {"lr": name},
            "latest_checkpoint_result": None,
            "status": "TERMINATED",
            **attributes,
        }
    )


@pytest.fixture
def progress():
    return BudgetProgress(HyperBandPlan(9, 3), Console(file=io.StringIO()))


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


def test_the_table_has_the_best_epoch_and_the_checkpoint_of_each_configuration(progress):
    a, b, c = trial("a", latest_checkpoint_result=CHECKPOINT), trial("b"), trial("c")
    report(progress, a, 1, 0.5, 0.1)
    report(progress, a, 2, 0.9, 0.2)
    report(progress, a, 3, 0.8, 0.3)
    report(progress, b, 1, 0.95, 0.4)
    report(progress, c, 1, math.nan)
    table = results_table(progress.history, [a, b, c])
    assert table["lr"].tolist() == ["b", "a", "c"]
    assert table["epochs"].tolist() == [1, 3, 1]
    assert table["best_epoch"].tolist() == [1, 2, 1]
    assert table["val_accuracy_b"].tolist()[:2] == [0.4, 0.2]
    assert table["checkpoint"].tolist() == ["", CHECKPOINT.checkpoint.path, ""]
    assert table["checkpoint_epoch"].tolist() == [0, 2, 0]


def test_the_report_names_the_winner_and_writes_its_files(progress, tmp_path):
    winner, failed = trial("a", latest_checkpoint_result=CHECKPOINT), trial("b", status="ERROR")
    for epoch in (1, 2, 3):
        report(progress, winner, epoch, 0.9, 0.8)
    text = write_report(progress, [winner, failed], tmp_path / "run")
    assert "lr=a" in text
    assert "0.900" in text
    assert "0.800" in text
    assert f"checkpoint (after epoch 2): {CHECKPOINT.checkpoint.path}" in text
    assert "1 trials failed" in text
    assert (tmp_path / "run" / "results.csv").read_text().count("\n") == 2
    assert (tmp_path / "run" / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_corrects_the_winners_accuracy_for_having_been_chosen(progress, tmp_path):
    rng = np.random.default_rng(0)
    right = rng.random((40, 200)) < 0.7  # forty trials that are equally good on new images
    for number, row in enumerate(right):
        result = {"training_iteration": 1, "val_accuracy": row.mean(), "val_correct": pack_correct(row)}
        progress.on_trial_result(iteration=0, trials=[], trial=trial(str(number)), result=result)
    found = accuracy_of_winner(progress.history)
    assert found.plain == right.mean(axis=1).max() > 0.75
    assert found.low < 0.7 < found.high < found.plain + 0.05
    assert abs(found.corrected - 0.7) < 0.05
    text = write_report(progress, [trial(str(number)) for number in range(40)], tmp_path)
    assert f"accuracy {found.corrected:.3f}, 95 % interval [{found.low:.3f}, {found.high:.3f}]" in text
    assert f"{found.plain:.3f} on the 200 validation images that chose it" in text


def test_without_the_images_that_were_right_nothing_is_corrected(progress, tmp_path):
    report(progress, trial("a"), 1, 0.9, math.nan)
    assert accuracy_of_winner(progress.history) is None
    assert "accuracy 0.900 on the images that decided, after epoch 1" in write_report(progress, [trial("a")], tmp_path)


def test_a_run_without_a_result_says_so(progress, tmp_path):
    assert "no result" in write_report(progress, [], tmp_path)


def test_the_bar_shows_the_budget_and_its_state_travels(progress):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    shown = BudgetProgress(HyperBandPlan(9, 3, 30), console)
    shown.setup()
    report(shown, trial("a"), 1, 0.75)
    pickle.loads(pickle.dumps(shown))  # Tune pickles callbacks while they are in use
    shown.on_experiment_end(trials=[])
    assert "1/30" in console.file.getvalue()
    assert "0.750" in console.file.getvalue()
    progress.set_state(shown.get_state())
    report(progress, trial("a"), 1, 0.1)
    assert [row["val_accuracy"] for row in progress.history] == [0.75]


def test_the_bar_of_a_budget_in_seconds_shows_seconds(progress):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    shown = BudgetProgress(RacePlan(9, seconds_budget=29.5), console)
    shown.setup()
    shown.on_trial_result(0, [], trial("a"), {"training_iteration": 1, "val_accuracy": 0.75, "time_this_iter_s": 12.3})
    shown.on_experiment_end(trials=[])
    assert "seconds" in console.file.getvalue()
    assert "12/30" in console.file.getvalue()
