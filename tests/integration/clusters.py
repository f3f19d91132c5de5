"""Runs on two nodes, in a process of their own. Used by tests and by the soak."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

DRIVER = Path(__file__).with_name("cluster_driver.py")


def run_on_two_nodes(storage, kill_after=None, limit_s=180):
    """A plan on two nodes of one CPU; the second dies while it trains, after so many epochs of the run.

    Returns:
        What of the promises did not hold, a line each, and what was counted.
    """
    with subprocess.Popen(
        [sys.executable, str(DRIVER), str(storage), str(kill_after or 0)],
        env={**os.environ, "PYTHONPATH": str(DRIVER.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
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
