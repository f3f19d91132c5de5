"""The measurement of growing image sizes, on a made-up world in which it is known what holds."""

import json
from dataclasses import replace

import numpy as np
import pytest
from collect_image_sizes import PARTS
from scoreboard.growing import (
    Measured,
    Reached,
    Surrogate,
    between_sizes,
    between_sizes_and_seeds,
    complete,
    interval,
    noise_ceiling,
    outcome_of,
    rank_correlation,
    read_measured,
)
from scoreboard.growing_fine_tuning import funnel

from hyperstar_tune import IncreasingImageSizes, RandomSearcher
from hyperstar_tune.space import config_key

PART = PARTS["from-scratch"]
SPACE = PART.space
CONFIGS = {config_key(config): config for config in SPACE.sample(120, 0)}
SIZES = (32, 64)


def reached(config, size):
    half_a = 0.9 - 0.1 * abs(np.log10(config["lr"]) + 2) + size / 1000
    return Reached(half_a, half_a - 0.02, half_a - 0.03, config["n_conv"] * size**2 / 1e4)


MEASURED = {size: {key: reached(config, size) for key, config in CONFIGS.items()} for size in SIZES}


@pytest.fixture
def collection(tmp_path):
    """Two configurations on every task at two sizes; of the last task one of them at one size."""
    (tmp_path / "cells").mkdir()
    PART.collection([{"name": name} for name in PART.tasks]).write(tmp_path)
    for task in PART.tasks:
        cells = [
            {
                "config": {**config, "image_size": size},
                "seed": seed,
                "epochs": [1, 2, 3],
                "val_accuracy": [0.2, 0.6, 0.5],
                "val_accuracy_b": [0.3, 0.4, 0.7],
                **{name: [1.0, 1.0, None] for name in ("val_loss", "val_loss_b", "train_loss")},
                "epoch_seconds": [1.0, 2.0, 3.0],
                "best_epoch": 2,
                "test_accuracy": 0.35,
                "error": None,
            }
            for seed in (0, 1)
            for config in list(CONFIGS.values())[:2]
            for size in SIZES
        ]
        cells[0] |= {"best_epoch": 0, "test_accuracy": 0.1, "val_accuracy": [None] * 3}
        lines = [json.dumps(cell) + "\n" for cell in (cells[:3] if task == PART.tasks[-1] else cells)]
        (tmp_path / "cells" / f"{task}.jsonl").write_text("".join(lines))
    return tmp_path


def test_a_cell_is_its_best_epoch_with_the_other_images_and_all_its_seconds(collection):
    found = read_measured(collection).tasks[PART.tasks[0]]
    first, second = list(CONFIGS)[:2]
    assert found[32] == {first: Reached(0, 0, 0, 6.0), second: Reached(0.6, 0.4, 0.35, 6.0)}
    assert found[64][first] == Reached(0.6, 0.4, 0.35, 6.0)


def test_what_is_not_measured_everywhere_is_left_out(collection):
    whole = read_measured(collection)
    part = complete(whole, SIZES)
    assert list(part.configs) == list(CONFIGS)[:1]
    assert all(list(of[size]) == list(part.configs) for of in part.tasks.values() for size in SIZES)


def test_two_seeds_are_compared_on_what_both_trained():
    flipped = {key: replace(one, half_a=-one.half_a, half_b=-one.half_b) for key, one in list(MEASURED[32].items())[:9]}
    measured, again = Measured({"t": MEASURED}, CONFIGS), Measured({"t": {32: flipped, 64: flipped}}, CONFIGS)
    assert noise_ceiling(measured, again, SIZES)["64 px"]["mean"] == pytest.approx(-1)
    assert between_sizes_and_seeds(measured, again, SIZES)["32 and 64 px"]["mean"] == pytest.approx(-1)
    assert between_sizes(measured.tasks, SIZES)["32 and 64 px"]["mean"] == pytest.approx(1)


def test_rankings_that_agree_have_a_correlation_of_one():
    assert rank_correlation(MEASURED[32], MEASURED[64]) == pytest.approx(1)
    turned = {key: Reached(-one.half_a, -one.half_b, 0, 0) for key, one in MEASURED[32].items()}
    assert rank_correlation(MEASURED[32], turned) == pytest.approx(-1)


def test_a_surrogate_knows_what_it_was_not_shown_and_how_large_the_noise_is(monkeypatch):
    monkeypatch.setattr("scoreboard.regressors._FOLDS", 3)
    easier = {size: dict(list(of.items())[:32]) for size, of in MEASURED.items()}
    harder = {
        size: {key: replace(one, half_a=one.half_a / 2) for key, one in of.items()} for size, of in easier.items()
    }
    measured = Measured({"easy": easier, "hard": harder}, CONFIGS)
    again = {key: replace(one, half_a=one.half_a + 0.02) for key, one in list(easier[64].items())[:20]}
    surrogate = Surrogate(SPACE, measured, Measured({"easy": {64: again}}, CONFIGS))
    assert min(of["val_accuracy"] for of in surrogate.left_out_r2().values()) > 0.3
    config = next(iter(CONFIGS.values()))
    expected, predicted = reached(config, 64), surrogate.evaluate("easy", config, 64)
    assert predicted.half_a == pytest.approx(expected.half_a, abs=0.05)
    assert surrogate.evaluate("hard", config, 64).half_a == pytest.approx(expected.half_a / 2, abs=0.05)
    assert predicted.seconds == pytest.approx(expected.seconds, rel=0.3)
    assert surrogate.noise == {"easy": {32: 0, 64: pytest.approx(0.02 / np.sqrt(2))}, "hard": {32: 0, 64: 0}}
    spread = np.var([one.half_a for of in easier.values() for one in of.values()])
    assert min(surrogate.agreement(list(CONFIGS.values())[:32], 32, 64).values()) > 0.9
    assert surrogate.explainable() == {"easy": pytest.approx(1 - 0.02**2 / 4 / spread), "hard": 1}


def test_growing_sizes_take_less_time_for_the_same_number_of_trials():
    def search(sizes):
        goal = {"metric": "val_accuracy", "mode": "max"}
        return IncreasingImageSizes(RandomSearcher(seed=1), space=SPACE, sizes=sizes, trials=30, **goal)

    grown, alone = (outcome_of(search(sizes), reached, 64) for sizes in (SIZES, (64,)))
    assert grown.seconds < 0.7 * alone.seconds
    assert grown.best == reached(grown.config, 64)


def test_noise_misleads_the_choice_but_not_the_report():
    def search():
        return IncreasingImageSizes(
            RandomSearcher(seed=1), space=SPACE, sizes=(64,), trials=30, metric="val_accuracy", mode="max"
        )

    misled = outcome_of(search(), reached, 64, {64: 0.5})
    assert misled.best.half_a == 1
    assert misled.best.test == reached(misled.config, 64).test
    assert misled.best.test < outcome_of(search(), reached, 64).best.test


def test_the_better_half_goes_on_to_the_next_size_and_the_last_size_decides():
    small = {name: Reached(accuracy, 0, 0, 1.0) for name, accuracy in zip("abcd", (0.1, 0.4, 0.3, 0.2), strict=True)}
    large = {name: Reached(accuracy, 0, 0, 10.0) for name, accuracy in zip("abcd", (0.9, 0.5, 0.6, 0.8), strict=True)}
    assert funnel("abcd", [small, large]) == (4 + 20, large["c"])
    assert funnel("abcd", [large]) == (40, large["a"])
    assert funnel("a", [small, large]) == (11, large["a"])


def test_an_interval_holds_its_mean_and_weighs_tasks_alike():
    found = interval({"a": [1.0, 3.0], "b": [4.0] * 10, "c": [float("nan")]})
    assert found["low"] < found["mean"] == 3 < found["high"]
    assert found["by_task"] == {"a": 2, "b": 4}
    assert interval({"a": [2.0]}) == {"mean": 2, "low": 2, "high": 2, "by_task": {"a": 2}}
    assert interval({"a": [float("nan")]})["mean"] is None
