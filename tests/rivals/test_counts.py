"""The rankers of the paper, on a table whose right answers are known."""

import numpy as np
import pytest
from made_up_table import make_ranker, make_table

from hyperstar_tune.errors import PredictorError, TaskError
from hyperstar_tune.metrics import normalize_scores
from hyperstar_tune.rivals.counts import meta_features
from hyperstar_tune.tasks.task import ImageTask


@pytest.fixture(scope="module")
def table():
    return make_table(5)


def order(ranking, table):
    return [table.configs.index(config) for config in ranking.configs]


@pytest.mark.parametrize(
    "name", ["random", "average_top1", "average_normalized", "random_forest", "nearest_task", "portfolio"]
)
def test_every_ranker_orders_all_configurations_the_same_way_twice(table, name):
    rankings = [make_ranker(name, seed=3).fit(table).rank(table.tasks.iloc[1], table.configs) for _ in range(2)]
    assert order(rankings[0], table) == order(rankings[1], table)
    assert sorted(order(rankings[0], table)) == list(range(48))
    assert rankings[0].task == "task1"
    assert rankings[0].source == name


def test_averages_are_the_means_of_the_table(table):
    scores = table.scores()
    for name, means in (
        ("average_top1", scores.mean(axis=0)),
        ("average_normalized", normalize_scores(scores).mean(0)),
    ):
        ranking = make_ranker(name).fit(table).rank(table.tasks.iloc[0], table.configs)
        assert order(ranking, table) == np.argsort(-means, kind="stable").tolist()


def test_the_nearest_task_lends_its_own_ranking(table):
    ranker = make_ranker("nearest_task").fit(table)
    like_task3 = {"name": "new", "classes": 5, "n_train": 410, "n_val": 50}
    assert (
        order(ranker.rank(like_task3, table.configs), table) == np.argsort(-table.scores()[3], kind="stable").tolist()
    )


def test_the_forest_learns_what_task_and_configuration_say_together():
    table = make_table(8)
    evaluations = table.evaluations.copy()
    for task in range(8):  # small tasks want a low learning rate, large ones a high one
        for row, config in enumerate(table.configs):
            wanted = 1e-4 if task < 4 else 1e-1
            evaluations[task, row, 0, -1, 0] = 0.9 - 0.1 * abs(np.log10(config["lr"] / wanted))
    table = type(table)(table.space, table.configs, table.epochs, evaluations, table.tasks, table.fingerprint)
    forest = make_ranker("random_forest", seed=0).fit(table)
    for n_train, lr in ((150, 1e-4), (750, 1e-1)):
        facts = {"name": "new", "classes": 2 + n_train // 100, "n_train": n_train, "n_val": 50}
        assert forest.rank(facts, table.configs).configs[0]["lr"] == lr


def test_random_orders_differ_by_seed_and_by_task(table):
    orders = {
        tuple(order(make_ranker("random", seed).fit(table).rank(table.tasks.iloc[task], table.configs), table))
        for seed in range(3)
        for task in range(3)
    }
    assert len(orders) == 9


def test_tasks_that_lack_configurations_do_not_bend_the_average(table):
    evaluations = table.evaluations.copy()
    evaluations[4, ::2] = np.nan
    holed = type(table)(table.space, table.configs, table.epochs, evaluations, table.tasks, table.fingerprint)
    whole = table.subset([0, 1, 2, 3])
    rankings = [make_ranker("average_top1").fit(t).rank(t.tasks.iloc[0], t.configs) for t in (holed, whole)]
    assert order(rankings[0], table) == order(rankings[1], table)
    evaluations[:, 0] = np.nan
    nothing = type(table)(table.space, table.configs, table.epochs, evaluations, table.tasks, table.fingerprint)
    with pytest.raises(PredictorError, match="every configuration was trained"):
        make_ranker("average_top1").fit(nothing)


def test_facts_of_images_and_of_a_row_are_the_same():
    images, labels = np.zeros((30, 4, 4), np.uint8), np.arange(30) % 3
    task = ImageTask.from_arrays("dots", images, labels, images[:12], labels[:12])
    row = {"name": "dots", "classes": 3, "n_train": 30, "n_val": 12}
    np.testing.assert_array_equal(meta_features(task), meta_features(row))
    np.testing.assert_allclose(meta_features(row), np.log([30, 3, 10, 12]))


def test_mistakes_are_named(table):
    with pytest.raises(PredictorError, match="'magic'"):
        make_ranker("magic")
    with pytest.raises(PredictorError, match="must be fitted"):
        make_ranker("random_forest").rank(table.tasks.iloc[0], table.configs)
    with pytest.raises(PredictorError, match="must be fitted"):
        make_ranker("nearest_task").rank(table.tasks.iloc[0], table.configs)
    with pytest.raises(PredictorError, match="knows the configurations of its table only"):
        make_ranker("average_top1").fit(table).rank(table.tasks.iloc[0], [{"lr": 5.0}])
    with pytest.raises(TaskError, match="need the classes of task 'x', but got 0"):
        make_ranker("nearest_task").fit(table).rank(
            {"name": "x", "classes": 0, "n_train": 1, "n_val": 1}, table.configs
        )
