"""Tables of learning curves: tasks x configurations x seeds x epochs x objectives.

Predictors are meta-trained on tables, and replays run on them. On disk a table is a directory in the schema of Syne
Tune's tabular blackboxes. A table is finished: ``finetune.collect`` measures a collection, and
``MetaDataset.from_collection`` makes a table of it.

Source: HyperSTAR (CVPR 2020), Sec. 3.1; scores, seeds and families as in docs/protocol.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune._files import recover_directory, replacing_directory
from hyperstar_tune.errors import MetaDatasetError, first_line
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.metrics import worst_for_diverged
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tables import files
from hyperstar_tune.tables.building import parts_of_collection, parts_of_frame
from hyperstar_tune.tables.collection import check_task_names
from hyperstar_tune.tables.objectives import OBJECTIVES

__all__ = ["MetaDataset"]

_SCHEMA = 1
_SHARES = ("val_accuracy", "val_accuracy_b")  # objectives that lie in [0, 1]
_TASK_COLUMNS: dict[str, type] = {
    "name": str,
    "family": str,
    "location": str,
    "classes": int,
    "n_train": int,
    "n_val": int,
    "licence": str,
    "image_hash": str,
}


@dataclass(frozen=True, eq=False)
class MetaDataset:
    """A table of learning curves.

    A cell (task, configuration, seed) that was never trained is NaN throughout. One that was trained has a finite
    ``epoch_seconds``; its other objectives are NaN from the epoch on at which it diverged.

    Raises:
        MetaDatasetError: If shapes, names or values do not make a table.
    """

    space: SearchSpace
    configs: list[Config]  # H distinct configurations of the space
    epochs: npt.NDArray[np.int64]  # [F], rising, from 1
    evaluations: npt.NDArray[np.float32]  # [T, H, S, F, O]
    tasks: pd.DataFrame  # T rows: name, family, location, classes, n_train, n_val, licence, image_hash
    fingerprint: Fingerprint

    objectives: ClassVar[tuple[str, ...]] = OBJECTIVES

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", np.asarray(self.epochs, dtype=np.int64))
        object.__setattr__(self, "evaluations", np.asarray(self.evaluations, dtype=np.float32))
        object.__setattr__(self, "tasks", _checked_tasks(self.tasks))
        _check_shapes(self)
        _check_configs(self)
        _check_values(self)

    @classmethod
    def load(cls, directory: str | Path) -> "MetaDataset":
        """Reads a table from a directory.

        Raises:
            MetaDatasetError: If the directory is no table, is damaged or has an unknown schema version, or a file has
                not the checksum that the table states of it. A table that states none is read as it is.
        """
        directory = Path(directory)
        recover_directory(directory)
        metadata = files.read_file(directory, files.METADATA)
        own = metadata.get("hyperstar") if isinstance(metadata, dict) else None
        if not isinstance(own, dict) or own.get("schema") != _SCHEMA:
            found = own.get("schema") if isinstance(own, dict) else None
            raise MetaDatasetError(f"{directory} must state hyperstar schema {_SCHEMA}, but states {found}")
        if metadata.get("objectives_names") != list(cls.objectives):
            raise MetaDatasetError(f"{directory} must hold the objectives {', '.join(cls.objectives)}")
        if "sha256" in own:
            files.check_sums(directory, own["sha256"])
        configs = files.read_file(directory, files.HYPERPARAMETERS)
        tasks = files.read_file(directory, files.TASKS)
        try:
            space = SearchSpace.from_json(own["space"])
            fingerprint = Fingerprint.from_json(own["fingerprint"])
            table = cls(
                space=space,
                configs=[space.from_row(row) for row in configs.to_dict("records")],
                epochs=files.read_file(directory, files.FIDELITIES),
                evaluations=files.read_file(directory, files.EVALUATIONS),
                tasks=tasks,
                fingerprint=fingerprint,
            )
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise MetaDatasetError(f"{directory} is no sound meta-dataset: {first_line(error)}") from error
        if metadata.get("task_names") != table.tasks["name"].tolist():
            raise MetaDatasetError(f"{directory} names other tasks in {files.METADATA} than in {files.TASKS}")
        return table

    @classmethod
    def from_collection(cls, directory: str | Path, complete_only: bool = False) -> "MetaDataset":
        """Builds a table from the journals of ``hyperstar collect``.

        Args:
            directory: Folder of the collection. An unfinished last line, and a cell that ended with an error, count as
                not trained.
            complete_only: Drop the tasks whose first seed lacks a cell, instead of keeping them with NaN, and every
                further seed of a task that lacks one.

        Raises:
            MetaDatasetError: If a journal is damaged elsewhere or nothing remains.
        """
        table = cls(**parts_of_collection(Path(directory)))
        if complete_only:
            whole = np.all(table.measured, axis=1)  # [T, S]
            if not whole[:, 0].any():
                raise MetaDatasetError(f"no task of {directory} is complete; collect on, or keep incomplete tasks")
            # Half a seed would make scores() average over other seeds for one configuration than for the next.
            evaluations = np.where(whole[:, None, :, None, None], table.evaluations, np.nan)
            seeds = whole[whole[:, 0]].any(axis=0)
            table = replace(table, evaluations=evaluations[:, :, seeds]).subset(np.flatnonzero(whole[:, 0]))
        sizes = table.tasks["n_train"]
        about = replace(table.fingerprint, train_size=f"{sizes.min()} to {sizes.max()} images")
        return replace(table, fingerprint=about)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        space: SearchSpace | None = None,
        *,
        tasks: pd.DataFrame | None = None,
        fingerprint: Fingerprint | None = None,
    ) -> "MetaDataset":
        """Builds a table from learning curves that were measured elsewhere.

        Args:
            frame: One row for each task, configuration, seed and epoch. Columns: ``task``, ``seed``, ``epoch`` (from
                1), ``val_accuracy`` (in [0, 1]), one for each parameter, and where known ``family`` and the other
                objectives. Without ``epoch_seconds`` every epoch counts as one second. A cell that diverged has empty
                objectives from that epoch on; one whose rows end early was not trained to the end.
            space: The space of the configurations. By default every further column is a parameter, and its distinct
                values are the space.
            tasks: What else is known of tasks: ``name`` and any columns of ``tasks``. By default a task is a family of
                its own, with counts of 0.
            fingerprint: The circumstances of training; left open by default.

        Raises:
            MetaDatasetError: If a column is missing or unknown, a row is there twice, or a value is out of its range.
            SpaceError: If the space does not hold a configuration.
        """
        return cls(**parts_of_frame(frame, space, tasks, fingerprint))

    def save(self, directory: str | Path) -> None:
        """Writes the table; an older one at the same place is replaced as a whole."""
        with replacing_directory(Path(directory)) as folder:
            frame = pd.DataFrame(self.configs, columns=list(self.space.parameters))
            files.write_file(folder, files.HYPERPARAMETERS, frame)
            files.write_file(folder, files.EVALUATIONS, self.evaluations)
            files.write_file(folder, files.FIDELITIES, self.epochs)
            files.write_file(folder, files.CONFIG_SPACE, files.syne_space(self.space))
            files.write_file(folder, files.FIDELITY_SPACE, files.syne_fidelity_space(int(self.epochs[-1])))
            files.write_file(folder, files.TASKS, self.tasks)
            own = {
                "schema": _SCHEMA,
                "space": self.space.to_json(),
                "fingerprint": self.fingerprint.to_json(),
                "sha256": files.sums(folder),
            }
            metadata = {
                "objectives_names": list(self.objectives),
                "task_names": self.tasks["name"].tolist(),
                "resource_attr": "epoch",
                "default_metric": "val_accuracy",
                "hyperstar": own,
            }
            files.write_file(folder, files.METADATA, metadata)

    def curve(self, objective: str) -> npt.NDArray[np.float32]:
        """One objective of all cells, shape [T, H, S, F]."""
        if objective not in self.objectives:
            raise MetaDatasetError(f"an objective is one of {', '.join(self.objectives)}, but got {objective!r}")
        return self.evaluations[..., self.objectives.index(objective)]

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        """Which cells were trained to the last epoch, diverged ones included, shape [T, H, S]."""
        return np.asarray(np.isfinite(self.curve("epoch_seconds")[..., -1]))

    @property
    def complete(self) -> npt.NDArray[np.bool_]:
        """The complete tasks: those on which every configuration was trained with some seed, shape [T]."""
        return np.asarray(np.isfinite(self.scores()).all(axis=1))

    def filled(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values of cells, shape [T, H, S]; a diverged cell has its task's worst value, or 0 if all diverged."""
        return np.where(self.measured, worst_for_diverged(values, axis=(1, 2)), values)

    def scores(self, seed: int | None = None) -> npt.NDArray[np.float64]:
        """Half-A accuracy after the last epoch: what configurations are ranked by (docs/protocol.md), shape [T, H].

        Of one seed, by its index, or the mean over the seeds that were trained. A diverged cell has its task's worst
        accuracy, one that was not trained is NaN.
        """
        last = self.filled(self.curve("val_accuracy")[..., -1].astype(np.float64))
        if seed is not None:
            if not 0 <= seed < last.shape[2]:
                raise MetaDatasetError(f"the table has the seeds 0 to {last.shape[2] - 1}, but got {seed}")
            return last[..., seed]
        several = np.isfinite(last).sum(axis=-1) > 1
        mean = _over_seeds(last)
        return np.where(several, np.round(mean, 7), mean)  # or equal counts of images would not tie

    def steady_scores(self) -> npt.NDArray[np.float64]:
        """Mean of best and mean accuracy over the measured epochs, of both halves where there are two, shape [T, H].

        While the learning rate stays constant, the last epoch is one draw of a noisy plateau, and one half of a small
        validation set another. As in ``scores`` a diverged cell has its task's worst value, one that was not trained is
        NaN, and seeds are averaged.
        """
        halves = [self.curve(name).astype(np.float64) for name in ("val_accuracy", "val_accuracy_b")]  # [T, H, S, F]
        both = np.where(np.isfinite(halves[1]), (halves[0] + halves[1]) / 2, halves[0])
        count = np.maximum(np.isfinite(both).sum(axis=-1), 1)
        value = (np.fmax.reduce(both, axis=-1) + np.nansum(both, axis=-1) / count) / 2  # [T, H, S]
        filled = self.filled(np.where(np.isfinite(both[..., -1]), value, np.nan))
        return _over_seeds(np.where(self.measured, filled, np.nan))

    @property
    def families(self) -> tuple[str, ...]:
        """Groups of tasks that share images or classes, in order of appearance."""
        return tuple(dict.fromkeys(self.tasks["family"]))

    def without(self, families: str | Iterable[str]) -> "MetaDataset":
        """The table without some families; a ``MetaDatasetError`` if one is unknown or no task remains."""
        return self.subset(np.flatnonzero(~self._in(families)))

    def only(self, families: str | Iterable[str]) -> "MetaDataset":
        """The table with some families only; a ``MetaDatasetError`` if one is unknown."""
        return self.subset(np.flatnonzero(self._in(families)))

    def subset(self, tasks: Sequence[int] | npt.NDArray[np.intp]) -> "MetaDataset":
        """The tasks at some row numbers, in that order."""
        rows = np.asarray(tasks, dtype=np.intp)
        return replace(self, evaluations=self.evaluations[rows], tasks=self.tasks.iloc[rows].reset_index(drop=True))

    def _in(self, families: str | Iterable[str]) -> npt.NDArray[np.bool_]:
        wanted = {families} if isinstance(families, str) else set(families)
        unknown = sorted(wanted - set(self.families))
        if unknown:
            raise MetaDatasetError(f"a family is one of {', '.join(self.families)}, but got {unknown[0]!r}")
        return self.tasks["family"].isin(wanted).to_numpy(dtype=bool)


def _checked_tasks(tasks: pd.DataFrame) -> pd.DataFrame:
    missing = [column for column in _TASK_COLUMNS if column not in tasks]
    if missing:
        raise MetaDatasetError(f"tasks need the columns {', '.join(_TASK_COLUMNS)}, but {missing[0]!r} is missing")
    if not len(tasks):
        raise MetaDatasetError("a meta-dataset needs at least one task, but got none")
    try:
        checked = tasks[list(_TASK_COLUMNS)].astype(_TASK_COLUMNS).reset_index(drop=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise MetaDatasetError(f"a column of the tasks has the wrong type: {first_line(error)}") from error
    check_task_names(checked["name"])
    return checked


def _check_shapes(table: MetaDataset) -> None:
    shape = table.evaluations.shape
    seeds = shape[2] if len(shape) == 5 else 1
    expected = (len(table.tasks), len(table.configs), seeds, len(table.epochs), len(table.objectives))
    if shape != expected or 0 in shape:
        raise MetaDatasetError(
            "evaluations must have the shape [tasks, configurations, seeds, epochs, objectives], here "
            f"{list(expected)} with at least one seed, but have {list(shape)}"
        )
    if table.epochs.ndim != 1 or table.epochs[0] < 1 or (np.diff(table.epochs) < 1).any():
        raise MetaDatasetError(f"epochs must rise from at least 1, but are {table.epochs.tolist()}")


def _check_configs(table: MetaDataset) -> None:
    seen = set()
    for config in table.configs:
        table.space.check(config)
        if config_key(config) in seen:
            raise MetaDatasetError(f"configurations must be distinct, but {config} appears twice")
        seen.add(config_key(config))
    if table.fingerprint.space not in ("", table.space.fingerprint):
        raise MetaDatasetError("the fingerprint must name the table's own space, but names another")


def _check_values(table: MetaDataset) -> None:
    for objective in table.objectives:
        values = table.curve(objective)
        share = objective in _SHARES
        bad = np.isinf(values) | (values < 0) & (share or objective == "epoch_seconds") | (values > 1) & share
        if bad.any():
            task = table.tasks["name"].iloc[int(np.argwhere(bad)[0][0])]
            raise MetaDatasetError(
                f"{objective} must be NaN or finite{' in [0, 1]' * share}, "
                f"but is {values[bad][0]} on task {task!r}{'; divide percentages by 100' * share}"
            )


def _over_seeds(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the seeds that have a value, [T, H, S] -> [T, H]; NaN where none has."""
    count, total = np.isfinite(values).sum(axis=-1), np.nansum(values, axis=-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
