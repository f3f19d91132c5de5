"""Which images of a task its traits are read off."""

import numpy as np
import pytest

from hyperstar_tune.predictor.sampling import MAX_IMAGES, sample_images


def counts_of(labels):
    """Images per class that are looked at."""
    chosen = sample_images(labels)
    assert len(np.unique(chosen)) == len(chosen) <= MAX_IMAGES
    assert np.array_equal(chosen, sample_images(labels))
    return np.bincount(labels[chosen], minlength=labels.max() + 1)


def test_of_few_images_all_are_looked_at():
    for n_classes in (2, 50, 64):
        labels = np.arange(640) % n_classes
        assert np.array_equal(sample_images(labels), np.arange(640))


@pytest.mark.parametrize("n_classes", [2, 10, 64])
def test_up_to_64_classes_share_the_images(n_classes):
    counts = counts_of(np.arange(100 * n_classes * 4) % n_classes)
    assert counts.sum() == min(640, 400 * n_classes)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(("n_classes", "per_class"), [(65, 100), (100, 20), (640, 6), (1000, 6), (5000, 3)])
def test_of_more_classes_whole_ones_are_looked_at(n_classes, per_class):
    counts = counts_of(np.repeat(np.arange(n_classes), per_class))
    assert set(counts) == {0, min(10, per_class)}
    assert MAX_IMAGES - 10 < counts.sum() <= MAX_IMAGES


def test_classes_of_enough_images_come_first():
    labels = np.concatenate([np.repeat(np.arange(1000), 2), np.repeat(np.arange(1000, 1040), 20)])
    counts = counts_of(labels)
    assert (counts[1000:] == 10).all()
    assert set(counts[:1000]) == {0, 2}
