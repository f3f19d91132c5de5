"""The files of a collection: what was measured with what, and one line for every finished cell.

    DIR/collection.json     fingerprint, network, space, task rows
    DIR/cells/TASK.jsonl    a JSON object a line: config, seed, epochs, a list an objective, device, seconds, error

A line is written, flushed and synced at once; a last line cut short by a kill is dropped and its cell runs again.
Not finite numbers are null. ``epoch_seconds`` is the mean over the epochs since the last one listed, so that the sum
over all epochs is kept although not all are listed.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hyperstar_tune._files import write_file
from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace, config_key

__all__ = ["CellKey", "Journal", "cell_key"]

CellKey = tuple[str, int]  # configuration, seed
_FORMAT = 1
_FILE_NAME = re.compile(r"[A-Za-z0-9_.@+-]+")


def cell_key(config: dict[str, Any], seed: int) -> CellKey:
    """Identifies a cell within a task."""
    return config_key(config), seed


class Journal:
    """An open collection directory; one writer at a time."""

    def __init__(
        self,
        directory: str | Path,
        fingerprint: Fingerprint,
        space: SearchSpace,
        network: dict[str, Any],
        task_rows: list[dict[str, Any]],
    ) -> None:
        """Creates the directory or goes on with it.

        Raises:
            MetaDatasetError: If it holds a collection that differs in anything, or another process is writing to it.
        """
        self.directory = Path(directory)
        (self.directory / "cells").mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.directory / "lock")
        try:
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise MetaDatasetError(
                f"one process at a time may collect into {self.directory}; wait for the other one"
            ) from error
        try:
            self._begin(fingerprint, space, network, task_rows)
        except BaseException:
            self.close()
            raise

    def finished(self, task: str) -> dict[CellKey, dict[str, Any]]:
        """Cells of a task by their last line, failed ones included; mends a torn last line."""
        path = self._cells(task)
        if not path.exists():
            return {}
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        cells = {}
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                cell = json.loads(line)
                cells[cell_key(cell["config"], cell["seed"])] = cell
            except (ValueError, KeyError, TypeError) as error:
                raise MetaDatasetError(
                    f"every line of {path.name} must be a cell, but line {number} is not: {error}"
                ) from error
        return cells

    def append(self, task: str, cell: dict[str, Any]) -> None:
        """Adds a finished cell; it is on disk when this returns."""
        line = json.dumps(cell, allow_nan=False) + "\n"
        with self._cells(task).open("a") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Lets another process write."""
        self._lock.release()

    def _begin(
        self, fingerprint: Fingerprint, space: SearchSpace, network: dict[str, Any], task_rows: list[dict[str, Any]]
    ) -> None:
        for row in task_rows:
            if not _FILE_NAME.fullmatch(row["name"]):
                raise MetaDatasetError(f"a task name must fit a file name, but got {row['name']!r}; rename the task")
        names = [row["name"] for row in task_rows]
        doubled = next((n for n in names if names.count(n) > 1), None)
        if doubled:
            raise MetaDatasetError(f"task names must differ, but {doubled!r} is there twice; rename one")
        path = self.directory / "collection.json"
        rows = {row["name"]: row for row in task_rows}
        old = self._check(path, fingerprint, space, network, rows) if path.exists() else {}
        for name, row in rows.items():
            for field in ("family", "licence"):  # what a call leaves open stays as it was
                row[field] = row.get(field) or old.get(name, {}).get(field, "")
            row["family"] = row["family"] or name.partition("@")[0]
        rows = {**old, **rows}
        content = {
            "format": _FORMAT,
            "fingerprint": fingerprint.to_json(),
            "network": network,
            "space": space.to_json(),
            "tasks": list(rows.values()),
        }
        write_file(path, json.dumps(content, indent=1).encode())

    def _cells(self, task: str) -> Path:
        return self.directory / "cells" / f"{task}.jsonl"

    def _check(
        self, path: Path, fingerprint: Fingerprint, space: SearchSpace, network: dict[str, Any], rows: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            old = json.loads(path.read_text())
            old_fingerprint = Fingerprint.from_json(old["fingerprint"])
            old_space = SearchSpace.from_json(old["space"])
            old_rows = {row["name"]: row for row in old["tasks"]}
        except (ValueError, KeyError, TypeError) as error:
            raise MetaDatasetError(
                f"{path} must describe a collection, but does not: {error}; use another folder"
            ) from error
        differences = fingerprint.differences(old_fingerprint)
        if old.get("format") != _FORMAT:
            differences.append(f"format: {_FORMAT} here, {old.get('format')} there")
        if space.difference(old_space):
            differences = [
                f"space: {space.difference(old_space)}",
                *(d for d in differences if not d.startswith("space")),
            ]
        differences += [
            f"{key}: {network.get(key)} here, {old['network'].get(key)} there"
            for key in sorted({*network, *old["network"]})
            if network.get(key) != old["network"].get(key)
        ]
        for name in rows.keys() & old_rows.keys():
            differences += [
                f"{field} of task {name}: {rows[name].get(field)} here, {old_rows[name].get(field)} there"
                for field in ("image_hash", "classes", "n_train", "n_val")
                if rows[name].get(field) != old_rows[name].get(field)
            ]
        if differences:
            raise MetaDatasetError(
                f"a collection goes on only as it began, but {self.directory} differs in {'; '.join(differences)}; "
                "use another folder"
            )
        return old_rows
