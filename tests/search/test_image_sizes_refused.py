"""What a search with growing image sizes refuses, each in one line."""

import pytest
from growing_search import SPACE, drawn, searcher
from ray import tune
from ray.tune.search import BasicVariantGenerator, ConcurrencyLimiter, Repeater, Searcher
from ray.tune.search.optuna import OptunaSearch

from hyperstar_tune import HyperStarSearcher, RandomSearcher, Ranking
from hyperstar_tune.errors import ModelError, SearchError, SpaceError
from hyperstar_tune.search import Gated


class _OwnSpace(Searcher):
    def set_search_properties(self, metric, mode, config, **spec):
        return False

    def suggest(self, trial_id):
        return {"x": 1}

    def on_trial_complete(self, trial_id, result=None, error=False):
        pass


class _Empty(_OwnSpace):
    def set_search_properties(self, metric, mode, config, **spec):
        return True

    def suggest(self, trial_id):
        return Searcher.FINISHED


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: searcher(sizes=(64, 32)), r"sizes must .* grow .*\(64, 32\)"),
        (lambda: searcher(sizes=(32, 32, 64)), "grow"),
        (lambda: searcher(sizes=(4, 8)), "whole numbers of pixels from 8"),
        (lambda: searcher(sizes=(32, 64.0)), "grow"),
        (lambda: searcher(sizes=()), "grow"),
        (lambda: searcher(trials=2), "3 sizes need at least 3 trials, but there are 2"),
        (lambda: searcher(trials=(3, 2)), "one number for each of 3 sizes"),
        (lambda: searcher(trials=(3, 2, 0)), "whole numbers from 1"),
        (lambda: searcher(trials=True), "whole numbers from 1"),
        (lambda: searcher(space={"x": tune.choice([1])}), "more than one value"),
        (lambda: searcher(space={"image_size": tune.choice([32, 64])}), "has none besides image_size"),
        (lambda: searcher(hand_on=-1), "hand_on"),
        (lambda: searcher(narrow=0.5), "narrow must be a Narrowing"),
        (lambda: searcher("optuna"), "takes a bare Ray searcher, but got a str"),
        (lambda: searcher(BasicVariantGenerator()), "takes a bare Ray searcher"),
        (lambda: searcher(searcher()), "takes a bare Ray searcher, but got a IncreasingImageSizes"),
        (lambda: searcher(ConcurrencyLimiter(OptunaSearch(), 4)), "max_concurrent=4"),
        (lambda: searcher(Gated(OptunaSearch())), "bare Ray searcher, but got a Gated"),
        (lambda: searcher(Repeater(ConcurrencyLimiter(OptunaSearch(), 4))), "max_concurrent=4"),
        (lambda: searcher(used()), "unused RandomSearcher"),
        (lambda: searcher(_Empty()).suggest("t"), "_Empty is used up"),
        (lambda: searcher(_OwnSpace()).suggest("t"), "space of its own"),
        (lambda: searcher(space=None).suggest("t"), "needs a space"),
        (lambda: searcher(OptunaSearch(), metric=None).suggest("t"), "metric and mode"),
        (lambda: drawn(searcher(trials=None)), "must know the number of trials"),
        (lambda: searcher().set_max_concurrency(3), "ConcurrencyLimiter"),
        (lambda: searcher().set_search_properties(None, None, SPACE), "both have"),
        (
            lambda: searcher(space=None).set_search_properties("acc", "max", {**SPACE, "image_size": 32}),
            "image_size grows from stage to stage, but the run's config fixes it at 32",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_a_line(make, message):
    with pytest.raises(SearchError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_a_size_that_the_network_cannot_take_ends_the_run_at_its_first_trial():
    class Trainable:
        @classmethod
        def check_image_sizes(cls, sizes):
            raise ModelError(f"a network of 32 pixels got {max(sizes)}")

    with pytest.raises(ModelError, match="got 64"):
        searcher().take_trainable(Trainable, {"image_size": 16})


def used():
    search = RandomSearcher(SPACE)
    search.suggest("t")
    return search


def test_a_ranking_outside_the_narrowed_space_is_refused():
    ranking = Ranking.of([{"x": 0.2, "kind": "a"}], [1.0])
    with pytest.raises(SpaceError, match="lies in the space"):
        searcher(HyperStarSearcher(ranking=ranking), space={**SPACE, "x": tune.uniform(0.5, 1)}).suggest("t")
