"""A grid predictor ranks a space that has other parameters and bounds."""

from collections import Counter

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, Float

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.predictor.own_space import order_of_draws
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tasks.task import ImageTask

TASK = ImageTask.from_arrays("task", np.zeros((8, 4, 4, 3), np.uint8), np.arange(8) % 2)
KNOWN = SearchSpace.from_values({"lr": [0.001, 0.01, 0.1], "kind": ["a", "b"]}, "known")
KINDS = ["a", "b"]


class ByRate(Predictor):
    """Ranks by learning rate, then by kind."""

    def __init__(self, spread=0.5):
        super().__init__(KNOWN, Fingerprint(), {"name": "by-rate"})
        self.spread = spread

    def tensors(self):
        return {}

    def rank(self, task, configs=None, seed=0):
        self.space.encode(configs)
        scores = [np.log10(config["lr"]) - KINDS.index(config["kind"]) / 10 for config in configs]
        return Ranking.of(configs, scores, np.full(len(configs), self.spread), task=task.name, source=self.name)


def ranked(values, fixed=None, seed=0, spread=0.5):
    space = values if isinstance(values, SearchSpace) else SearchSpace.from_values(values)
    return ByRate(spread).rank_space(TASK, space, fixed, seed)


def test_a_known_space_is_ranked_as_ever_without_a_word():
    assert ranked(KNOWN) == ByRate().rank(TASK, KNOWN.grid())
    part = ranked({"lr": [0.01, 0.05]}, {"kind": "b", "elsewhere": 1})
    assert part.configs == ({"lr": 0.05, "kind": "b"}, {"lr": 0.01, "kind": "b"})
    assert part.notes == ()


def test_unknown_parameters_are_drawn_from_their_prior_and_said():
    space = {"lr": [0.01, 0.1], "kind": ["a"], "depth": [1, 2, 3, 4], "norm": ["layer", "batch"]}
    ranking = ranked(space)
    assert len(ranking) == 16
    assert ranking.configs[0]["lr"] == 0.1
    assert set(ranking.configs[0]) == set(space)
    assert ranking.notes == ("Drawn at random, because by-rate does not know them: depth, norm",)
    assert ranking.notes[0] in ranking.remarks()
    firsts = Counter((r.configs[0]["depth"], r.configs[0]["norm"]) for r in (ranked(space, seed=s) for s in range(40)))
    assert len(firsts) > 5
    # A further draw of the best counts as worse by its spread, so that the other rate comes within reach.
    assert {config["lr"] for config in ranking.configs[:4]} == {0.01, 0.1}
    assert [config["lr"] for config in ranked(space, spread=0.0).configs[:8]] == [0.1] * 8


def test_a_range_that_is_not_known_is_drawn_too():
    space = ConfigurationSpace({"weight_decay": Float("weight_decay", (1e-6, 1e-1), log=True)})
    space.add(*SearchSpace.from_values({"lr": [0.01, 0.1], "kind": ["a"]}).configuration_space.values())
    ranking = ranked(SearchSpace(space))
    assert len({config["weight_decay"] for config in ranking.configs}) == len(ranking) == 1000
    assert 0.3 < np.mean([config["weight_decay"] < 10**-3.5 for config in ranking.configs[:100]]) < 0.7


def test_numbers_outside_of_what_was_measured_count_as_the_nearest_and_are_said():
    ranking = ranked({"lr": [1e-5, 0.01, 5.0], "kind": ["a"]})
    assert [config["lr"] for config in ranking.configs] == [5.0, 0.01, 1e-5]
    assert ranking.scores == pytest.approx((-1.0, -2.0, -3.0))
    assert ranking.notes == ("The nearest measured value counts beyond what was measured: lr outside 0.001 to 0.1",)


@pytest.mark.parametrize(
    ("values", "fixed", "reason"),
    [
        ({"depth": [1, 2], "norm": ["x"]}, {"lr": 0.1, "kind": "a"}, "none of the parameters depth, norm, .*random"),
        ({"depth": [1, 2], "lr": [0.1], "kind": ["a"]}, {}, "none of the parameters depth, .*random"),
        ({"lr": [0.1]}, {}, "needs parameter 'kind' too; search it or fix it"),
        ({"lr": [0.1], "kind": ["a", "z"]}, {}, "'kind' must be one of .*'z'"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(values, fixed, reason):
    with pytest.raises(SpaceError, match=reason) as refused:
        ranked(values, fixed)
    assert "\n" not in str(refused.value)


def test_each_further_draw_of_a_part_counts_as_worse_by_a_spread():
    scores, parts = np.array([3.0, 3.0, 2.6, 3.0, 2.6, 0.0]), np.array([7, 7, 1, 7, 1, 0])
    assert order_of_draws(scores, 0.5, parts).tolist() == [0, 2, 1, 4, 3, 5]
    assert order_of_draws(scores, np.zeros(6), parts).tolist() == [0, 1, 3, 2, 4, 5]
    assert order_of_draws(scores[:1], 1.0, parts[:1]).tolist() == [0]
