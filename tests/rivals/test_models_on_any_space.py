"""BOHB and TPE on spaces that are not grids: continuous, mixed, conditional and listed ones."""

import math

import pytest
from ray import tune

from hyperstar_tune import HyperBandPlan, PlanScheduler, SearchSpace
from hyperstar_tune.rivals.bohb import BohbSearcher, has_hpbandster
from hyperstar_tune.rivals.tpe import TpeSearcher
from hyperstar_tune.simulation import MadeUpCurves, VirtualController
from hyperstar_tune.simulation.controller import METRIC, MODE

PLAN = HyperBandPlan(9, 3, 250)
MIXED = {
    "lr": tune.loguniform(1e-5, 1e-1),
    "dropout": tune.uniform(0.0, 0.5),
    "width": tune.randint(8, 65),
    "optimizer": tune.choice(["sgd", "adamw"]),
}


def score(config, epoch):
    """Best at a learning rate of 1e-3 with AdamW."""
    return 1 - 0.1 * abs(math.log10(config["lr"] / 1e-3)) - 0.1 * (config["optimizer"] == "sgd") - 0.1 / epoch


def make(kind, space, seed=0, **options):
    if kind == "bohb":
        if not has_hpbandster():
            pytest.skip("the extra bohb is not installed")
        return BohbSearcher(space, seed=seed, n_samples=8, metric=METRIC, mode=MODE, **options)
    pytest.importorskip("optuna")
    return TpeSearcher(space, seed=seed, metric=METRIC, mode=MODE, **options)


def run(searcher):
    scheduler = PlanScheduler(PLAN)
    scheduler.set_search_properties(METRIC, MODE)
    controller = VirtualController(MadeUpCurves(score, PLAN.max_epochs), searcher, scheduler)
    controller.run()
    assert not controller.stalled
    assert scheduler.spent_epochs == PLAN.epoch_budget
    return [trial.config for trial in controller.get_trials()]


@pytest.mark.parametrize("kind", ["bohb", "tpe"])
def test_a_mixed_space_is_searched_within_its_bounds_and_the_model_picks_well(kind):
    searcher = make(kind, MIXED)
    configs = run(searcher)
    space = searcher.space
    for config in configs:
        space.check(config)
        assert {name: type(value) for name, value in config.items()} == {
            "lr": float,
            "dropout": float,
            "width": int,
            "optimizer": str,
        }
    assert len({config["lr"] for config in configs}) == len(configs) > 30
    n = len(configs) // 3
    early, late = (sum(score(config, 9) for config in part) / n for part in (configs[:n], configs[-n:]))
    assert late > early
    if kind == "bohb":
        assert searcher.model_based_picks > 10  # hpbandster would answer any error with a random pick


@pytest.mark.parametrize("kind", ["bohb", "tpe"])
def test_the_same_seed_gives_the_same_run(kind):
    runs = [run(make(kind, MIXED, seed)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("kind", ["bohb", "tpe"])
def test_a_range_of_learning_rates_is_searched_by_its_logarithm(kind):
    searcher = make(kind, {"lr": tune.loguniform(1e-5, 1e-1)})
    rates = [searcher.suggest(f"t{number}")["lr"] for number in range(60)]
    assert 15 < sum(rate < 1e-3 for rate in rates) < 45


@pytest.mark.parametrize("kind", ["bohb", "tpe"])
def test_inactive_parameters_are_left_out_and_only_listed_configurations_are_suggested(kind):
    listed = SearchSpace.from_name("efficientnet-lite0")
    whole = SearchSpace(listed.configuration_space)
    for space in (listed, whole):
        searcher = make(kind, space)
        frozen = 0
        for number in range(60):
            config = searcher.suggest(f"t{number}")
            space.check(config)
            assert space is whole or config in listed.grid()
            frozen += "layer_decay" not in config
            result = {"training_iteration": 1, METRIC: -abs(math.log10(config["lr"] / 1e-3))}
            searcher.on_trial_complete(f"t{number}", result)
        assert 0 < frozen < 60


@pytest.mark.parametrize("kind", ["bohb", "tpe"])
def test_a_fixed_entry_of_the_config_keeps_its_value_in_a_mixed_space(kind):
    searcher = make(kind, MIXED)
    searcher.set_search_properties(METRIC, MODE, {"lr": 0.01})
    assert {searcher.suggest(f"t{number}")["lr"] for number in range(5)} == {0.01}
