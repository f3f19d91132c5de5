"""How schedules of the learning rate are compared."""

import numpy as np
import pandas as pd
import pytest
import schedule

from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.tables import MetaDataset


def table(a, b):
    """One task and the four configurations, all with the same two curves."""
    evaluations = np.full((1, 4, 1, 3, len(MetaDataset.objectives)), 0.5)
    for name, curve in (("val_accuracy", a), ("val_accuracy_b", b)):
        evaluations[..., MetaDataset.objectives.index(name)] = curve
    about = {"location": "", "classes": 2, "n_train": 9, "n_val": 9, "licence": "", "image_hash": ""}
    tasks = pd.DataFrame([{"name": "one", "family": "one", **about}])
    space = schedule.space()
    return MetaDataset(space, space.grid(), np.array([1, 16, 32]), evaluations, tasks, Fingerprint())


def test_the_best_epoch_is_chosen_on_the_half_that_does_not_report():
    judged = schedule.judged(table(a=[0.5, 0.9, 0.6], b=[0.8, 0.4, 0.7]))
    assert judged["last epoch"] == pytest.approx([65.0])  # mean of 0.6 and 0.7
    assert judged["best epoch, chosen on the other half"] == pytest.approx([45.0])  # B at 16 by A, A at 1 by B


def test_a_diverged_run_counts_as_nothing_learned():
    judged = schedule.judged(table(a=[0.5, np.nan, np.nan], b=[0.5, np.nan, np.nan]))
    assert judged["last epoch"] == pytest.approx([0.0])


def test_differences_have_their_standard_error_over_tasks():
    found = schedule.against(np.array([3.0, 5.0, 4.0]), np.array([1.0, 1.0, 1.0]))
    assert found["mean"] == pytest.approx(3.0)
    assert found["standard_error"] == pytest.approx(round(1 / np.sqrt(3), 2))
    assert found["by_task"] == [2.0, 4.0, 3.0]
