"""The scripts of docs/cluster.md, with as few options as the commands there give them."""

import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "cluster"
OFFLINE = ("--model", "torchvision/shufflenet_v2_x1_0", "--weights", "own")


@pytest.mark.integration
def test_the_script_runs_one_pass_and_submitted_again_finds_it_ended(
    ray_local, digits_folder, tmp_path, monkeypatch, capsys
):
    command = ["run.py", "--data", str(digits_folder), "--storage", str(tmp_path), "--max-epochs", "1", *OFFLINE]
    monkeypatch.setattr(sys, "argv", command)
    for _ in range(2):
        runpy.run_path(str(EXAMPLES / "run.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "budget 1 epochs" in said
    best = [line for line in said.splitlines() if line.startswith("best: ")]
    assert len(best) == 2
    assert best[0] == best[1]


def test_a_slurm_job_near_its_time_limit_queues_itself_again(tmp_path):
    """With stand-ins for Slurm's commands, of which ``srun`` trains until it is killed."""
    for name, does in {
        "srun": 'echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN $RAY_ADDRESS" >> tokens; '
        'case "$*" in *run.py*) echo "$* on $SRUN_CPUS_PER_TASK" > ran; exec tail -f /dev/null;; esac',
        "scontrol": 'case "$1" in show) echo node1;; *) echo "$*" > told;; esac',
        "sleep": "",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{does}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"JOB_ID": "42", "JOB_NODELIST": "node[1-2]", "JOB_NUM_NODES": "2", "CPUS_PER_TASK": "8"}
    with subprocess.Popen(
        ["bash", str(EXAMPLES / "slurm.sh"), "/shared/flowers", "/shared/runs", "--gpus-per-trial", "1"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **{f"SLURM_{key}": value for key, value in slurm.items()}},
        start_new_session=True,
    ) as job:
        try:
            ran = written(tmp_path / "ran")
            job.send_signal(signal.SIGUSR1)
            told = written(tmp_path / "told")
        finally:
            os.killpg(job.pid, signal.SIGKILL)
    assert "--data /shared/flowers --storage /shared/runs --name job-42" in ran
    assert ran.endswith("--gpus-per-trial 1 on 8\n")  # the last one counts
    (said,) = set((tmp_path / "tokens").read_text().splitlines())  # the same for both nodes and the run
    assert re.fullmatch(r"token [0-9a-f]{64} node1:20042", said)
    assert told == "requeue 42\n"


def written(path, limit_s=30):
    """The text of a file that another process writes."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path.name} must be written within {limit_s} s")
