"""Keeps a whole copy of a run's saved state, for the case that the driver is killed while Ray writes its own.

Ray saves a run as several files, which it copies to the storage one after another. A kill in between leaves an empty
JSON file, a cut pickle, or trials and searcher of different moments. So ``PlanScheduler`` keeps the last state
that Ray has finished in one archive beside these files, and ``make_restorable`` puts it back. Under other schedulers
the callback ``KeepRestorable`` does the same. Epochs after the last saved state are trained again, and nobody can count
them: Ray saves every 10 s (``TUNE_GLOBAL_CHECKPOINT_S``).

On a local disk and on NFS the rename is atomic; on an object store an object appears when it is complete.

Source: ray 2.60, ``tune/execution/tune_controller.py::save_to_dir``, ``tune/execution/experiment_state.py``.
"""

import io
import json
import os
import pickle
import re
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import fs
from ray import tune

from hyperstar_tune.log import LOGGER
from hyperstar_tune.search.brackets import Gate
from hyperstar_tune.search.trainables import data_of_run

__all__ = ["KeepRestorable", "SnapshotKeeper", "make_restorable"]

SNAPSHOT = "hyperstar_snapshot.zip"
_TUNER = "tuner.pkl"  # Ray copies it anew at every save of a restored run
_STATE = "experiment_state"
_SAVED = re.compile(r"([a-z_-]+)-(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)\.(json|pkl)")  # kind, session
_SHARE = 19  # at most 5 % of the time goes into saving, as in Ray

Files = dict[str, bytes]


class SnapshotKeeper:
    """Watches where Ray prepares the state of a run, and keeps the last whole one in the storage.

    Args:
        storage: Ray's ``StorageContext`` of a trial.
    """

    def __init__(self, storage: Any) -> None:
        self._staging = str(storage.experiment_driver_staging_path)
        self._filesystem: fs.FileSystem = storage.storage_filesystem
        self._path = f"{storage.experiment_fs_path}/{SNAPSHOT}"
        self._tuner = self._read_tuner()  # now, since nothing is being saved before the first step
        self._next_s = 0.0
        self._has_failed = False
        self._changed = -1
        self._kept = self._newest()  # a state from before this run is not ours

    def look(self) -> None:
        """Keeps the state if Ray has saved a newer one. To be called between Ray's steps, never during a save."""
        if time.monotonic() < self._next_s:
            return
        try:
            changed = os.stat(self._staging).st_mtime_ns
        except OSError:
            return
        if changed == self._changed:
            return
        self._changed = changed
        newest = self._newest()
        if newest is not None and newest != self._kept:
            self._kept = newest
            start = time.monotonic()
            self._keep(newest[0])
            self._next_s = time.monotonic() + _SHARE * (time.monotonic() - start)

    def _read_tuner(self) -> bytes | None:
        try:
            return _read(self._filesystem, f"{os.path.dirname(self._path)}/{_TUNER}")
        except OSError:  # of tune.run, which has none
            return None

    def _newest(self) -> tuple[str, int] | None:
        """The session and the time of the newest state."""
        try:
            with os.scandir(self._staging) as entries:
                found = [
                    (match[2], entry.stat().st_mtime_ns)
                    for entry in entries
                    if (match := _SAVED.fullmatch(entry.name)) and match[1] == _STATE
                ]
        except OSError:
            return None
        return max(found, default=None)

    def _keep(self, session: str) -> None:
        buffer = io.BytesIO()
        try:
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for path in sorted(Path(self._staging).iterdir()):
                    match = _SAVED.fullmatch(path.name)
                    if match and match[2] == session:
                        archive.writestr(path.name, path.read_bytes())
                if self._tuner is not None:
                    archive.writestr(_TUNER, self._tuner)
            _replace(self._filesystem, self._path, buffer.getvalue())
        except (OSError, pyarrow.ArrowException) as error:
            if not self._has_failed:
                self._has_failed = True
                LOGGER.warning("no snapshot of the run could be kept, but the run goes on: %s", error)


class KeepRestorable(tune.Callback):
    """Keeps snapshots for ``make_restorable`` under other schedulers; ``PlanScheduler`` does so by itself.

    tune.run(..., callbacks=[KeepRestorable()])
    """

    def __init__(self) -> None:
        self._keeper: SnapshotKeeper | None = None
        self._trained_on: dict[str, Any] | None = None
        self._has_begun = False

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Refuses to go on with a run whose labels or images have changed, before its first step."""
        if trials and not self._has_begun:
            self._has_begun = True
            self._trained_on = data_of_run(trials[0].get_trainable_cls(), self._trained_on)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Looks for a newer state, after Ray may have saved one."""
        if self._keeper is None and trials:
            self._keeper = SnapshotKeeper(trials[0].storage)
        if self._keeper is not None:
            self._keeper.look()

    def get_state(self) -> dict[str, Any] | None:
        """The identity of the data, which Ray saves with the run; None if there is none."""
        return {"trained_on": self._trained_on} if self._trained_on is not None else None

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the identity of the data of a saved run."""
        self._trained_on = state["trained_on"]

    def __getstate__(self) -> dict[str, Any]:
        # It is pickled with the run; file systems and times are of this process.
        return {"_keeper": None, "_trained_on": self._trained_on, "_has_begun": False}


def make_restorable(path: str | os.PathLike[str], storage_filesystem: fs.FileSystem | None = None) -> bool:
    """Makes the saved state of a killed run whole, to be called before ``Tuner.restore`` or ``tune.run(resume=True)``.

    A whole state stays as it is. A state that is torn, or whose trials and searcher are of different moments, is
    replaced by the last whole one. As in Ray's restore, files of the run are unpickled, so use it only for runs of your
    own.

        if make_restorable(path):
            tuner = tune.Tuner.restore(path, trainable)

    Args:
        path: Folder of the experiment, local or a URI: ``storage_path/name``.
        storage_filesystem: As given to ``tune.RunConfig``.

    Returns:
        Whether there is something to restore; if not, no trial was saved yet and the run may start anew.
    """
    filesystem, root = _open(path, storage_filesystem)
    saved = _read_newest(filesystem, root)
    is_readable, agrees = _check(saved)
    if is_readable and agrees:
        return True
    snapshot = _read_snapshot(filesystem, f"{root}/{SNAPSHOT}")
    if snapshot is None:
        return is_readable
    session = max((match[2] for name in snapshot if (match := _SAVED.fullmatch(name))), default="")
    for name in _names(filesystem, root):
        match = _SAVED.fullmatch(name)
        if match and match[2] >= session:
            filesystem.delete_file(f"{root}/{name}")
    for name, content in snapshot.items():
        _replace(filesystem, f"{root}/{name}", content)
    LOGGER.warning("the saved state of %s was torn; the last whole state was put back", path)
    return True


def _open(path: str | os.PathLike[str], filesystem: fs.FileSystem | None) -> tuple[fs.FileSystem, str]:
    text = os.fspath(path).rstrip("/")
    if filesystem is None:
        filesystem, text = fs.FileSystem.from_uri(text if "://" in text else Path(text).expanduser().absolute())
    return filesystem, text.rstrip("/")


def _names(filesystem: fs.FileSystem, root: str) -> list[str]:
    found = filesystem.get_file_info(fs.FileSelector(root, allow_not_found=True))
    return [entry.base_name for entry in found if entry.is_file]


def _read_newest(filesystem: fs.FileSystem, root: str) -> Files:
    """The files of the newest session, the one that Ray would restore."""
    names = _names(filesystem, root)
    matches = [match for name in names if (match := _SAVED.fullmatch(name))]
    session = max((match[2] for match in matches), default=None)
    newest = [match[0] for match in matches if match[2] == session]
    return {name: _read(filesystem, f"{root}/{name}") for name in (*newest, *{_TUNER}.intersection(names))}


def _read_snapshot(filesystem: fs.FileSystem, path: str) -> Files | None:
    try:
        with zipfile.ZipFile(io.BytesIO(_read(filesystem, path))) as archive:  # every member has a checksum
            files = {
                name: archive.read(name) for name in archive.namelist() if _SAVED.fullmatch(name) or name == _TUNER
            }
    except (OSError, zipfile.BadZipFile, zlib.error):
        return None
    return files or None


def _check(files: Files) -> tuple[bool, bool]:
    """Whether Ray can read the files, and whether trials and searcher are of the same moment."""
    kinds = {match[1]: name for name in files if (match := _SAVED.fullmatch(name))}
    needed = ({_STATE, "search_gen_state", "searcher-state"}, {_STATE, "basic-variant-state"})
    if not any(names <= kinds.keys() for names in needed):
        return False, False
    try:
        state = json.loads(files[kinds.pop(_STATE)])
        epochs = {
            json.loads(trial)["trial_id"]: _last_epoch(json.loads(metadata)) for trial, metadata in state["trial_data"]
        }
        names = [*kinds.values(), *{_TUNER}.intersection(files)]
        saved = [pickle.loads(files[name]) for name in names]  # noqa: S301  Ray does the same next
    except Exception:  # whatever a cut pickle leads to
        return False, False
    if not epochs:  # saved before the first trial: Ray's restore asks for one
        return False, False
    gate = next((gate for item in saved if (gate := _find_gate(item)) is not None), None)
    return True, gate is None or {trial.id: trial.position for trial in gate.trials.values()} == epochs


def _last_epoch(metadata: dict[str, Any]) -> int:
    """The last epoch that a trial reported; Ray sets its last result back when it starts again from a checkpoint."""
    reported = metadata.get("metric_analysis", {}).get("training_iteration")
    last: int = reported["last"] if reported else (metadata.get("last_result") or {}).get("training_iteration", 0)
    return last


def _find_gate(saved: Any) -> Gate | None:
    """The gate in a searcher's state, or in the state of a searcher around it."""
    if not isinstance(saved, dict):
        return None
    for item in (saved, *(value for key, value in saved.items() if str(key).startswith("name:"))):
        gate = item.get("gate") if isinstance(item, dict) else None
        if isinstance(gate, Gate):
            return gate
    return None


def _read(filesystem: fs.FileSystem, path: str) -> bytes:
    with filesystem.open_input_stream(path) as file:
        content: bytes = file.read()
    return content


def _replace(filesystem: fs.FileSystem, path: str, content: bytes) -> None:
    temporary = f"{path}.tmp"
    with filesystem.open_output_stream(temporary) as file:
        file.write(content)
    filesystem.move(temporary, path)
