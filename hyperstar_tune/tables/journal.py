"""A collection that is being measured. One process at a time begins it or goes on with it."""

import os
import re
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.collection import CellKey, Collection, append_cell, cells_path, read_cells

__all__ = ["Journal"]

_FILE_NAME = re.compile(r"[A-Za-z0-9_.@+-]+")


class Journal:
    """An open collection directory.

    Args:
        directory: A collection to go on with, or a folder to begin one in.
        fingerprint: What its cells are measured with.
        space: The space of their configurations.
        network: Settings of the network that the fingerprint does not hold, as JSON has them.
        task_rows: What a table says of each task. An empty family or licence leaves what the collection says of it.

    Raises:
        MetaDatasetError: If the directory holds a collection that differs in anything, if another process is writing
            to it, or if task names are no file names or not distinct.
    """

    def __init__(
        self,
        directory: str | Path,
        fingerprint: Fingerprint,
        space: SearchSpace,
        network: dict[str, Any],
        task_rows: list[dict[str, Any]],
    ) -> None:
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
            self._begin(Collection(fingerprint, space, network, _by_name(task_rows)))
        except BaseException:
            self.close()
            raise

    def finished(self, task: str) -> dict[CellKey, dict[str, Any]]:
        """Cells of a task by their last line, failed ones included; an unfinished last line is removed."""
        cells = read_cells(self.directory, task)
        path = cells_path(self.directory, task)
        if path.exists():
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)
        return cells

    def append(self, task: str, cell: dict[str, Any]) -> None:
        """Adds a finished cell; it is on disk when this returns."""
        append_cell(self.directory, task, cell)

    def close(self) -> None:
        """Lets another process write."""
        self._lock.release()

    def _begin(self, wanted: Collection) -> None:
        old: dict[str, dict[str, Any]] = {}
        if (self.directory / "collection.json").exists():
            begun = Collection.read(self.directory)
            if differences := wanted.differences(begun):
                raise MetaDatasetError(
                    f"a collection goes on with the settings it began with, but {self.directory} differs in "
                    f"{'; '.join(differences)}; use another folder"
                )
            old = begun.tasks
        for name, row in wanted.tasks.items():
            for field in ("family", "licence"):  # what a call leaves open stays as it was
                row[field] = row.get(field) or old.get(name, {}).get(field, "")
            row["family"] = row["family"] or name.partition("@")[0]
        Collection(wanted.fingerprint, wanted.space, wanted.network, {**old, **wanted.tasks}).write(self.directory)


def _by_name(task_rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for row in task_rows:
        name = row["name"]
        if not _FILE_NAME.fullmatch(name):
            raise MetaDatasetError(f"a task name must fit a file name, but got {name!r}; rename the task")
        if name in rows:
            raise MetaDatasetError(f"task names must differ, but {name!r} is there twice; rename one")
        rows[name] = row
    return rows
