"""A collection that is being measured. One process at a time begins it or goes on with it."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.tables.collection import Collection, cells_path, read_cells

__all__ = ["Journal"]


class Journal:
    """An open collection directory.

    Args:
        directory: A collection to go on with, or a folder to begin one in.
        wanted: What its cells are measured with. An empty family or licence leaves what the collection says of it.
        accept_changed_data: Whether to go on though labels or images of a task have changed since.

    Raises:
        MetaDatasetError: If the directory holds a collection that differs in anything, or if another process is
            writing to it.
    """

    def __init__(self, directory: str | Path, wanted: Collection, accept_changed_data: bool = False) -> None:
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
            self._begin(wanted, accept_changed_data)
        except BaseException:
            self.close()
            raise

    def finished(self, task: str) -> dict[tuple[str, int], dict[str, Any]]:
        """Cells of a task as ``read_cells`` gives them; an unfinished last line is removed."""
        cells = read_cells(self.directory, task)
        path = cells_path(self.directory, task)
        if path.exists():
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)
        return cells

    def append(self, task: str, cell: dict[str, Any]) -> None:
        """Adds a finished cell; it is on disk when this returns."""
        line = json.dumps(cell, allow_nan=False) + "\n"
        with cells_path(self.directory, task).open("a") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Lets another process write."""
        self._lock.release()

    def _begin(self, wanted: Collection, accept_changed_data: bool) -> None:
        old: dict[str, dict[str, Any]] = {}
        if (self.directory / "collection.json").exists():
            begun = Collection.read(self.directory)
            if differences := wanted.differences(begun):
                raise MetaDatasetError(
                    f"a collection goes on with the settings it began with, but {self.directory} differs in "
                    f"{'; '.join(differences)}; use another folder"
                )
            if not accept_changed_data and (changes := wanted.changed_data(begun)):
                raise MetaDatasetError(
                    f"a collection goes on with the data it began with, but since {self.directory} was begun they have "
                    f"changed: {'; '.join(changes)}; use another folder, or pass accept_changed_data=True "
                    "(--accept-changed-data) if you know that it is all the same"
                )
            old = begun.tasks
        tasks = wanted.tasks
        for name, row in tasks.items():
            for field in ("family", "licence"):  # what a call leaves open stays as it was
                row[field] = row.get(field) or old.get(name, {}).get(field, "")
            row["family"] = row["family"] or name.partition("@")[0]
        replace(wanted, rows=list((old | tasks).values())).write(self.directory)
