"""How the trials of a record stand, and what the ranking had promised."""

import math

import pytest

from hyperstar_tune.choosing import pack_correct
from hyperstar_tune.report.standings import best_so_far, confusions, promise, standings


def record(values, places=None, correct=None, levels=(2, 4)):
    """A record of trials whose accuracy after each epoch is given; one epoch of each trial in turn, 10 s each."""
    trials = []
    for number, own in enumerate(values):
        curve = [
            {"epoch": e, "at_s": 10.0 * (e * len(values) + number), "val_accuracy": v} for e, v in enumerate(own, 1)
        ]
        best = max(range(len(own)), key=lambda i: own[i] if own[i] is not None else -1, default=None)
        bits = pack_correct(correct[number]) if correct else None
        about = {"trial": f"t{number}", "config": {"lr": number}, "place": places[number] if places else number + 1}
        found = {"epoch": best + 1, "correct": bits} if best is not None else None
        trials.append(about | {"status": "TERMINATED", "fault": "", "curve": curve, "best": found})
    return {
        "options": {"metric": "val_accuracy"},
        "task": {"counts": {"val": {"a": 50, "b": 50}}},
        "plan": {"levels": list(levels)},
        "winner": {"trial": "t0", "tied_with": []},
        "trials": trials,
    }


def test_the_winner_comes_first_and_trials_without_a_result_last():
    found = standings(record([[0.5, 0.7], [], [0.9], [None, 0.8]]))
    assert [s.trial for s in found] == ["t0", "t2", "t3", "t1"]
    assert [s.level for s in found] == [2, 0, 2, 0]
    assert [s.best_epoch for s in found] == [2, 1, 2, 0]
    assert math.isnan(found[3].value)
    assert math.isnan(found[2].values[0])
    assert found[0].interval == pytest.approx((0.6042, 0.7811), abs=1e-4)  # Wilson's, 70 of 100


def test_the_difference_from_the_winner_is_taken_image_by_image():
    winner = [True] * 80 + [False] * 20
    near = [True] * 78 + [False] * 22  # misses two images more, and so has no luck of its own
    far = [True] * 40 + [False] * 60
    swapped = [False] * 20 + [True] * 80
    first, *others = standings(record([[0.8], [0.78], [0.4], [0.8]], correct=[winner, near, far, swapped]))
    assert first.difference is None
    by_name = {s.trial: s for s in others}
    assert by_name["t1"].difference == pytest.approx((-0.02, -0.0474, 0.0074), abs=1e-4)
    assert [by_name[name].is_alike for name in ("t1", "t2", "t3")] == [True, False, True]


def test_without_right_answers_no_difference_is_claimed():
    assert all(s.difference is None and not s.is_alike for s in standings(record([[0.8], [0.7]])))


def test_the_best_so_far_never_falls_and_has_no_gap_after_the_first_result():
    seconds, best = best_so_far(record([[None, 0.7], [0.5, 0.6]]))
    assert seconds == [20, 30, 40, 50]
    assert math.isnan(best[0])
    assert best[1:] == [0.5, 0.7, 0.7]


@pytest.mark.parametrize(
    ("values", "correlation", "observed"),
    [
        ([[0.9] * 4, [0.8] * 4, [0.7] * 4], 1, [1, 2, 3]),
        ([[0.7] * 4, [0.8] * 4, [0.9] * 4], -1, [3, 2, 1]),
        ([[0.9] * 4, [0.8] * 4, [0.8] * 4], 0.866, [1, 2.5, 2.5]),
    ],
)
def test_ranks_are_compared(values, correlation, observed):
    found = promise(standings(record(values)), (2, 4))
    assert found.epoch == 4
    assert found.promised == [1, 2, 3]
    assert found.observed == observed
    assert found.correlation == pytest.approx(correlation, abs=1e-3)


def test_trials_are_compared_at_an_epoch_that_all_of_them_reached():
    ran_on = [0.5, 0.6, 0.9, 1.0]
    found = promise(standings(record([ran_on, [0.7, 0.7], [0.4, 0.8], [0.1, 0.1], [0.1]])), (2, 4))
    assert (found.epoch, found.observed) == (2, [3, 2, 1, 4])


def test_two_trials_or_unknown_ones_are_no_comparison():
    assert promise(standings(record([[0.5] * 4, [0.6] * 4])), (2, 4)) is None
    assert promise(standings(record([[0.5] * 4, [0.6] * 4, [0.7] * 4], places=[1, None, 2])), (2, 4)) is None
    assert math.isnan(promise(standings(record([[0.5] * 4] * 3)), (2, 4)).correlation)


def test_confusions_are_the_largest_cells_beside_the_diagonal():
    table = {"confusion": [[5, 0, 3], [1, 9, 0], [0, 0, 0]]}
    assert confusions(table, ("a", "b", "c")) == [("a", "c", 3, 0.375), ("b", "a", 1, 0.1)]
    assert confusions({"confusion": [[2, 0], [0, 1]]}, ("a", "b")) == []
