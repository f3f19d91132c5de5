"""What is told of a winner, and R and plan of a budget."""

from types import SimpleNamespace

import numpy as np
import pytest
from digit_images import digit_pixels
from test_history import report

from hyperstar_tune.choosing import chosen_accuracy, pack_correct
from hyperstar_tune.classification import confusion_matrix, scores_of
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.tasks import ImageTask
from hyperstar_tune.tuning.finish import Judgement
from hyperstar_tune.tuning.history import RunHistory, contenders
from hyperstar_tune.tuning.options import TuneOptions
from hyperstar_tune.tuning.planning import choose_max_epochs, make_plan
from hyperstar_tune.tuning.telling import accuracy_text, expected_accuracy, winner_text

LABELS = np.array([0] * 30 + [1] * 10)


def task():
    pixels, labels = digit_pixels(2, 40)
    val = np.concatenate([pixels[labels == 0][:30], pixels[labels == 1][:10]])
    return ImageTask.from_arrays("digits", pixels, labels, val, LABELS)


def right(rng, share):
    return rng.random(40) < share


def test_what_is_expected_of_the_winner_is_below_what_chose_it():
    history, rng = RunHistory(), np.random.default_rng(0)
    rows = [right(rng, 0.7) for _ in range(40)]  # all alike: the best is the luckiest
    for number, row in enumerate(rows):
        balanced = (row[LABELS == 0].mean() + row[LABELS == 1].mean()) / 2
        report(history, f"t{number}", 1, float(row.mean()), number, val_correct=pack_correct(row), b=float(balanced))
    plain = max(row.mean() for row in rows)
    expected = expected_accuracy(history, "val_accuracy", task())
    assert expected == chosen_accuracy(rows)
    assert expected.corrected < plain - 0.05
    by_class = expected_accuracy(history, "val_balanced_accuracy", task())
    assert by_class.plain == pytest.approx(max(row["b"] for row in history.rows), abs=1e-6)
    assert by_class.corrected < by_class.plain
    assert expected_accuracy(history, "val_macro_f1", task()) is None
    assert expected_accuracy(RunHistory(), "val_accuracy", task()) is None


def judged(n_right, n):
    table = confusion_matrix([0] * n, [0] * n_right + [1] * (n - n_right), 2)
    return Judgement(table.tolist(), [], scores_of(table))


def test_each_kind_of_images_has_a_line():
    text = accuracy_text(None, "val_macro_f1", judged(8, 10), judged(5, 10))
    first, second = text.splitlines()
    assert first.startswith("on the 10 validation images that chose it: accuracy 0.800")
    assert first.endswith("too high, as it was chosen on them")
    assert second.startswith("on the 10 test images, which chose nothing: accuracy 0.500")
    expected = chosen_accuracy([[1] * 8 + [0] * 2])
    first, second = accuracy_text(expected, "val_accuracy", judged(8, 10), None).splitlines()
    assert first == f"accuracy 0.800 [{expected.low:.3f}, {expected.high:.3f}] to be expected on new images"


def test_ties_are_said_to_be_ties():
    history = RunHistory()
    for name, loss in (("a", 2.0), ("b", 1.0), ("c", 3.0), ("d", 0.1)):
        report(history, name, 1, 0.4 if name == "d" else 0.958, loss)
    order = contenders(history, "val_accuracy")
    text = winner_text(order[0], order[:3], "accuracy 0.9", (3, 9), "val_accuracy", 24)
    assert text.splitlines() == [
        "Winner: lr=b",
        "  accuracy 0.9",
        "  after epoch 3 of 9",
        "  3 configurations tie at accuracy 0.958 on 24 validation images; the lower validation loss decided. The "
        "others:",
        "    lr=a",
        "    lr=c",
    ]
    assert "tie" not in winner_text(order[0], order[:1], "accuracy 0.9", (3, 9), "val_accuracy", 24)


RANKING = Ranking.of([{"lr": n} for n in range(4)], [4, 3, 2, 1], costs=[2.0, 30.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("budget", "r"),
    [
        ({"epochs": 144}, 32),
        ({"epochs": 72}, 32),
        ({"epochs": 71}, 31),
        ({"epochs": 9}, 4),
        ({"epochs": 1}, 1),
        ({"epochs": 144, "max_epochs": 50}, 50),
        ({"hours": 10.0}, 32),
        ({"hours": 0.1}, 5),  # 360 s / (2.25 x 30 s)
        ({"hours": 0.001}, 1),
    ],
)
def test_r_leaves_room_for_a_race_and_one_more_configuration(budget, r):
    options = TuneOptions(task="x", weights="own", **budget)
    assert choose_max_epochs(options, RANKING) == r


def test_hours_are_of_the_clock_and_seconds_of_all_trials():
    plan = make_plan(TuneOptions(task="x", weights="own", hours=2), 32, parallel=4)
    assert (plan.seconds_budget, plan.epoch_budget) == (28800, 0)
    assert make_plan(TuneOptions(task="x", weights="own", epochs=99), 32, parallel=4).epoch_budget == 99


def test_as_many_trials_run_as_the_scarcest_resource_allows(monkeypatch):
    from hyperstar_tune.tuning import planning

    monkeypatch.setattr(planning, "ray", SimpleNamespace(cluster_resources=lambda: {"CPU": 16, "GPU": 2}))
    assert planning.parallel_trials({"cpu": 1, "gpu": 0.25}) == 8
    assert planning.parallel_trials({"cpu": 4, "gpu": 0.0}) == 4
    assert planning.parallel_trials({"cpu": 0, "gpu": 0}) == 1
    assert planning.parallel_trials({"cpu": 64, "gpu": 0}) == 1
