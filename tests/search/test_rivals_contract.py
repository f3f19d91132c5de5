"""The searchers of the rivals keep the contract that ours keep."""

import numpy as np
import pytest

from hyperstar_tune import Ranking, SearchSpace
from hyperstar_tune.search.bohb import BohbSearcher, has_hpbandster
from hyperstar_tune.search.tpe import TpeSearcher
from hyperstar_tune.search.transfer import WarmStartSearcher
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
        return BohbSearcher(SPACE, seed, ranking, n_ranked=3, n_samples=4, metric="score", mode="max")


class TestTpe(_GivenSpace):
    def make_searcher(self, seed):
        pytest.importorskip("optuna")
        return TpeSearcher(SPACE, seed=seed, metric="score", mode="max")


class TestWarmStart(_GivenSpace):
    n_configs = 40

    def make_searcher(self, seed):
        return WarmStartSearcher(SPACE.grid()[7:9], SPACE, seed=seed)
