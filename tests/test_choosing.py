import numpy as np
import pytest

from hyperstar_tune.choosing import chosen_accuracy, pack_correct, unpack_correct
from hyperstar_tune.errors import HyperStarError


def test_nothing_is_corrected_where_nothing_was_chosen():
    right = np.random.default_rng(0).random((1, 83)) < 0.6
    found = chosen_accuracy(right)
    assert found.corrected == pytest.approx(found.plain) == pytest.approx(right.mean())
    assert found.low < found.plain < found.high
    assert found.n_images == 83


def test_with_five_images_each_is_judged_by_the_choice_of_the_others():
    right = [[1, 1, 1, 0, 0], [0, 0, 1, 1, 0]]
    # Without image 0 or 1 the two tie, and the first is taken; it stays ahead without 3 and 4; without 2 it is ahead.
    assert chosen_accuracy(right).corrected == pytest.approx(3 / 5)
    # In the other order the tie goes to the one that has images 0 and 1 wrong.
    assert chosen_accuracy(right[::-1]).corrected == pytest.approx(1 / 5)


@pytest.mark.parametrize(("n_results", "n_images"), [(2, 60), (30, 100), (10, 400)])
def test_the_corrected_accuracy_is_unbiased_where_the_plain_one_is_too_high(n_results, n_images):
    rng = np.random.default_rng(1)
    skill = 0.7 + 0.02 * rng.standard_normal((150, n_results))
    plain, corrected, covered = [], [], []
    for skills in skill:
        right = rng.random((n_results, n_images)) < skills[:, None]
        found, truth = chosen_accuracy(right), skills[right.sum(axis=1).argmax()]
        plain.append(found.plain - truth)
        corrected.append(found.corrected - truth)
        covered.append(found.low <= truth <= found.high)
    assert abs(np.mean(corrected)) < 0.01  # three standard errors of 150 runs
    assert np.mean(plain) > 0.015
    assert np.mean(covered) > 0.88


def test_right_images_travel_as_text():
    rows = np.random.default_rng(0).random((4, 13)) < 0.5
    texts = [pack_correct(row) for row in rows]
    assert (unpack_correct(texts) == rows).all()
    assert len(pack_correct(np.ones(50_000, dtype=bool))) < 8400


@pytest.mark.parametrize("texts", [["13:"], ["13:A"], ["nonsense"], ["x:AAA="], ["8:AA==", "7:AA=="], ["-3:"]])
def test_damaged_text_is_refused(texts):
    with pytest.raises(HyperStarError, match="val_correct must be"):
        unpack_correct(texts)


@pytest.mark.parametrize("correct", [np.ones((3, 1)), np.ones((0, 9)), np.ones(9)])
def test_a_choice_needs_results_and_images(correct):
    with pytest.raises(HyperStarError, match="at least two images"):
        chosen_accuracy(correct)
