"""The searches that benchmarks/learning.py compares."""

import numpy as np
import pytest
from learning import Case, at_random, followed, of_cases

from hyperstar_tune import Ranking, SearchSpace
from hyperstar_tune.space import config_key

R = 4
SPACE = SearchSpace.from_values({"lr": [0.001, 0.01, 0.1], "layers": [1, 2, 3, 4]})
GRID = SPACE.grid()


class Said:
    """Scores that a list gives."""

    def __init__(self, values):
        self.values = {config_key(config): value for config, value in zip(GRID, values, strict=True)}

    def scores(self, configs):
        return np.array([self.values[config_key(config)] for config in configs])

    def points(self, configs):
        return SPACE.coordinates(configs)


def case(values, truth, trained):
    def curves(config):
        trained.append(config_key(config))
        accuracy = truth[GRID.index(config)] * np.arange(1, R + 1) / R
        return accuracy, accuracy / 2

    said = Said(values)
    return Case("one", SPACE, curves, R, {"as predicted": (Ranking.of(GRID, values), said)})


@pytest.mark.parametrize("how", ["static", "learning", "four workers", "unfinished"])
def test_a_search_trains_every_configuration_once_and_reports_the_half_that_did_not_choose(how):
    truth, trained = np.linspace(0.1, 0.9, len(GRID)), []
    found = followed(case(-truth, truth, trained), "as predicted", (1, 2.5, 20), how)
    assert found[-1] == pytest.approx(45)  # half of the best
    assert (np.diff(found) >= 0).all()
    assert set(trained) == set(map(config_key, GRID))


def test_the_race_takes_a_quarter_of_the_epochs_and_the_better_one_goes_on():
    truth = np.linspace(0.9, 0.1, len(GRID))
    one = case(truth, truth, [])
    found = followed(one, "as predicted", (0.25, 0.5, 1.25), "static")
    assert found == pytest.approx([100 * 0.9 / 4 / 2] * 2 + [45])
    assert at_random(one, (1, 12), 0)[1] == pytest.approx(45)


def test_means_are_over_families_and_have_intervals_by_budget():
    families = [Case(name, SPACE, None, R, {}) for name in ("a", "a", "b")]
    found = of_cases(families, np.array([[1.0, 2], [3, 4], [6, 8]]), (1, 2.5))
    assert list(found) == ["1 R", "2.5 R"]
    assert found["1 R"]["mean"] == pytest.approx(4.0)
