"""Predictors that know another's tasks and those of one's own table."""

import numpy as np
import pandas as pd
import pytest
from digit_images import write_digits

from hyperstar_tune.errors import PredictorError, SpaceError
from hyperstar_tune.predictor import Predictor, extend_plus
from hyperstar_tune.predictor.joined import joined_model
from hyperstar_tune.predictor.plus import fit_plus
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

BASE = "mobilenet-v2-64px"


def table_of(task, space, configs, accuracies):
    """A table of one task with one epoch."""
    rows = [
        {"task": task.name, "seed": 0, "epoch": 1, **config, "val_accuracy": value}
        for config, value in zip(configs, accuracies, strict=True)
    ]
    about = pd.DataFrame([{"name": task.name, "family": "mine", "image_hash": task.sample_hash()}])
    defaults = {"location": "", "classes": 3, "n_train": task.n_train, "n_val": task.n_val, "licence": ""}
    return MetaDataset.from_frame(pd.DataFrame(rows), space, tasks=about.assign(**defaults))


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return ImageTask.from_folder(write_digits(tmp_path_factory.mktemp("mine") / "digits"))


def test_the_joint_model_is_the_one_that_all_tasks_together_give():
    rng = np.random.default_rng(0)
    targets, traits = rng.normal(size=(14, 20)), 3 + 5 * rng.normal(size=(14, 3))
    families = [f"f{i // 2}" for i in range(14)]
    known = fit_plus(targets[:9], traits[:9], families[:9], 5.0)
    joint = joined_model(known, targets[9:], traits[9:], families, 5.0)
    whole = fit_plus(targets, traits, families, 5.0)
    for name in ("mean", "slopes", "shift", "scale", "known", "reach"):
        np.testing.assert_allclose(getattr(joint, name), getattr(whole, name), rtol=1e-8, atol=1e-10)


def test_a_task_of_ones_own_counts_as_one_more(task, tmp_path):
    base = Predictor.load(BASE)
    configs = base.space.grid()
    order = np.random.default_rng(1).permutation(len(configs))
    table = table_of(task, base.space, configs, 0.2 + 0.6 * order / len(order))
    mine = extend_plus(base, table, {task.name: task}, name="mine")
    mine.save(tmp_path / "mine")
    mine = Predictor.load(tmp_path / "mine")
    n_known = len(base.card["tasks"])
    assert len(mine.card["tasks"]) == n_known + 1
    assert mine.has_seen(task)
    own = (n_known + 1) * mine.model.mean - n_known * base.model.mean  # the target of the new task
    places = [base.space.grid().index(config) for config in configs]
    assert np.corrcoef(own[places], order)[0, 1] > 0.95
    before, after = base.rank(task), mine.rank(task)
    places = {str(config): place for place, config in enumerate(before.configs)}
    moved = [places[str(config)] - place for place, config in enumerate(after.configs)]
    best = configs[int(order.argmax())]
    assert moved[[str(config) for config in after.configs].index(str(best))] >= 0


def test_what_a_task_lacks_is_as_the_base_expects_it(task):
    base = Predictor.load(BASE)
    ranking = base.rank(task)
    few = [ranking.configs[place] for place in (0, 30, 60, 100)]  # as good as it says
    mine = extend_plus(base, table_of(task, base.space, few, [0.9, 0.8, 0.7, 0.2]), {task.name: task})
    again = mine.rank(task)
    first = [str(config) for config in ranking.configs[:20]]
    assert len({str(config) for config in again.configs[:20]} & set(first)) >= 15
    turned = extend_plus(base, table_of(task, base.space, few, [0.2, 0.7, 0.8, 0.9]), {task.name: task})
    other = turned.rank(task)
    assert other.scores[other.configs.index(few[0])] < again.scores[again.configs.index(few[0])]


def test_what_cannot_be_extended_is_one_line(task, tmp_path):
    base = Predictor.load(BASE)
    other = SearchSpace.from_values({"lr": [0.1, 0.2]}, "other")
    table = table_of(task, other, other.grid(), [0.1, 0.2])
    with pytest.raises(SpaceError, match="parameter"):
        extend_plus(base, table, {task.name: task})
    with pytest.raises(PredictorError, match=r"only a HyperSTAR\+ predictor can be extended"):
        extend_plus(Predictor.load("shufflenet-v2-x1-64px-network"), table, {task.name: task})
    with pytest.raises(PredictorError, match="need their images"):
        extend_plus(base, table, {})
