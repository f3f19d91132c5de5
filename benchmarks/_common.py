"""What benchmarks share: what each states about itself, and where it writes its results."""

import hashlib
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hyperstar_tune.tables.metadataset import MetaDataset

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
FIRST_TABLE = "shufflenet-v2-x1-v0"
_PACKAGES = ("ray", "torch", "numpy", "pandas", "ConfigSpace", "scikit-learn", "hpbandster", "optuna", "syne-tune")


def environment(device: str = "cpu") -> dict[str, Any]:
    """Versions, cores, device and command of this run."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    # Folders by their names alone: where they lie on one machine says nothing to another.
    command = " ".join([Path(sys.argv[0]).name, *(Path(a).name if Path(a).is_absolute() else a for a in sys.argv[1:])])
    return {"versions": versions, "cores": os.cpu_count(), "device": device, "command": command}


def about_table(table: MetaDataset, path: str | Path) -> dict[str, Any]:
    """Which table figures were made from."""
    return {
        "name": Path(path).name,
        "model": table.fingerprint.model,
        "protocol": table.fingerprint.protocol,
        "schedule": table.fingerprint.schedule,
        "max_epochs": int(table.epochs[-1]),
        "tasks": len(table.tasks),
        "families": len(table.families),
        "configurations": len(table.configs),
    }


def write_json(path: Path, data: dict[str, Any], lines: bool = True) -> None:
    """Writes a result, for many numbers without a line each; NaN is not JSON and is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    layout: dict[str, Any] = {"indent": 1} if lines else {"separators": (",", ":")}
    path.write_text(json.dumps(data, allow_nan=False, **layout) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def scores_path(table: str) -> Path:
    """Leave-family-out scores of a table, by its name; those of the first one are in ``loo_scores.parquet``."""
    return ROOT / "metadata" / f"{_of_table('loo_scores', table)}.parquet"


def origin_of(table: MetaDataset, settings: dict[str, Any]) -> str:
    """Digest of what scores are made from."""
    parts = [table.evaluations.tobytes(), table.tasks.to_json().encode(), repr(sorted(settings.items())).encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def stale_rankers(path: Path, table: MetaDataset, block: str) -> dict[str, str]:
    """Rankers whose scores were made from another state of a table, with the reason.

    Args:
        path: File of scores from ``loo_scores.py``, which states beside them what they were made from.
        table: What they should be made from.
        block: ``"development families"`` or ``"test families"``.
    """
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["rankers"]
    entries = {key.split(": ")[0]: entry for key, entry in about.items() if key.endswith(f": {block}")}
    return {
        name: "its scores were made from another state of the table; run benchmarks/loo_scores.py"
        for name, entry in entries.items()
        if entry["origin"] != origin_of(table, _tuples(entry["settings"]))
    }


def _tuples(value: Any) -> Any:
    """Settings as they were before JSON, which has lists for tuples."""
    if isinstance(value, dict):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def result_path(kind: str, table: str, suffix: str = ".json") -> Path:
    """A result made from one table, by its name; those of the first one are in ``KIND.json``."""
    return RESULTS / f"{_of_table(kind, table)}{suffix}"


def _of_table(kind: str, table: str) -> str:
    return kind if table == FIRST_TABLE else f"{kind}_{table}"
