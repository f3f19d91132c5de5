"""The optimizers by name, alone and under increasing image sizes: each passes the contract of searchers."""

import numpy as np
import pytest
from ray import tune
from ray.tune.search import Searcher

from hyperstar_tune import HyperStarSearcher, IncreasingImageSizes, Ranking, SearchSpace
from hyperstar_tune.errors import SearchError
from hyperstar_tune.rivals.bohb import has_hpbandster
from hyperstar_tune.rivals.optimizers import OPTIMIZERS, optimizer
from hyperstar_tune.rivals.smac import SmacSearcher
from hyperstar_tune.testing import SearcherContract

SPACE = SearchSpace.from_name("se-resnext-50")
RAY_SPACE = {"x": tune.uniform(0.0, 1.0), "width": tune.lograndint(8, 128), "kind": tune.choice(["a", "b", "c"])}


def has_smac():
    try:
        import smac  # noqa: F401
    except ImportError:
        return False
    return True


def make(name, seed=0):
    if name in ("tpe", "genetic"):
        pytest.importorskip("optuna")
    if (name == "smac" and not has_smac()) or (name == "bohb" and not has_hpbandster()):
        pytest.skip(f"the extra {name} is not installed")
    return optimizer(name, seed)


class _UnderSizes(SearcherContract):
    n_configs = 14
    name = "random"

    def wrap(self, inner, **options):
        return IncreasingImageSizes(inner, trials=(8, 4, 2), hand_on=2, metric="score", mode="max", **options)

    def make_searcher(self, seed):
        return self.wrap(make(self.name, seed), space=RAY_SPACE)

    def make_empty_searcher(self):
        return self.wrap(make(self.name))

    test_a_nested_config_is_searched_in_its_places = None  # it knows all keys, and the image size is one more


class TestRandomUnderSizes(_UnderSizes):
    pass


class TestTpeUnderSizes(_UnderSizes):
    name = "tpe"


class TestGeneticUnderSizes(_UnderSizes):
    name = "genetic"


class TestSmacUnderSizes(_UnderSizes):
    name = "smac"
    resumes_exactly = False


class TestBohbUnderSizes(_UnderSizes):
    name = "bohb"


class TestHyperStarUnderSizes(_UnderSizes):
    depends_on_seed = False

    def make_searcher(self, seed):
        ranking = Ranking.of(SPACE.grid(), np.random.default_rng(0).normal(size=40))
        return self.wrap(HyperStarSearcher(ranking=ranking, space=SPACE))

    test_a_flat_config_is_searched = make_empty_searcher = None


def scores_of(name, n, seed):
    searcher = make(name, seed)
    searcher.set_search_properties("score", "max", RAY_SPACE)
    scores = []
    for number in range(n):
        config = searcher.suggest(f"t{number}")
        assert config != Searcher.FINISHED
        score = -((config["x"] - 0.3) ** 2) - (np.log(config["width"] / 64)) ** 2 - (config["kind"] != "b")
        scores.append(score)
        searcher.on_trial_complete(f"t{number}", result={"training_iteration": 1, "score": score})
    return np.array(scores)


@pytest.mark.parametrize(("name", "n"), [("tpe", 40), ("genetic", 60), ("smac", 18)])
def test_an_optimizer_learns(name, n):
    scores = scores_of(name, n, seed=0)
    late = np.sort(scores[-8:])[-3:].mean()
    assert late > np.quantile(scores_of("random", n, seed=0), 0.75)


def test_smac_keeps_to_the_conditions():
    make("smac")
    space = SearchSpace(SearchSpace.from_name("efficientnet-lite0").configuration_space)
    searcher = SmacSearcher(space, metric="score", mode="max")
    for number in range(16):
        config = searcher.suggest(f"t{number}")
        space.check(config)
        searcher.on_trial_complete(f"t{number}", result={"training_iteration": 1, "score": config["lr"]})
    assert len(searcher._smac.runhistory) == 16


def test_smac_knows_everything_again_after_a_restore(tmp_path):
    searcher = SmacSearcher(RAY_SPACE, metric="score", mode="max") if make("smac") else None
    for number in range(4):
        searcher.suggest(f"t{number}")
        searcher.on_trial_complete(f"t{number}", result={"training_iteration": 1, "score": float(number)})
    searcher.save(str(tmp_path / "state"))
    restored = SmacSearcher(RAY_SPACE, metric="score", mode="max", seed=9)
    restored.restore(str(tmp_path / "state"))
    restored.suggest("next")
    costs = sorted(value.cost for value in restored._smac.runhistory.values())
    assert costs[:4] == [-3.0, -2.0, -1.0, 0.0]
    assert len(costs) == 5  # and one that runs


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(SearchError, match=f"one of {', '.join(OPTIMIZERS)}, but got 'sma'"):
        optimizer("sma")
