"""The measurement of growing image sizes, on a made-up world in which it is known what holds."""

import numpy as np
import pytest
from made_up_table import make_table
from scoreboard.growing import Surrogate, cells, interval, outcome_of, rank_correlation

from hyperstar_tune import IncreasingImageSizes, RandomSearcher, SearchSpace
from hyperstar_tune.space import config_key

SPACE = SearchSpace.from_name("cnn-from-scratch")
CONFIGS = SPACE.sample(80, 0)
SIZES = (32, 64)


def reached(config, size):
    half_a = 0.9 - 0.1 * abs(np.log10(config["lr"]) + 2) + size / 1000
    return half_a, half_a - 0.02, config["n_conv"] * size**2 / 1e4


MEASURED = {size: {config_key(config): reached(config, size) for config in CONFIGS} for size in SIZES}


def test_a_cell_is_its_best_epoch_with_the_other_half_and_all_its_seconds():
    table = make_table()
    found = cells(table, table.tasks["name"].iloc[0])
    key = config_key(table.configs[0])
    half_a, half_b = (table.curve(name)[0, 0, 0] for name in ("val_accuracy", "val_accuracy_b"))
    seconds = float(table.curve("epoch_seconds")[0, 0, 0] @ np.diff([0, *table.epochs]))
    assert found[key] == pytest.approx((half_a.max(), half_b[half_a.argmax()], seconds))


def test_rankings_that_agree_have_a_correlation_of_one():
    assert rank_correlation(MEASURED[32], MEASURED[64]) == pytest.approx(1)
    turned = {key: (-value[0], 0, 0) for key, value in MEASURED[32].items()}
    assert rank_correlation(MEASURED[32], turned) == pytest.approx(-1)


def test_a_surrogate_knows_what_it_was_not_shown():
    surrogate = Surrogate(SPACE, MEASURED, {config_key(config): config for config in CONFIGS})
    assert surrogate.left_out_r2()["val_accuracy"] > 0.5
    assert surrogate.evaluate(CONFIGS[0], 64)[0] == pytest.approx(reached(CONFIGS[0], 64)[0], abs=0.05)


def test_growing_sizes_take_less_time_for_the_same_number_of_trials():
    def evaluate(config):
        return reached(config, config["image_size"])

    def search(sizes):
        goal = {"metric": "val_accuracy", "mode": "max"}
        return IncreasingImageSizes(RandomSearcher(seed=1), space="cnn-from-scratch", sizes=sizes, trials=30, **goal)

    grown, alone = outcome_of(search(SIZES), evaluate, 64), outcome_of(search((64,)), evaluate, 64)
    assert grown.seconds < 0.7 * alone.seconds
    assert grown.config["image_size"] == alone.config["image_size"] == 64
    assert grown.half_b == pytest.approx(grown.half_a - 0.02)


def test_an_interval_holds_its_mean():
    found = interval([1.0, 2.0, 3.0, 4.0])
    assert found["low"] < found["mean"] == 2.5 < found["high"]
    assert interval([2.0, float("nan")]) == {"mean": 2.0, "low": 2.0, "high": 2.0}
