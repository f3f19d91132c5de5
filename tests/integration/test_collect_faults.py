"""Collections that lose their driver or a node: nothing is lost but the cells in flight, and nothing runs twice."""

import contextlib
import json
import multiprocessing
import random
import re
import subprocess
import sys
import time

import killed_collector
import psutil
import pytest
import ray
from clusters import lose, two_nodes

pytestmark = pytest.mark.integration
KILLS = 6  # half of them while it starts, half while it measures


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


def test_kills_at_any_moment_change_nothing(ray_local, tmp_path):
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


def trains(node):
    """Whether a process of a node measures cells."""
    for process in psutil.Process(node.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::ResourceTrainable"):
                return True
    return False


def test_two_nodes_share_the_cells_and_a_lost_one_loses_none(tmp_path):
    code = "import sys, killed_collector; killed_collector.measure_long_cells(sys.argv[1])"
    out = tmp_path / "out"
    both = {"TUNE_MAX_PENDING_TRIALS_PG": "2"}  # both actors start at once, however busy the machine
    with two_nodes(tmp_path / "home") as cluster:
        command = [sys.executable, "-c", code, str(out)]
        with subprocess.Popen(command, env=cluster.environment | both, stderr=subprocess.PIPE, text=True) as collector:
            try:
                wait_for(
                    lambda: (
                        (trains(cluster.head) and trains(cluster.second) and n_lines(out) >= 2)
                        or collector.poll() is not None
                    )
                )
                assert collector.poll() is None
                lose(cluster.second)
                _, said = collector.communicate(timeout=200)
            finally:
                collector.kill()
    assert "joined the Ray cluster at " in said
    # The second node may join after the driver.
    assert re.search(rf":{cluster.address.rpartition(':')[2]}: [12] nodes, [12] CPUs, 0 GPUs", said)
    assert len(cells(out)) == 6
    assert all(cell["error"] is None for cell in cells(out).values())
