"""The searchers of the rivals keep the contract that ours keep."""

import numpy as np
import pytest
from ray import tune

from hyperstar_tune import Ranking, SearchSpace
from hyperstar_tune.errors import SearchError, SpaceError
from hyperstar_tune.rivals.bohb import BohbSearcher, has_hpbandster
from hyperstar_tune.rivals.rush import WarmStartSearcher
from hyperstar_tune.rivals.tpe import TpeSearcher
from hyperstar_tune.testing import SearcherContract

SPACE = SearchSpace.from_name("se-resnext-50")


class _GivenSpace(SearcherContract):
    test_a_nested_config_is_searched_in_its_places = None  # they are given their space
    test_a_flat_config_is_searched = None


@pytest.mark.skipif(not has_hpbandster(), reason="the extra bohb is not installed")
class TestBohb(_GivenSpace):
    def make_searcher(self, seed):
        return BohbSearcher(SPACE, seed=seed, n_samples=4, metric="score", mode="max")


@pytest.mark.skipif(not has_hpbandster(), reason="the extra bohb is not installed")
class TestBohbAfterARanking(_GivenSpace):
    def make_searcher(self, seed):
        ranking = Ranking.of(SPACE.grid(), np.random.default_rng(seed).normal(size=40))
        return BohbSearcher(SPACE, ranking=ranking, n_ranked=3, n_samples=4, metric="score", mode="max", seed=seed)


class TestTpe(_GivenSpace):
    def make_searcher(self, seed):
        pytest.importorskip("optuna")
        return TpeSearcher(SPACE, seed=seed, metric="score", mode="max")


def _bohb(**arguments):
    if not has_hpbandster():
        pytest.skip("the extra bohb is not installed")
    return BohbSearcher(SPACE, n_samples=4, **arguments)


def _tpe():
    pytest.importorskip("optuna")
    return TpeSearcher(SPACE)


def _warm_start():
    return WarmStartSearcher(SPACE, first=SPACE.grid()[:2])


@pytest.mark.parametrize("make", [_bohb, _tpe, _warm_start])
def test_a_config_with_another_space_is_refused(make):
    with pytest.raises(SearchError, match="config searches lr"):
        make().set_search_properties("score", "max", {"lr": tune.choice([0.1]), "n": 3})


@pytest.mark.parametrize("make", [_bohb, _tpe])
def test_a_fixed_entry_of_the_config_keeps_its_value(make):
    lr = SPACE.grid()[0]["lr"]
    searcher = make()
    assert searcher.set_search_properties("score", "max", {"lr": lr, "n": 3})
    drawn = [searcher.suggest(f"t{number}") for number in range(20)]
    assert {config["lr"] for config in drawn} == {lr}
    assert all(config.keys() == set(SPACE.parameters) for config in drawn)
    with pytest.raises(SpaceError, match=r"lr.*77"):
        make().set_search_properties("score", "max", {"lr": 77.0})


def test_a_ranking_in_front_keeps_to_the_fixed_entry_too():
    ranking = Ranking.of(SPACE.grid(), np.random.default_rng(0).normal(size=40))
    last = ranking.configs[-1]["lr"]
    searcher = _bohb(ranking=ranking, n_ranked=3)
    searcher.set_search_properties("score", "max", {"lr": last})
    expected = [config for config in ranking.configs if config["lr"] == last][:3]
    assert [searcher.suggest(f"t{number}") for number in range(3)] == expected


class TestWarmStart(_GivenSpace):
    n_configs = 40

    def make_searcher(self, seed):
        return WarmStartSearcher(SPACE, first=SPACE.grid()[7:9], seed=seed)
