"""A cluster of two nodes on this machine, begun as a user begins one, and runs on it in a process of their own.

Used by tests and by the soak.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

DRIVER = Path(__file__).with_name("cluster_driver.py")
TOKEN = "a9" * 32


@dataclass
class Cluster:
    """Two nodes of one CPU: the head and one that may be lost."""

    address: str
    environment: dict[str, str]  # of a process that is to join it
    head: subprocess.Popen
    second: subprocess.Popen


@contextlib.contextmanager
def two_nodes(home):
    """Begins them by ``ray start`` for a user with a token, as every local Ray leaves one in the home folder.

    Ray then asks for the token, and a driver that names the address has to send it.
    """
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text(TOKEN)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment |= {"HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path]))}
    environment.pop("RAY_ADDRESS", None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"127.0.0.1:{port}"
    scratch = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a short path, as sockets have names of 107 bytes at most
    nodes = []

    def start(*arguments, **more):
        command = [str(Path(sys.executable).with_name("ray")), "start", "--num-cpus=1", "--block", *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        nodes.append(subprocess.Popen(command, env=environment | more, start_new_session=True, **quiet))

    try:
        start("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={scratch}")
        wait_for_port(port)
        start(f"--address={address}", RAY_AUTH_MODE="token")  # a node that joins a cluster does not look for a token
        yield Cluster(address, {**environment, "RAY_ADDRESS": address}, *nodes)
    finally:
        for node in nodes:
            lose(node)
        shutil.rmtree(scratch, ignore_errors=True)


def lose(node):
    """Kills a node with all its processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()


def wait_for_port(port, limit_s=60):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.1)
    raise AssertionError(f"the head must listen within {limit_s} s")


def run_on_two_nodes(storage, kill_after=None, limit_s=180):
    """A plan on two nodes of one CPU; the second dies while it trains, after so many epochs of the run.

    Returns:
        What of the promises did not hold, a line each, and what was counted; the nodes' shares are those of the epochs
        until one died.
    """
    with (
        two_nodes(storage / "home") as cluster,
        subprocess.Popen(
            [sys.executable, str(DRIVER), str(storage), str(kill_after or 0), str(cluster.second.pid)],
            env=cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            said = process.communicate(timeout=limit_s)[0].decode()
        except subprocess.TimeoutExpired:
            return [f"the run did not end within {limit_s} s"], {"hangs": 1}
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        return [f"the driver failed: {said[-2000:]}"], {"hangs": 0}
    ended = json.loads((storage / "ended.json").read_text())
    wrong = []
    # Ray gives a trial up, whatever max_failures, if a second request to the lost node fails while it is queued again.
    if set(ended["statuses"]) - {"TERMINATED", "ERROR"} or len(ended["errors"]) > bool(kill_after):
        wrong.append(f"every trial must end, but they are {ended['statuses']}: {ended['errors']}")
    if ended["spent"] != ended["budget"]:
        wrong.append(f"{ended['spent']} epochs spent of {ended['budget']}")
    if ended["kept"] != ended["spent"]:
        wrong.append(f"{ended['spent']} epochs spent, but {ended['kept']} kept")
    if ended["rungs"] != [9, 3, 1, 5, 1]:
        wrong.append(f"rungs must follow the plan, but are {ended['rungs']}")
    if kill_after and not ended["hosted"]:
        wrong.append("the node must host a trial when it is killed")
    if not kill_after and (len(ended["shares"]) < 2 or min(ended["shares"]) < 0.25):
        wrong.append(f"both nodes must train, but their shares are {ended['shares']}")
    lost = max(0, ended["spent"] - ended["kept"])
    return wrong, {
        "hangs": 0,
        "lost": lost,
        "violations": int(ended["spent"] != ended["budget"]),
        "shares": ended["shares"],
        "given_up": len(ended["errors"]),
    }
