"""What is measured of growing image sizes, in which order, and on which images."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from collect_image_sizes import PARTS, measure, splits

from hyperstar_tune.space import config_key

PART = PARTS["from-scratch"]


@pytest.fixture
def cut(digits_folder):
    return splits(digits_folder, n_train=12, n_val=9, n_test=10)


def pixels(task, split):
    return {image.tobytes() for image in task.images(split, 8)}


def test_no_image_is_in_two_splits_and_every_class_is_in_each(cut):
    parts = [pixels(cut.task, "train"), pixels(cut.task, "val"), pixels(cut.test, "val")]
    assert [len(part) for part in parts] == [12, 9, 10]
    assert len(set.union(*parts)) == 31
    assert all(set(labels) == {0, 1, 2} for labels in (cut.task.train_labels, cut.task.val_labels, cut.test.val_labels))


def test_what_was_reached_of_the_first_block_has_the_same_configurations_everywhere():
    block = list(islice(PART.cells(), 144))
    counts = Counter((task, config["image_size"], seed) for task, config, seed in block)
    assert counts == {
        (task, size, seed): (10, 2)[seed] for task in PART.tasks for size in PART.sizes for seed in (0, 1)
    }
    assert len({config_key({**config, "image_size": 0}) for _, config, _ in block}) == 10
    for _, config, _ in block:
        PART.sized_space.check(config)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_has_as_many_configurations_as_it_says(name):
    part = PARTS[name]
    assert len(list(part.cells())) == len(part.tasks) * len(part.sizes) * (
        part.n_configs + -(-part.n_configs // part.again)
    )


def test_a_cell_ends_with_patience_and_tests_its_best_epoch(cut):
    config = next(config for _, config, _ in PART.cells() if config["image_size"] == 32)
    cell = measure(PART, cut, config, 0)
    best = int(np.argmax(cell["val_accuracy"]))
    assert cell["best_epoch"] == cell["epochs"][best]
    assert len(cell["epochs"]) == len(cell["val_accuracy_b"]) == min(16, cell["best_epoch"] + 5)
    assert round(10 * cell["test_accuracy"]) == pytest.approx(10 * cell["test_accuracy"])
