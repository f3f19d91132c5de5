"""What is kept of a correction by images, on families and networks that it was not learned from."""

from dataclasses import replace

import numpy as np
import pytest

from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor import Predictor, train_any_space, train_plus
from hyperstar_tune.predictor.kept import OTHER_NETWORK, Factor, factor_of, left_out_factor
from hyperstar_tune.predictor.plus import PlusSettings

RANDOM = np.random.default_rng(0)
CORRECTIONS = list(RANDOM.normal(size=(12, 50)))
FAMILIES = [f"family{place // 2}" for place in range(12)]
SETTINGS = PlusSettings(traits=("sharpness", "brightness"), penalty=1.0)  # of striped_world


@pytest.mark.parametrize(("true", "kept"), [(2.0, 1.0), (1.0, 1.0), (0.5, 0.5), (0.0, 0.0), (-1.0, 0.0)])
def test_a_correction_is_kept_as_far_as_it_was_right(true, kept):
    noise = RANDOM.normal(size=(12, 50))
    noise -= (noise * CORRECTIONS).sum(1, keepdims=True) / np.square(CORRECTIONS).sum(1, keepdims=True) * CORRECTIONS
    factor = factor_of(CORRECTIONS, [true * c + n for c, n in zip(CORRECTIONS, noise, strict=True)], FAMILIES)
    assert factor.value == pytest.approx(true, abs=1e-9)
    assert factor.kept == pytest.approx(kept)


def test_what_cannot_be_told_from_nothing_is_not_kept():
    signs = [1.0, -0.6] * 6  # right on half of the tasks, wrong on the others
    families = [str(place) for place in range(12)]
    factor = factor_of(CORRECTIONS, [sign * c for sign, c in zip(signs, CORRECTIONS, strict=True)], families)
    assert factor.value > 0.1
    assert factor.low < 0
    assert factor.kept == 0
    assert Factor(0.4, 0.01, 0.9).kept == 0.4


def test_families_weigh_alike_however_many_tasks_and_configurations_they_have():
    ones = [np.ones(n) for n in (3, 3, 3, 7)]
    factor = factor_of(ones, [0 * ones[0], 0 * ones[1], 0 * ones[2], ones[3]], ["many", "many", "many", "one"])
    assert factor.value == pytest.approx(0.5)
    assert factor_of([np.zeros(3)], [np.ones(3)], ["one"]) == Factor(0, 0, 0)


def test_traits_that_drive_scores_are_kept_on_families_left_out_and_others_are_not():
    random = np.random.default_rng(1)
    traits, families = random.normal(size=(30, 2)), [f"family{place // 2}" for place in range(30)]
    targets = traits @ random.normal(size=(2, 40)) + 0.3 * random.normal(size=(30, 40))
    assert left_out_factor(targets, traits, families, penalty=1.0).kept > 0.9
    assert left_out_factor(targets, random.permutation(traits), families, penalty=1.0).kept < 0.2
    assert left_out_factor(targets, traits, ["one"] * 30, penalty=1.0).kept == 0


@pytest.fixture(scope="module")
def known(world):
    """A predictor of a stated network, and one of any space."""
    table = replace(world.table.subset(range(2, 10)), fingerprint=Fingerprint(model="resnet18"))
    return {
        "hyperstar_plus": train_plus(table, world.tasks, SETTINGS),
        "any_space": train_any_space([table], world.tasks, SETTINGS),
    }


@pytest.mark.parametrize("method", ["hyperstar_plus", "any_space"])
def test_on_another_network_the_ranking_is_the_average_one_and_says_so(known, method, world):
    predictor, task = known[method], world.tasks["striped0"]
    own, other = predictor.rank(task), predictor.under(Fingerprint(model="resnet50")).rank(task)
    assert own.share > 0.5
    assert own.elsewhere == 0
    assert other.share == OTHER_NETWORK.share == 0
    average = dict(zip(map(str, own.configs), predictor.scores(predictor.model.shift, own.configs)[0], strict=True))
    assert other.scores == pytest.approx([average[str(config)] for config in other.configs])
    assert other.configs != own.configs
    warning, widened, *_ = other.remarks()
    assert "what images say of resnet18 was not seen to hold for another network" in warning
    assert "that holds on average" in warning
    assert "deviation of 1 is added to every spread" in widened
    assert other.deviations() == pytest.approx(np.hypot(other.spread, 1.0))


def test_what_a_run_does_not_state_is_as_in_the_predictor(known, world):
    predictor, task = known["hyperstar_plus"], world.tasks["striped0"]
    for run in (Fingerprint(model="resnet18", schedule="cosine"), Fingerprint(protocol=None)):
        assert predictor.under(run).rank(task) == predictor.rank(task)
    assert predictor.run == Fingerprint(protocol=None)  # it stays what it was


def test_a_share_that_was_learned_is_stored_and_said(known, world, tmp_path):
    predictor = known["any_space"]
    assert predictor.kept > 0.5  # in this world images decide
    predictor.card["kept"] = 0.25
    predictor.save(tmp_path / "any")
    loaded, task = Predictor.load(tmp_path / "any"), world.tasks["striped0"]
    ranking = loaded.rank(task)
    assert loaded.kept == ranking.share == 0.25
    assert "images told only a part of what they seemed to: 25% of what they say is trusted" in ranking.remarks()[0]
