"""A ranking of a space with ranges tries different things first."""

import math
from collections import Counter

import numpy as np
import pytest
from ray import tune
from ray.tune.search import Searcher

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, Ranking, SearchSpace
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.search import from_ray
from hyperstar_tune.search.diversity import MIN_DISTANCE, made_diverse
from hyperstar_tune.tasks import ImageTask

TASK = ImageTask.from_arrays("task", np.zeros((20, 4, 4), dtype="uint8"), [0, 1] * 10)

LISTS = {
    "optimizer": tune.choice(["sgd", "adamw", "rmsprop"]),
    "layers": tune.choice(["head", "last_stage", "all"]),
    "augmentation": tune.choice(["none", "basic", "strong"]),
}
RATES = {
    "loguniform": tune.loguniform(1e-4, 1e-1),
    "qloguniform": tune.qloguniform(1e-4, 1e-1, 1e-4),
    "many choices": tune.choice([float(f"{10**exponent:.3g}") for exponent in np.linspace(-4, -1, 300)]),
}


class Smooth(Predictor):
    """Best at a learning rate of 2e-3; each of the 27 combinations is ``step`` worse than the one before it."""

    def __init__(self, step, spread):
        super().__init__(from_ray({**LISTS, "lr": tune.loguniform(1e-4, 1e-1)}).space, Fingerprint(model="net"), {})
        self.step, self.spread = step, spread

    def tensors(self):
        return {}

    def rank(self, task, configs=None, seed=0):
        lists = [LISTS[name].categories for name in sorted(LISTS)]
        values = [[config[name] for name in sorted(LISTS)] for config in configs]
        numbers = [9 * lists[0].index(a) + 3 * lists[1].index(b) + lists[2].index(c) for a, b, c in values]
        rates = np.array([config["lr"] for config in configs])
        scores = 1 - self.step * np.array(numbers) - np.log10(rates / 2e-3) ** 2 / 4
        return Ranking.of(configs, scores, np.full(len(configs), self.spread))


def combinations(configs):
    return Counter(tuple(config[name] for name in sorted(LISTS)) for config in configs)


def ranked(step, spread, rate="loguniform"):
    return HyperStarSearcher(TASK, predictor=Smooth(step, spread), space={**LISTS, "lr": RATES[rate]}).ranking


@pytest.mark.parametrize("rate", RATES)
def test_the_first_ten_cover_at_least_six_combinations_that_score_alike(rate):
    ranking = ranked(step=0.02, spread=0.3, rate=rate)
    assert len(combinations(ranking.configs[:10])) >= 6
    assert ranking.scores[0] == max(ranking.scores)


@pytest.mark.parametrize("rate", RATES)
def test_combinations_that_are_worse_by_more_than_the_spread_do_not_come_first(rate):
    ranking = ranked(step=0.4, spread=0.1, rate=rate)
    best = combinations(ranking.configs).most_common()[0][0]
    first = ranking.configs[:5]
    assert len(combinations(first)) == 1, best
    rates = sorted(math.log10(config["lr"]) for config in first)
    assert min(np.diff(rates)) >= 3 * MIN_DISTANCE * 0.999  # three decades


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_no_two_of_the_first_places_are_near_copies(spread):
    ranking = ranked(step=0.02, spread=spread)
    first = ranking.configs[:60]
    for place, config in enumerate(first):
        for other in first[:place]:
            is_same = all(config[name] == other[name] for name in LISTS)
            assert not is_same or abs(math.log10(config["lr"] / other["lr"])) >= 3 * MIN_DISTANCE * 0.999
    assert sorted(map(str, ranking.configs)) == sorted(map(str, {str(c): c for c in ranking.configs}.values()))


def test_a_bracket_of_32_holds_no_copies_and_the_ranking_ends_with_them():
    searcher = HyperStarSearcher(TASK, predictor=Smooth(0.1, 0.2), space={**LISTS, "lr": RATES["loguniform"]})
    widest = HyperBandPlan(32, 2).widest_rung
    drawn = [searcher.suggest(f"t{number}") for number in range(1000)]
    assert max(combinations(drawn[:widest]).values()) <= 10
    assert len({str(config) for config in drawn}) == 1000
    assert searcher.suggest("no more") == Searcher.FINISHED


def test_places_of_lists_alone_and_listed_configurations_keep_their_order():
    grid = SearchSpace.from_name("mobilenet-v2")
    listed = SearchSpace.from_name("efficientnet-lite0")
    for space in (grid, listed):
        ranking = Ranking.of(space.grid(), np.random.default_rng(0).normal(size=len(space)), np.ones(len(space)))
        assert made_diverse(ranking, space) is ranking


def test_ranges_alone_are_kept_apart():
    space = from_ray(
        {"lr": tune.loguniform(1e-4, 1e-1), "decay": tune.uniform(0, 1), "depth": tune.randint(1, 4)}
    ).space
    configs = space.sample(1000, 0)
    ranking = made_diverse(Ranking.of(configs, [-abs(math.log10(c["lr"] / 1e-2)) - c["decay"] for c in configs]), space)
    first = space.coordinates(ranking.configs[:30])
    for place, row in enumerate(first):
        assert (np.abs(first[:place] - row).max(axis=1) >= MIN_DISTANCE).all()


def test_only_the_first_thousand_places_are_moved():
    space = from_ray({"lr": tune.choice(np.linspace(0, 1, 200).tolist()), "k": tune.choice(list("abcdefgh"))}).space
    ranking = Ranking.of(space.grid(), np.linspace(1, 0, len(space)), np.full(len(space), 0.5))
    again = made_diverse(ranking, space)
    assert again.configs[1000:] == ranking.configs[1000:]
    assert again.configs[:1000] != ranking.configs[:1000]
    assert sorted(map(str, again.configs)) == sorted(map(str, ranking.configs))
