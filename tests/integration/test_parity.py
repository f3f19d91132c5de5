"""A replay and a live run on real Tune, fed from the same curves by one worker, do the same."""

import pytest
import ray
import table_trainable
from made_up_table import make_table

from hyperstar_tune import HyperBandPlan
from hyperstar_tune.comparison import Setting, make_method, run_method
from hyperstar_tune.comparison.live import run_live
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.bohb import has_hpbandster
from hyperstar_tune.simulation import TaskCurves

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_local")]

ray.cloudpickle.register_pickle_by_value(table_trainable)  # workers cannot import from the folder of tests
TABLE = make_table()
CURVES = TaskCurves.of(TABLE, "task1")
RANKING = Ranking.of(CURVES.configs, CURVES.accuracy[:, 4], source="noisy")
PAIRS = [
    ("hyperband", 0),
    ("hyperband", 1),
    ("noisy+hyperband_sampled", 3),
    ("noisy+alone", 0),
    ("bohb", 0),
    ("asha", 4),
    ("ray_hyperband", 0),
]


@pytest.mark.parametrize(("name", "seed"), PAIRS)
def test_replay_and_live_run_train_the_same_trials_to_the_same_rungs(tmp_path, name, seed):
    if "bohb" in name and not has_hpbandster():
        pytest.skip("hpbandster is not installed")
    setting = Setting(TABLE.space, HyperBandPlan(9, 3, 30), seed, RANKING, TABLE.without(CURVES.family))
    method = make_method(name)
    live = run_live(method, setting, table_trainable.table_trainable(CURVES), tmp_path, resources={"cpu": 2})
    replayed = run_method(method, CURVES, setting)
    trained = [(row, epochs) for row, epochs in zip(map(CURVES.row, live.configs), live.epochs, strict=True) if epochs]
    assert trained == [(trial.row, trial.epochs) for trial in replayed.trials if trial.epochs]
    assert len(live.accuracy) == replayed.epochs
    assert live.accuracy.tolist() == replayed.incumbent.accuracy.tolist()
    assert live.accuracy_b.tolist() == replayed.incumbent.accuracy_b.tolist()
    assert set(live.statuses) == {"TERMINATED"}
