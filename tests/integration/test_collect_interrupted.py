"""Ctrl-C on ``hyperstar collect``, as a terminal sends it."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.integration
COMMAND = "from hyperstar_tune.cli import main; main()"


def trainers(process):
    """The processes that measure cells."""
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if child.cmdline()[:1] and child.cmdline()[0].startswith("ray::ResourceTrainable"):
                yield child
        except psutil.Error:  # it has just ended
            continue


def test_an_interrupted_collection_says_how_it_goes_on_and_trained_as_nice_as_asked(digits_folder, tmp_path):
    space, out = tmp_path / "space.json", tmp_path / "out"
    space.write_text(json.dumps({"lr": [n / 1000 for n in range(1, 200)], "layers": ["head"]}))
    network = ("--model", "torchvision/shufflenet_v2_x1_0", "--weights", "own", "--image-size", "32", "--workers", "1")
    arguments = ("collect", digits_folder, "--out", out, "--space", space, *network, "--max-epochs", "4", "--nice", "5")
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            journal, deadline = out / "cells" / "digits.jsonl", time.monotonic() + 150
            niceness = set()
            while not (journal.exists() and journal.read_text().count("\n") > 2 and niceness):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
                niceness = {child.nice() for child in trainers(process)}  # none between two cells
            os.killpg(process.pid, signal.SIGINT)
            said, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert niceness == {5}
    assert process.returncode == 130
    assert f"interrupted; {out} has all that was measured, and the same call goes on with it: " in said
    assert " left\n" in said
    for advice in ("Resume experiment", "hyperstar-collect-", "Traceback", "Aborted"):
        assert advice not in said + errors
