import numpy as np
import pytest
import torch
from ConfigSpace import ConfigurationSpace, Float
from PIL import Image

from hyperstar_tune.errors import PredictorError, SpaceError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor import NetworkPredictor, Predictor, predictor_names
from hyperstar_tune.predictor.backbone import Backbone
from hyperstar_tune.predictor.networks import Architecture, PredictorNetwork
from hyperstar_tune.space import SearchSpace, config_key


def literal_algorithm_2(predictor, batches, configs):
    """A forward pass of everything for every configuration and batch, as the paper writes it."""
    scores = np.zeros(len(configs))
    for n, config in enumerate(configs):
        for batch in batches:
            scores[n] += predictor.scores(batch[None], [config])[0, 0]
    return scores / len(batches)


def test_embedding_each_batch_once_gives_what_algorithm_2_gives(predictor, small_world):
    task = small_world.tasks["striped0"]
    batches = task.batches(3, 8, predictor.image_size, seed=4)
    literal = literal_algorithm_2(predictor, batches, predictor.space.grid())
    ranking = predictor.rank(task, seed=4, n_batches=3, batch_size=8)
    expected = np.argsort(-literal, kind="stable")
    assert [config_key(c) for c in ranking.configs] == [config_key(predictor.space.grid()[i]) for i in expected]
    assert ranking.scores == pytest.approx(literal[expected], abs=1e-5)


def test_spread_is_the_deviation_over_batches(predictor, small_world):
    task = small_world.tasks["smooth1"]
    scores = predictor.scores(task.batches(4, 8, predictor.image_size, seed=0))
    ranking = predictor.rank(task, n_batches=4, batch_size=8)
    assert ranking.scores == pytest.approx(np.sort(scores.mean(axis=0))[::-1], abs=1e-5)
    assert sorted(ranking.spread) == pytest.approx(np.sort(scores.std(axis=0)), abs=1e-5)
    assert max(ranking.spread) > 0


def test_a_ranking_says_of_what_by_whom_and_whether_it_was_seen(predictor, small_world, worlds):
    seen = predictor.rank(small_world.tasks["striped0"], n_batches=1, batch_size=4)
    assert (seen.task, seen.source, seen.seen) == ("striped0", "little", True)
    new = worlds(n_each=1, seed=77).tasks["striped0"]
    assert not predictor.rank(new, n_batches=1, batch_size=4).seen


def test_some_configurations_can_be_ranked(predictor, small_world):
    chosen = predictor.space.grid()[2:5]
    ranking = predictor.rank(small_world.tasks["smooth1"], chosen, n_batches=1, batch_size=4)
    assert sorted(map(config_key, ranking.configs)) == sorted(map(config_key, chosen))
    with pytest.raises(SpaceError, match="lr"):
        predictor.rank(small_world.tasks["smooth1"], [chosen[0] | {"lr": 7.0}], n_batches=1, batch_size=4)


def test_a_folder_is_ranked_by_its_path(predictor, tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in ("a", "b"):
            (tmp_path / "task" / split / label).mkdir(parents=True)
            for i in range(3):
                pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "task" / split / label / f"{i}.png")
    ranking = predictor.rank(str(tmp_path / "task"), n_batches=2, batch_size=8)
    assert len(ranking.configs) == len(predictor.space)
    assert predictor.rank(tmp_path / "task", n_batches=2, batch_size=8) == ranking


def test_a_continuous_space_needs_configurations(small_world):
    space = ConfigurationSpace()
    space.add(Float("lr", (1e-4, 0.1), log=True))
    known = SearchSpace(space)
    network = PredictorNetwork(Architecture(1024, known.dim, width=8, heads=2, dim=4, hidden=8))
    predictor = NetworkPredictor(Backbone(), network, known, Fingerprint(image_size=32), {})
    batches = small_world.tasks["smooth1"].batches(1, 4, 32)
    with pytest.raises(PredictorError, match="continuous"):
        predictor.scores(batches)
    assert predictor.scores(batches, known.sample(5, seed=0)).shape == (1, 5)


def test_representations_have_the_stated_size(predictor, small_world):
    batches = small_world.tasks["smooth1"].batches(2, 4, 32)
    assert predictor.embed(batches).shape == (2, predictor.card["architecture"]["dim"])
    with pytest.raises(PredictorError, match=r"shape \[B, N, 3, S, S\]"):
        predictor.scores(batches[0])


def test_the_shipped_network_ranks_its_space_and_states_its_origin():
    assert "shufflenet-v2-x1-64px-network" in predictor_names()
    predictor = Predictor.load("shufflenet-v2-x1-64px-network")
    assert isinstance(predictor, NetworkPredictor)
    assert len(predictor.space) == 108
    assert (predictor.fingerprint.max_epochs, predictor.image_size, predictor.fingerprint.batch_size) == (16, 64, 32)
    scores = predictor.scores(torch.randint(0, 256, (2, 8, 3, 64, 64), dtype=torch.uint8))
    assert scores.shape == (2, 108)
    assert np.isfinite(scores).all()
    assert predictor.card["measured"]["families"] >= 5
    assert len(predictor.card["tasks"]) == 36
