"""The room between a task's best configuration and what a person does without a tuner."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import room
from collect_table import listed
from scoreboard.by_hand import BY_HAND

from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables import MetaDataset

EPOCHS = np.array([1, 8, 32])
OBJECTIVES = MetaDataset.objectives


def table(space, accuracy, accuracy_b, epoch_seconds):
    """One task; accuracies [H, F], and seconds per epoch [H]."""
    evaluations = np.full((1, len(accuracy), 1, 3, len(OBJECTIVES)), 0.5)
    evaluations[0, :, 0, :, OBJECTIVES.index("val_accuracy")] = accuracy
    evaluations[0, :, 0, :, OBJECTIVES.index("val_accuracy_b")] = accuracy_b
    evaluations[0, :, 0, :, OBJECTIVES.index("epoch_seconds")] = np.asarray(epoch_seconds)[:, None]
    about = {"location": "", "classes": 2, "n_train": 9, "n_val": 9, "licence": "", "image_hash": ""}
    tasks = pd.DataFrame([{"name": "one", "family": "one", **about}])
    return MetaDataset(space, space.grid(), EPOCHS, evaluations, tasks, Fingerprint())


@pytest.fixture
def found():
    by_hand = listed(list(BY_HAND.values()), "by hand")
    labels = list(BY_HAND)
    accuracy = np.full((6, 3), 0.5)
    accuracy[labels.index("untuned default, 64 px")] = [0.1, 0.4, 0.6]
    accuracy[labels.index("last stage, 64 px")] = [0.1, 0.5, 0.7]  # ahead after a quarter of R
    hand = table(by_hand, accuracy, accuracy, [1.0] * 6)
    searched = SearchSpace.from_values({"lr": [0.1, 0.2, 0.3]})
    ends = np.array([0.9, 0.8, 0.3])
    curves = np.stack([ends / 2, ends / 2, ends], axis=1)
    return room.of_task(table(searched, curves, curves, [10.0, 1.0, 1.0]), hand, "one", np.array([0.1, 0.2, 0.3]))


def test_the_expert_finishes_the_better_of_two_and_pays_for_both(found):
    assert found["expert's race, 64 px"] == {"accuracy": 70.0, "seconds": 40.0}
    assert found["untuned default, 64 px"] == {"accuracy": 60.0, "seconds": 32.0}


def test_at_equal_seconds_only_what_costs_no_more_than_the_race_counts(found):
    assert found["best"] == {"accuracy": 90.0, "seconds": 320.0}
    assert found["best in the seconds of expert's race, 64 px"] == {"accuracy": 80.0, "seconds": 40.0}
    gained = room.room({"one": found, "two": found, "three": found})
    assert gained["best in the seconds of expert's race, 64 px above expert's race, 64 px"]["mean"] == pytest.approx(10)
    assert gained["best above untuned default, 64 px"]["mean"] == pytest.approx(30)


def test_one_for_all_is_what_does_best_on_the_other_tasks(found):
    assert found["one for all"] == {"accuracy": 30.0, "seconds": 32.0}
    searched = SearchSpace.from_values({"lr": [0.1, 0.2, 0.3]})
    one = table(searched, np.array([[0.9] * 3, [0.8] * 3, [0.3] * 3]), np.full((3, 3), 0.5), [1.0] * 3)
    two = table(searched, np.array([[0.1] * 3, [0.7] * 3, [0.9] * 3]), np.full((3, 3), 0.5), [1.0] * 3)
    evaluations = np.concatenate([one.evaluations, two.evaluations])
    evaluations[1, 2] = np.nan  # the second task lacks its best configuration
    tasks = pd.concat([one.tasks, two.tasks.assign(name="two")], ignore_index=True)
    both = replace(one, evaluations=evaluations, tasks=tasks)
    assert room.one_for_all(both, [0, 1], 0).tolist() == pytest.approx([0.6, 1.2, -1])
    assert room.one_for_all(both, [0, 1], 1).tolist() == pytest.approx([1.4, 1.3, -1])


def test_what_has_no_seconds_is_never_affordable():
    hand = table(listed(list(BY_HAND.values()), "by hand"), np.full((6, 3), 0.5), np.full((6, 3), 0.5), [1.0] * 6)
    curves = np.array([[0.9] * 3, [0.6] * 3])
    searched = SearchSpace.from_values({"lr": [0.1, 0.2]})
    found = room.of_task(table(searched, curves, curves, [np.nan, 1.0]), hand, "one", np.zeros(2))
    assert found["configurations"] == 2
    assert found["best"] == {"accuracy": 90.0, "seconds": None}
    assert found["best in the seconds of expert's race, 64 px"]["accuracy"] == 60.0


def test_a_configuration_is_chosen_on_the_half_that_does_not_judge_it():
    hand = table(listed(list(BY_HAND.values()), "by hand"), np.full((6, 3), 0.5), np.full((6, 3), 0.5), [1.0] * 6)
    searched = SearchSpace.from_values({"lr": [0.1, 0.2]})
    lucky_a, lucky_b = np.array([[0.9] * 3, [0.6] * 3]), np.array([[0.5] * 3, [0.6] * 3])
    found = room.of_task(table(searched, lucky_a, lucky_b, [1.0, 1.0]), hand, "one", np.zeros(2))
    assert found["best"]["accuracy"] == pytest.approx(100 * (0.5 + 0.6) / 2)  # A chooses the first, B the second
