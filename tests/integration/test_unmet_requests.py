"""Requests that this machine cannot meet, through Tune: one line before the first trial, whoever schedules."""

import pytest
from ray import tune

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, Ranking, finetune
from hyperstar_tune.cluster import requests
from hyperstar_tune.errors import ClusterError

pytestmark = pytest.mark.integration
RANKING = Ranking.of([{"lr": lr} for lr in (1e-3, 1e-2, 1e-1)], [3, 2, 1])
UNMET = [{"cpu": 64}, {"cpu": 1, "gpu": 0.25}, {"cpu": 1, "custom_resources": {"TPU": 1}}]


def learn(config):
    raise AssertionError("no trial may start")


@pytest.mark.parametrize("resources", [*UNMET, lambda config: tune.PlacementGroupFactory([{"CPU": 1}, {"GPU": 1}])])
def test_our_scheduler_refuses_them_for_any_trainable(ray_local, tmp_path, resources):
    with pytest.raises(ClusterError, match=r"every trial asks for .* but the cluster has 1 node of"):
        tune.run(
            tune.with_resources(learn, resources),
            search_alg=HyperStarSearcher(ranking=RANKING),
            scheduler=PlanScheduler(HyperBandPlan(3, 3)),
            metric="val_accuracy",
            mode="max",
            num_samples=-1,
            storage_path=str(tmp_path),
            verbose=0,
        )


def test_on_a_cluster_that_adds_nodes_our_scheduler_says_that_it_waits(ray_local, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(requests, "is_autoscaling", lambda: True)
    monkeypatch.setattr(requests, "_SAY_SECONDS", 1.0)
    with caplog.at_level("INFO", "hyperstar_tune"):
        tune.run(
            tune.with_resources(learn, {"cpu": 1, "gpu": 0.25}),
            search_alg=HyperStarSearcher(ranking=RANKING),
            scheduler=PlanScheduler(HyperBandPlan(3, 3)),
            metric="val_accuracy",
            mode="max",
            num_samples=-1,
            storage_path=str(tmp_path),
            time_budget_s=5,
            raise_on_failed_trial=False,
            verbose=0,
        )
    assert "no trial could start for" in caplog.text
    assert "each asks for 1 CPU and 0.25 GPU; the cluster has 1 node of 2 CPU, 0 GPU" in caplog.text


@pytest.mark.parametrize("resources", UNMET)
def test_our_trainable_refuses_them_under_any_scheduler(ray_local, digits_folder, tmp_path, resources):
    trainable = finetune.trainable(digits_folder, model="torchvision/shufflenet_v2_x1_0", weights="own", image_size=32)
    with pytest.raises(ClusterError, match="every trial asks for"):
        tune.run(tune.with_resources(trainable, resources), storage_path=str(tmp_path), verbose=0)


def test_collecting_refuses_them_before_the_first_cell(ray_local, hyperstar, digits_folder, tmp_path):
    options = ("--out", tmp_path / "out", "--model", "torchvision/shufflenet_v2_x1_0", "--weights", "own")
    status, _, err = hyperstar("collect", digits_folder, *options, "--gpus-per-cell", 0.5, "--max-hours", 0.01)
    assert status == 2
    assert "every trial asks for 1 CPU and 0.5 GPU, but the cluster has 1 node of 2 CPU, 0 GPU" in err
    assert err.count("\n") == 1
