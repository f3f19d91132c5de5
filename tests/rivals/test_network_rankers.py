"""The rankers of Tables 1 and 2 on tasks that only a look at the images can tell apart."""

import numpy as np
import pytest
from made_up_table import make_table

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor import TrainingSettings
from hyperstar_tune.rivals.features import FeatureStore
from hyperstar_tune.rivals.networks import BatchwiseRanker
from hyperstar_tune.rivals.points import GlobalMeanRanker
from hyperstar_tune.rivals.registry import Supplies, ranker_kind
from hyperstar_tune.tasks.task import ImageTask

SETTINGS = TrainingSettings(train_backbone="none", epochs=40, image_batches=1, configs_per_batch=48, batch_size=8)
QUICK = TrainingSettings(train_backbone="none", epochs=1, image_batches=2, configs_per_batch=8, batch_size=8)


def stripes(name, n_pixels, seed):
    """Images of stripes so many pixels wide."""
    rng = np.random.default_rng(seed)
    pattern = (np.arange(32) // n_pixels % 2 * 200).astype(np.uint8)
    images = np.broadcast_to(pattern, (24, 32, 32)) + rng.integers(0, 40, (24, 32, 32), dtype=np.uint8)
    labels = np.arange(24) % 2
    return ImageTask.from_arrays(name, images, labels, images[:8], labels[:8])


@pytest.fixture(scope="module")
def world():
    """Six tasks: fine stripes want one half of the configurations, coarse ones the other."""
    table = make_table(6)
    evaluations = table.evaluations.copy()
    score = np.linspace(0.2, 0.9, 48)
    for task in range(6):
        evaluations[task, :, 0, -1, 0] = score if task % 2 else score[::-1]
    tasks = table.tasks.assign(classes=2, n_train=24, n_val=8)
    table = type(table)(table.space, table.configs, table.epochs, evaluations, tasks, table.fingerprint)
    images = {f"task{i}": stripes(f"task{i}", 8 if i % 2 else 1, i) for i in range(6)}
    return table, FeatureStore(images, image_size=32)


@pytest.mark.parametrize("name", ["meta_data", "global_mean", "bm", "bm_gan", "bm_similarity", "bm_both", "end_to_end"])
def test_every_variant_ranks_all_configurations_and_the_same_way_twice(world, name):
    table, store = world
    rankings = [
        ranker_kind(name)
        .make(Supplies(table, store, QUICK), seed=2)
        .fit(table.without("family5"))
        .rank(table.tasks.iloc[5], table.configs)
        for _ in range(2)
    ]
    assert rankings[0] == rankings[1]
    assert len(rankings[0]) == 48
    assert rankings[0].source == name
    assert rankings[0].task == "task5"


@pytest.mark.parametrize("name", ["global_mean", "bm", "bm_both"])
def test_rankers_that_look_see_what_counts_cannot_tell(world, name):
    table, store = world
    known = table.subset([0, 1, 2, 3])
    ranker = ranker_kind(name).make(Supplies(table, store, SETTINGS)).fit(known)
    for task, best in ((4, 0), (5, 47)):
        ranking = ranker.rank(store.images[f"task{task}"], table.configs)
        places = [table.configs.index(config) for config in ranking.configs[:10]]
        assert np.mean(np.abs(np.array(places) - best)) < 12


def test_a_variant_has_the_losses_of_its_name(world):
    _, store = world
    losses = {name: BatchwiseRanker(name, store).settings for name in ("bm", "bm_gan", "bm_similarity", "bm_both")}
    assert [bool(s.alpha) for s in losses.values()] == [False, False, True, True]
    assert [bool(s.beta) for s in losses.values()] == [False, True, False, True]


def test_mistakes_are_named(world):
    table, store = world
    with pytest.raises(PredictorError, match="must be fitted"):
        BatchwiseRanker("bm", store).rank(table.tasks.iloc[0], table.configs)
    with pytest.raises(PredictorError, match="a batchwise ranker is one of"):
        BatchwiseRanker("magic", store)
    with pytest.raises(PredictorError, match="needs a FeatureStore"):
        GlobalMeanRanker(store.end_to_end)
    for name in ("bm", "global_mean"):
        with pytest.raises(PredictorError, match=f"'{name}' needs the images"):
            ranker_kind(name).make(Supplies(table))
    with pytest.raises(PredictorError, match="task 'task0' has none"):
        BatchwiseRanker("bm", FeatureStore({}), QUICK).fit(table)


def test_end_to_end_moves_the_backbone_that_others_share_frozen(world):
    table, store = world
    ranker = BatchwiseRanker("end_to_end", store, QUICK).fit(table)
    shared, own = store.backbone().state_dict(), ranker.backbone.state_dict()
    renamed = {name.removeprefix("frozen."): value for name, value in shared.items()}
    moved = {name.removeprefix("trained."): value for name, value in own.items()}
    assert renamed.keys() == moved.keys()
    assert not all(bool((moved[name] == value).all()) for name, value in renamed.items())
    assert ranker.settings.train_backbone == "all"
    assert store.train_backbone == "none"
