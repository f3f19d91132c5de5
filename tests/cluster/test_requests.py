"""What trials ask for, held against clusters that are described here."""

import json
from types import SimpleNamespace

import pytest
import ray
from ray.experimental import internal_kv
from ray.tune import PlacementGroupFactory

from hyperstar_tune.cluster import Waiting, check_request, requests
from hyperstar_tune.errors import ClusterError

LAPTOP = {"CPU": 2.0, "memory": 1e9, "node:192.0.2.1": 1.0}
GPU_NODE = {"CPU": 8.0, "GPU": 1.0}


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Makes Ray report some nodes, and what the monitor of the cluster reports."""

    def have(*nodes, keys=None):
        stored = keys or {}
        rows = [{"Alive": True, "Resources": node} for node in nodes] + [{"Alive": False}]
        monkeypatch.setattr(ray, "nodes", lambda: rows)
        monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 0.5})
        monkeypatch.setattr(internal_kv, "_internal_kv_get", lambda key, *, namespace=None: stored.get(key))

    monkeypatch.setenv("HOME", str(tmp_path))
    return have


def status(*kinds, by="active_nodes"):
    """As Ray 2.60 writes it; where the head does not count as active, its type stands in the mapping alone."""
    mapping = {f"id-{kind}": kind for kind in kinds}
    report = {"active_nodes": {}, "pending_launches": {}, "node_type_mapping": None}
    report |= {by: mapping if by == "node_type_mapping" else dict.fromkeys(kinds, 1)}
    return {"__autoscaling_status": json.dumps({"autoscaler_report": report})}


@pytest.mark.parametrize(
    ("nodes", "bundles", "strategy", "meets"),
    [
        ([LAPTOP], [{"CPU": 1}], "PACK", True),
        ([LAPTOP], [{"CPU": 2}], "PACK", True),
        ([LAPTOP], [{"CPU": 0.5, "GPU": 0}], "PACK", True),
        ([LAPTOP], [{"CPU": 1, "GPU": 0.25}], "PACK", False),
        ([LAPTOP], [{"CPU": 64}], "PACK", False),
        ([LAPTOP] * 40, [{"CPU": 64}], "PACK", False),  # a bundle lies on one node
        ([LAPTOP], [{"CPU": 1, "TPU": 1}], "PACK", False),
        ([LAPTOP], [{"memory": 2e9}], "PACK", False),
        ([GPU_NODE], [{"GPU": 0.3}, {"GPU": 0.3}, {"GPU": 0.3}], "PACK", True),
        ([GPU_NODE], [{"CPU": 1}, {"GPU": 1}, {"GPU": 1}], "PACK", False),
        ([GPU_NODE] * 2, [{"CPU": 1}, {"GPU": 1}, {"GPU": 1}], "PACK", True),
        ([GPU_NODE] * 2, [{"GPU": 1}, {"GPU": 1}], "STRICT_PACK", False),
        ([GPU_NODE], [{"CPU": 1}, {"CPU": 1}], "STRICT_SPREAD", False),
        ([GPU_NODE, LAPTOP], [{"CPU": 1}, {"CPU": 1}], "STRICT_SPREAD", True),
        ([GPU_NODE], [{}, {"GPU": 1}], "PACK", True),
        ([], [{"CPU": 1}], "PACK", False),
    ],
)
def test_a_request_that_no_node_can_meet_is_refused_in_one_line(cluster, nodes, bundles, strategy, meets):
    cluster(*nodes)
    if meets:
        check_request(bundles, strategy)
        return
    with pytest.raises(ClusterError, match="every trial asks for") as refused:
        check_request(bundles, strategy)
    assert "\n" not in str(refused.value)


def test_the_refusal_names_what_is_asked_and_what_is_there(cluster):
    cluster(LAPTOP, LAPTOP, GPU_NODE)
    with pytest.raises(ClusterError, match=r"asks for 64 CPU, but .* 2 nodes of 2 CPU; 1 node of 8 CPU; ask for less"):
        check_request([{"CPU": 64}])


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), 1e-9, 1.5])
def test_an_amount_that_makes_no_sense_is_refused(cluster, amount):
    cluster({"CPU": 8.0, "GPU": 8.0})
    with pytest.raises(ClusterError, match=rf"share of GPU .* must be positive, and whole above 1, but is {amount:g}"):
        check_request([{"CPU": 1, "GPU": amount}])


@pytest.mark.parametrize(
    ("keys", "waits"),
    [
        ({}, False),
        ({"__autoscaling_status": "no JSON"}, False),
        (status("node_12ab", "node_34cd"), False),  # as `ray start` without a configuration reports
        (status("node_12ab", by="node_type_mapping"), False),
        (status("head"), True),
        (status("ray.head.default", by="node_type_mapping"), True),
        (status("node_12ab", "gpu_worker"), True),
        ({"__autoscaler_v2_enabled": b"1"}, True),
    ],
)
def test_a_cluster_that_adds_nodes_by_itself_is_waited_for(cluster, keys, waits):
    cluster(LAPTOP, keys=keys)
    if waits:
        check_request([{"GPU": 1}])
    else:
        with pytest.raises(ClusterError):
            check_request([{"GPU": 1}])


def test_a_head_of_ray_up_is_known_by_its_file(cluster, tmp_path):
    (tmp_path / "ray_bootstrap_config.yaml").write_text("")
    cluster({"CPU": 0.0})
    check_request([{"CPU": 1}])


def trial(status):
    return SimpleNamespace(status=status, placement_group_factory=PlacementGroupFactory([{"CPU": 1, "GPU": 0.25}]))


def test_a_run_in_which_nothing_can_start_says_so_every_thirty_seconds(cluster, monkeypatch):
    cluster(LAPTOP)
    now, told = [100.0], []
    monkeypatch.setattr(requests.time, "monotonic", lambda: now[0])
    waiting = Waiting(told.append)

    def look_for(seconds, *trials):
        for _ in range(int(seconds / 0.5)):
            waiting.look(trials)
            now[0] += 0.5

    look_for(95, trial("TERMINATED"), trial("PENDING"))
    assert len(told) == 3
    assert told[0].startswith("no trial could start for 30 s: each asks for 1 CPU and 0.25 GPU; the cluster has 1 node")
    assert "0.5 CPU, 0 GPU are free" in told[0]
    assert "for 90 s" in told[2]
    look_for(40, trial("RUNNING"), trial("PENDING"))
    look_for(20, trial("PENDING"))
    look_for(40, trial("PAUSED"))  # it is the scheduler that holds it
    assert len(told) == 3
    look_for(35, trial("PENDING"))
    assert len(told) == 4
