"""The scripts of docs/cluster.md, with as few options as the commands there give them."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples" / "cluster"


def test_a_slurm_job_near_its_time_limit_queues_itself_again(tmp_path):
    """With stand-ins for Slurm's commands, of which ``srun`` trains until it is killed."""
    for name, does in {
        "srun": 'echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN $RAY_ADDRESS" >> tokens; '
        'case "$*" in *tune*) echo "$* on $SRUN_CPUS_PER_TASK" > ran; exec tail -f /dev/null;; esac',
        "scontrol": 'case "$1" in show) echo node1;; *) echo "$*" > told;; esac',
        "sleep": "",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{does}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"JOB_ID": "42", "JOB_NODELIST": "node[1-2]", "JOB_NUM_NODES": "2", "CPUS_PER_TASK": "8"}
    with subprocess.Popen(
        [
            "bash",
            str(EXAMPLES / "slurm.sh"),
            "/shared/flowers",
            "/shared/runs",
            "--hours",
            "16",
            "--gpus-per-trial",
            "1",
        ],
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
    assert "hyperstar tune /shared/flowers --out /shared/runs/job-42 --resume" in ran
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
