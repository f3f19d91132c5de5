import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from hyperstar_tune.classification import confusion_matrix, scores_of


@pytest.mark.parametrize("n_classes", [2, 3, 40])
@pytest.mark.parametrize("n", [2, 30, 500])
def test_scores_are_those_of_scikit_learn(n, n_classes):
    rng = np.random.default_rng([n, n_classes])
    labels = rng.integers(n_classes, size=n) ** 2 // n_classes  # some classes have few images or none
    decided = np.where(rng.random(n) < 0.6, labels, rng.integers(n_classes, size=n))
    table = confusion_matrix(labels, decided, n_classes)
    assert table.sum() == n
    assert all(table[true, taken] == np.sum((labels == true) & (decided == taken)) for true, taken in [(0, 0), (0, 1)])
    scores = scores_of(table)
    assert scores.accuracy == pytest.approx(np.mean(labels == decided))
    assert scores.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, decided))
    present = np.unique(labels)
    assert scores.macro_f1 == pytest.approx(f1_score(labels, decided, labels=present, average="macro"))
    assert 0 <= scores.interval[0] <= scores.accuracy <= scores.interval[1] <= 1


def test_the_interval_is_wilsons():
    assert scores_of(np.array([[9, 1], [0, 0]])).interval == pytest.approx((0.5958, 0.9821), abs=1e-4)


def test_without_images_nothing_is_known():
    scores = scores_of(np.zeros((2, 2), dtype=int))
    assert scores.n == 0
    assert np.isnan([scores.accuracy, scores.balanced_accuracy, scores.macro_f1]).all()
