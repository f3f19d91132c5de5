"""Compares every result in benchmarks/results with those of a git revision, value by value.

    python benchmarks/compare_results.py HEAD~5

Prints one line per file and ends with status 1 if any figure differs. What says how and when a file was made (versions,
cores, device, command) does not count; names that have changed since are read as today's.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from _common import RESULTS, ROOT

from hyperstar_tune.comparison.methods import current_names

ABOUT_THE_RUN = {"versions", "cores", "device", "command"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="what the files are compared with: a commit, a branch, HEAD~3")
    revision = parser.parse_args().revision
    names = {path.name for path in RESULTS.glob("*.json")} | set(committed(revision))
    differing = [name for name in sorted(names) if compared(name, revision)]
    print(f"{len(names) - len(differing)} of {len(names)} files are the same as in {revision}")
    sys.exit(1 if differing else 0)


def committed(revision: str) -> list[str]:
    """Names of the results in a revision."""
    files = git("ls-tree", "--name-only", revision, "benchmarks/results/").splitlines()
    return [file.rpartition("/")[2] for file in files if file.endswith(".json")]


def compared(name: str, revision: str) -> bool:
    """Says how far a file differs from that of the revision, and whether it does."""
    path = RESULTS / name
    if not path.exists() or name not in committed(revision):
        print(f"{name:46s} {'new' if path.exists() else 'missing'}")
        return True
    before = current_names(json.loads(git("show", f"{revision}:benchmarks/results/{name}")))
    differences = list(different(before, current_names(json.loads(path.read_text(encoding="utf-8")))))
    if not differences:
        print(f"{name:46s} same")
        return False
    place, one, other = max(differences, key=lambda found: size(found[1], found[2]))
    print(f"{name:46s} {len(differences)} values differ, the most {place}: {short(one)}, now {short(other)}")
    return True


def different(before: Any, now: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Places at which two results differ, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            if key not in ABOUT_THE_RUN:
                yield from different(before.get(key, "absent"), now.get(key, "absent"), f"{place}/{key}")
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from different(one, other, f"{place}/{number}")
    elif before != now:
        yield place, before, now


def size(one: Any, other: Any) -> float:
    """How far two values are apart; other things than numbers are infinitely far apart."""
    numbers = all(isinstance(value, int | float) for value in (one, other))
    return abs(one - other) if numbers else float("inf")


def short(value: Any) -> str:
    return json.dumps(value)[:60]


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT.parent, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"git {' '.join(arguments[:2])} failed: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
