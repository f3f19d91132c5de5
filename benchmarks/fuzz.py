"""Fuzzes the readers: every mutated file must end in an error of ours or in success, every sound one in what it shows.

A child process reads the files, one after another. It ends by itself if a file takes over 10 s. It may take 1 GiB more
memory than it has after reading sound files, and a refusal counts as a failure if memory ran out behind it. A file that
kills the child is counted, and the next child goes on after that file. Sound images and folders are drawn in all
containers, modes, depths, orientations and layouts. Not to read one or to read it as another picture is a failure too.

    python benchmarks/fuzz.py [--inputs 100000] [--seed 0]

Needs a system with ``resource`` (Linux, macOS). Writes benchmarks/results/fuzz.json after every child, and ends with 1
after a failure.
"""

import argparse
import collections
import faulthandler
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MALLOC_ARENA_MAX", "2")

from _common import RESULTS, environment, write_json
from _fuzz_targets import Target, targets

from hyperstar_tune.errors import HyperStarError
from hyperstar_tune.tasks.sources import UnreadableImageError

HANG_S = 10
MEMORY = 2**30  # bytes beyond what sound files need
CHUNK = 5_000  # inputs per child; address space that libraries keep must not count for the last input


def ran_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that memory ran out: in Python, NumPy, the system or torch."""
    while error is not None:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def read_one(target: Target, seed: int, number: int, folder: Path) -> str:
    """Mutates and reads one input.

    Returns:
        "read", "refused", or a line that says how it went wrong, "over memory: ..." if memory ran out.
    """
    files = target.mutate(target.files, random.Random(f"{seed} {number}"))
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if not files:
        folder.mkdir()
    try:
        target.read(folder)
    except BaseException as error:
        said = f"{type(error).__name__}: {str(error)[:200]}"
        if ran_out_of_memory(error):
            return f"over memory: {said}"
        if not isinstance(error, HyperStarError | UnreadableImageError):
            return said
        if "\n" in str(error) and isinstance(error, HyperStarError):
            return f"a message of several lines: {str(error)[:200]!r}"
        return "refused"
    return "read"


def share_out(all_targets: list[Target], number: int) -> Target:
    """The target of an input, by its number, in proportion to the weights."""
    place = random.Random(f"target {number}").randrange(sum(target.weight for target in all_targets))
    for target in all_targets:
        place -= target.weight
        if place < 0:
            return target
    raise AssertionError


def peak_bytes() -> int:
    """Most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def child(seed: int, first: int, last: int) -> None:
    """Reads inputs ``first`` to ``last`` and prints one line before and one after each."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        all_targets = targets(Path(scratch))
        folder = Path(scratch) / "input"
        for target in all_targets:
            sound = {next(iter(target.files)): next(iter(target.files.values()))} if target.name == "image" else None
            outcome = read_one(Target("", 1, target.files, target.read, lambda f, _, s=sound: s or f), 0, 0, folder)
            if outcome != "read":
                raise SystemExit(f"a sound {target.name} must be read, but: {outcome}")
        pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 2**20
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for number in range(first, last):
            target = share_out(all_targets, number)
            print(f"begin\t{number}\t{target.name}", flush=True)
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            before = peak_bytes()
            outcome = read_one(target, seed, number, folder)
            if peak_bytes() - before > MEMORY:
                outcome = f"over memory: took {(peak_bytes() - before) >> 20} MiB"
            faulthandler.cancel_dump_traceback_later()
            print(f"end\t{number}\t{outcome!r}", flush=True)


def watch(seed: int, first: int, last: int, outcomes: dict[str, collections.Counter], failures: list[dict]) -> int:
    """Runs one child as far as it gets, and returns the number of the next input."""
    command = [sys.executable, __file__, "--child", str(seed), str(first), str(last)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        number, name, begun_s = first, "", time.monotonic()
        for line in process.stdout:
            kind, place, rest = line.rstrip("\n").split("\t", 2)
            if kind == "begin":
                number, name, begun_s = int(place), rest, time.monotonic()
                continue
            outcome = rest.strip("'\"")
            is_over = outcome.startswith("over memory")
            key = outcome if outcome in ("read", "refused") else "over_memory" if is_over else "crashed"
            outcomes[name][key] += 1
            if key not in ("read", "refused"):
                failures.append({"input": number, "target": name, "outcome": outcome})
            number = int(place) + 1
        said = process.stderr.read()[-600:]
    if process.returncode == 0:
        return last
    if not name:
        raise SystemExit(said)
    key = "hung" if time.monotonic() - begun_s >= HANG_S else "crashed"
    outcomes[name][key] += 1
    failures.append({"input": number, "target": name, "outcome": f"{key}, code {process.returncode}: {said}"})
    return number + 1


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*map(int, sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "fuzz.json")
    arguments = parser.parse_args()
    outcomes: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    failures: list[dict] = []
    start = time.monotonic()
    number = 0
    while number < arguments.inputs:
        number = watch(arguments.seed, number, min(number + CHUNK, arguments.inputs), outcomes, failures)
        save(arguments.out, outcomes, failures, time.monotonic() - start)
    for name, counts in sorted(outcomes.items()):
        print(f"{name:24s} {dict(counts)}")
    for failure in failures[:20]:
        print(json.dumps(failure))
    sys.exit(bool(failures))


def save(path: Path, outcomes: dict[str, collections.Counter], failures: list[dict], seconds: float) -> None:
    """Writes what was counted so far."""
    total = sum(outcomes.values(), collections.Counter())
    write_json(
        path,
        {
            **environment(),
            "inputs": sum(total.values()),
            "crashes": total["crashed"],
            "hangs": total["hung"],
            "over_memory": total["over_memory"],
            "read": total["read"],
            "refused": total["refused"],
            "by_kind": {name: dict(counts) for name, counts in sorted(outcomes.items())},
            "failures": failures[:50],
            "seconds": round(seconds, 1),
            "limits": {"hang_s": HANG_S, "memory_bytes": MEMORY},
        },
    )


if __name__ == "__main__":
    main()
