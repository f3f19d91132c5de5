"""Collections that lose their driver or a node: nothing is lost but the cells in flight, and nothing runs twice."""

import json
import multiprocessing
import random
import threading
import time

import killed_collector
import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

pytestmark = pytest.mark.integration
KILLS = 10


def journals(folder):
    return {path.name: path.read_bytes() for path in (folder / "cells").glob("*.jsonl")}


def n_lines(folder):
    return sum(content.count(b"\n") for content in journals(folder).values())


def cells(folder):
    """Cells by task, configuration and seed, less their seconds; fails if one was measured twice."""
    found = {}
    for name, content in journals(folder).items():
        for line in content.splitlines():
            cell = json.loads(line)
            key = (name, json.dumps(cell["config"], sort_keys=True), cell["seed"])
            assert key not in found
            found[key] = {what: value for what, value in cell.items() if "seconds" not in what}
    return found


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_ten_kills_change_nothing(ray_local, tmp_path):
    rng = random.Random(0)
    out = tmp_path / "killed"
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["hyperstar_tune.finetune"])
    address = ray.get_runtime_context().gcs_address
    in_flight = 0
    for kill in range(KILLS):
        before = journals(out)
        driver = fork.Process(target=killed_collector.main, args=(address, str(out)))
        driver.start()
        if kill % 2:  # while it measures; the others while it starts
            done = n_lines(out)
            wait_for(lambda done=done, driver=driver: n_lines(out) > done or not driver.is_alive())
        time.sleep(rng.uniform(0, 0.5))
        in_flight += driver.is_alive() and n_lines(out) > 0
        driver.kill()
        driver.join()
        for name, content in before.items():  # what was finished stays as it was
            whole = content[: content.rfind(b"\n") + 1]
            assert journals(out)[name].startswith(whole)
    finished = n_lines(out)
    summary = killed_collector.measure(out)
    assert in_flight >= KILLS // 2
    assert (summary.before, summary.measured, summary.failed) == (finished, 24 - finished, 0)

    killed_collector.measure(tmp_path / "undisturbed")
    assert len(cells(out)) == 24
    assert cells(out) == cells(tmp_path / "undisturbed")


@ray.remote
def load_library():
    import hyperstar_tune.finetune  # noqa: F401


@pytest.fixture
def no_ray():
    """Puts the Ray that tests share aside for a while."""
    shared = ray.is_initialized()
    ray.shutdown()
    yield
    if shared:
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)


def test_two_nodes_share_the_cells_and_a_lost_one_loses_none(no_ray, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "2")  # both actors start at once, however busy the machine
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        for node in (cluster.head_node, second):  # an actor then starts in a process that is up already
            here = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
            ray.get(load_library.options(scheduling_strategy=here).remote())
        hosts, ended = [], []

        def hosting():
            actors = ray._private.state.actors().values()
            return {actor["Address"]["NodeID"] for actor in actors if actor["State"] == "ALIVE"}

        def kill_the_second_while_it_measures():
            wait_for(lambda: ended or (len(hosting()) == 2 and n_lines(tmp_path) >= 2))
            hosts.extend(hosting())
            cluster.remove_node(second, allow_graceful=False)

        killer = threading.Thread(target=kill_the_second_while_it_measures)
        killer.start()
        summary = killed_collector.measure_long_cells(tmp_path)
        ended.append(True)
        killer.join()
        assert set(hosts) == {cluster.head_node.node_id, second.node_id}
        assert (summary.measured, summary.failed, summary.left) == (6, 0, 0)
        assert len(cells(tmp_path)) == 6
    finally:
        ray.shutdown()
        cluster.shutdown()
