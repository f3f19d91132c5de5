"""A user's trainable that forgets its checkpoint, under our scheduler."""

import pytest
from ray import tune

from hyperstar_tune import HyperBandPlan, PlanScheduler, RandomSearcher

pytestmark = pytest.mark.integration


def test_a_trainable_without_checkpoints_is_told_at_once(ray_local, tmp_path, caplog):
    def forgetful(config):
        epoch = 0
        while True:
            epoch += 1
            tune.report({"val_accuracy": config["x"] + epoch / 100, "epoch": epoch})

    plan = HyperBandPlan(3, 3, 6)
    tune.run(
        forgetful,
        search_alg=RandomSearcher({"x": tune.uniform(0, 1)}, plan=plan),
        scheduler=PlanScheduler(plan),
        metric="val_accuracy",
        mode="max",
        num_samples=-1,
        storage_path=str(tmp_path),
        reuse_actors=True,
        verbose=0,
    )
    assert caplog.text.count("begins with epoch 1 again") == 1
