"""Kills drivers at random moments, and says what of a run's promises did not hold. Used by tests and by the soak."""

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from kill_plans import N_SAMPLES, PLANS
from ray.tune.experiment import Trial

from hyperstar_tune.search import make_restorable

DRIVER = Path(__file__).with_name("killed_driver.py")
_LONGEST_EPOCH_S = 2.0  # far more than one takes


def start(*arguments, driver=DRIVER):
    return subprocess.Popen(
        [sys.executable, str(driver), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(DRIVER.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def stop_group(process):
    """Kills the driver and the Ray it started, which the driver's end alone would leave behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def trained(log):
    """Epochs trained, by trial, in the order they were."""
    return {name: list(map(int, (log / name).read_text().split())) for name in os.listdir(log)}


def saved_trials(storage):
    """Id, status, epochs, and epochs of the checkpoint that the trial would go on from."""
    newest = max((storage / "run").glob("experiment_state-*.json"))
    for state, metadata in json.loads(newest.read_text())["trial_data"]:
        trial = Trial.from_json_state(state, stub=True)
        trial.restore_run_metadata(metadata)
        saved = trial.latest_checkpoint_result
        epochs = (
            (trial.last_result or {}).get("training_iteration", 0),
            saved.metrics["training_iteration"] if saved else 0,
        )
        yield trial.trial_id, trial.status, *epochs


def run_with_kills(storage, log, n_kills, seed, method="mixed, eta 3", entries=("tuner", "run"), limit_s=150):
    """Kills the driver ``n_kills`` times with SIGKILL at any moment, and lets the run end.

    Returns:
        What of the promises did not hold, a line each, and what was counted.
    """
    chance = random.Random(seed)
    goals = sorted(chance.randrange(2, 60) for _ in range(n_kills))
    wrong = []
    counted = {"kills": 0, "torn": 0, "redone": 0, "redone_uncounted": 0, "hangs": 0, "lost": 0, "violations": 0}
    kept = {}  # trial -> status, epochs, those in its checkpoint, and lines of its log when a driver went on from there
    for turn in range(n_kills + 1):
        process = start(storage, log, method, entries[turn % len(entries)])
        deadline = time.monotonic() + limit_s
        goal = goals[turn] if turn < n_kills else sys.maxsize
        pause_s = chance.uniform(0, 0.2)
        while n_epochs(log) < goal and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if time.monotonic() >= deadline:
            counted["hangs"] += 1
            wrong.append(f"the run does not go on within {limit_s} s")
        elif goal < sys.maxsize:
            time.sleep(pause_s)
        counted["kills"] += process.poll() is None
        process.send_signal(signal.SIGKILL)
        stop_group(process)
        if process.returncode not in (0, -signal.SIGKILL):
            wrong.append(f"the driver failed: {process.stdout.read().decode()[-3000:]}")
        process.stdout.close()
        after = trained(log)
        for trial, (status, epoch, saved, n_lines) in kept.items():
            done = {"TERMINATED": epoch, "PAUSED": saved}.get(
                status, 0
            )  # a paused one may have died while it was saved
            again = [e for e in after.get(trial, [])[n_lines:] if e <= done]
            if again:
                wrong.append(f"turn {turn}: {status} trial {trial} had {epoch} epochs, but trained {again} again")
        if wrong or (storage / "ended.json").exists():
            break
        said = io.StringIO()
        with contextlib.redirect_stderr(said):  # where messages of the library go
            is_restorable = make_restorable(storage / "run")
        counted["torn"] += "was torn" in said.getvalue()
        kept = {}
        if is_restorable:
            kept = {trial: (*state, len(after.get(trial, []))) for trial, *state in saved_trials(storage)}
    if not wrong:
        wrong += _judge(json.loads((storage / "ended.json").read_text()), after, kept, counted, method)
    return wrong, counted


def n_epochs(log):
    return sum(len(set(epochs)) for epochs in trained(log).values())


def _judge(ended, log, kept, counted, method):
    wrong = []
    if set(ended["statuses"]) != {"TERMINATED"}:
        wrong.append(f"every trial must end, but they are {sorted(set(ended['statuses']))}")
    name, plan = method.split(", ")
    for trial, (status, epoch, *_) in kept.items():
        if plan not in PLANS and status != "TERMINATED":
            continue  # another scheduler saves no checkpoint of a trial that it does not pause: it starts anew
        if ended["epochs"].get(trial, 0) < epoch:
            counted["lost"] += 1
            wrong.append(f"trial {trial} had {epoch} epochs when it was restored, but {ended['epochs'].get(trial)} now")
    if plan not in PLANS:  # another scheduler, without a budget
        if len(ended["statuses"]) != N_SAMPLES:
            wrong.append(f"{N_SAMPLES} trials must run, but {len(ended['statuses'])} did")
        return wrong
    seconds, budget_s = ended["seconds"]
    if budget_s and not budget_s <= seconds < budget_s + 2 * _LONGEST_EPOCH_S:  # two workers
        counted["violations"] += 1
        wrong.append(f"{seconds} s spent, but the budget is {budget_s} s")
    if not budget_s and not ended["spent"] == sum(ended["epochs"].values()) == ended["budget"]:
        counted["violations"] += 1
        wrong.append(f"{ended['spent']} epochs spent, {sum(ended['epochs'].values())} kept, budget {ended['budget']}")
    if ended["is_restored"] and "times the run was restored: " not in ended["summary"]:
        wrong.append(f"the summary must say that the run was restored, but says {ended['summary']!r}")
    for bracket, rung, size in ended["rungs"]:
        planned = PLANS[plan].bracket(bracket).rungs[rung].n_configs
        if size != planned and not (name == "bohb" and size < planned):  # a repeated configuration takes no new place
            wrong.append(f"rung {rung} of bracket {bracket} must have {planned} trials, but has {size}")
    counted["redone"] = ended["redone"]
    in_log = sum(map(len, log.values()))
    counted["redone_uncounted"] = in_log - ended["spent"] - ended["redone"]
    return wrong
