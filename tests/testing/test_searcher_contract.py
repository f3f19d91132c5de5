"""The contract suite holds for our searchers and for two of Ray's, and fails for a searcher that breaks it."""

import numpy as np
import pytest
from ray import tune
from ray.tune.search import ConcurrencyLimiter, Searcher

from hyperstar_tune import HyperStarSearcher, RandomSearcher, Ranking, SearchSpace
from hyperstar_tune.search import Gated
from hyperstar_tune.testing import SearcherContract

SPACE = SearchSpace.from_name("se-resnext-50")
SCORES = np.random.default_rng(0).normal(size=40)
RAY_SPACE = {
    "lr": tune.loguniform(1e-4, 1e-1),
    "layers": tune.randint(1, 5),
    "optimizer": tune.choice(["sgd", "adamw"]),
}


class TestRandomSearcher(SearcherContract):
    n_configs = 40

    def make_searcher(self, seed):
        return RandomSearcher(SPACE, seed=seed, metric="score", mode="max")

    def make_empty_searcher(self):
        return RandomSearcher()


class TestRandomSearcherOfAnEndlessSpace(SearcherContract):
    def make_searcher(self, seed):
        return RandomSearcher(RAY_SPACE, seed=seed, metric="score", mode="max")

    def make_empty_searcher(self):
        return RandomSearcher()


class TestRandomSearcherOfThreeConfigurations(SearcherContract):
    n_suggestions = n_configs = 3

    def make_searcher(self, seed):
        return RandomSearcher({"x": tune.choice([1, 2, 3])}, seed=seed)


class _HyperStar(SearcherContract):
    n_configs = 40
    use = "top"

    def make_searcher(self, seed):
        ranking = Ranking.of(SPACE.grid(), SCORES)
        return HyperStarSearcher(ranking=ranking, use=self.use, seed=seed, metric="score", mode="max")

    def make_empty_searcher(self):
        space = SearchSpace.from_values({"kind": ["a", "b"], "lr": [0.001, 0.01, 0.1], "n": [7, 8]})
        return HyperStarSearcher(ranking=Ranking.of(space.grid(), range(len(space))), use=self.use)

    test_a_flat_config_is_searched = None  # a ranking of three parameters does not fit a config of two


class TestHyperStarTop(_HyperStar):
    depends_on_seed = False


class TestHyperStarMixed(_HyperStar):
    use = "mixed"


class TestHyperStarSampled(_HyperStar):
    use = "sampled"


class TestOptunaSearch(SearcherContract):
    knows_strangers = False

    def make_searcher(self, seed):
        pytest.importorskip("optuna")
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        space = OptunaSearch.convert_search_space(RAY_SPACE)
        return OptunaSearch(space, sampler=optuna.samplers.TPESampler(seed=seed), metric="score", mode="max")

    def make_empty_searcher(self):
        pytest.importorskip("optuna")
        from ray.tune.search.optuna import OptunaSearch

        return OptunaSearch()


class TestConcurrencyLimiter(TestOptunaSearch):
    def make_searcher(self, seed):
        return ConcurrencyLimiter(super().make_searcher(seed), max_concurrent=100)

    def make_empty_searcher(self):
        return ConcurrencyLimiter(super().make_empty_searcher(), max_concurrent=100)

    test_a_concurrency_limit_holds_or_is_refused = None  # it is the limiter


class TestGatedOptuna(TestOptunaSearch):
    resumes_exactly = False

    def make_searcher(self, seed):
        return Gated(super().make_searcher(seed))

    def make_empty_searcher(self):
        return Gated(super().make_empty_searcher())


class TestTuneBOHB(SearcherContract):
    knows_strangers = False
    plain_values = False  # it gives numpy.str_
    resumes_exactly = False  # it draws from NumPy's global generator

    def make_searcher(self, seed):
        pytest.importorskip("hpbandster")
        from ray.tune.search.bohb import TuneBOHB

        np.random.seed(seed)
        return TuneBOHB(TuneBOHB.convert_search_space(RAY_SPACE), metric="score", mode="max", seed=seed)

    def make_empty_searcher(self):
        pytest.importorskip("hpbandster")
        from ray.tune.search.bohb import TuneBOHB

        return TuneBOHB()


class Sloppy(Searcher):
    """Suggests a NumPy number, waits for ever at the end and forgets its state."""

    def __init__(self, seed):
        super().__init__("score", "max")
        self.left = np.random.default_rng(seed).permutation(10).tolist()

    def suggest(self, trial_id):
        return {"x": np.float64(self.left.pop())} if self.left else None

    def on_trial_complete(self, trial_id, result=None, error=False):
        pass

    def save(self, path):
        open(path, "w").close()

    def restore(self, path):
        pass


class _SloppyContract(SearcherContract):
    n_configs = 10

    def make_searcher(self, seed):
        return Sloppy(seed)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("test_a_suggestion_is_a_dict_of_plain_python_values", "is a float64"),
        ("test_none_means_later_and_finished_means_never", "wait for ever"),
    ],
)
def test_the_suite_finds_what_is_wrong(name, message):
    with pytest.raises(AssertionError, match=message):
        getattr(_SloppyContract(), name)()


def test_the_suite_finds_a_state_that_is_not_restored(tmp_path):
    with pytest.raises(AssertionError):
        _SloppyContract().test_a_restored_searcher_goes_on_where_it_was(tmp_path)
