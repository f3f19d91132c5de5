"""Rankings of every task by rankers that never saw its family. Replays and the judging of predictors use them.

The scores are kept in a flat table (ranker, seed, family, task, config, score), so that replays need no pixels.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.rivals.base import Ranker
from hyperstar_tune.space import Config, config_key
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["LOO_COLUMNS", "LooScores", "complete_rows", "leave_family_out", "rank_family"]

LOO_COLUMNS = ("ranker", "seed", "family", "task", "config", "score")


def leave_family_out(
    make: Callable[[int], Ranker],
    table: MetaDataset,
    seeds: Iterable[int] = (0,),
    families: Sequence[str] = (),
) -> pd.DataFrame:
    """Ranks every complete task of some families (all by default) with rankers fitted to all other families.

    ``make`` makes a ranker from a seed. Tasks that lack a configuration are learnt from but not ranked.

    Returns:
        One row per task, seed and configuration, with the columns ``LOO_COLUMNS``; ``config`` is its ``config_key``.
    """
    parts = []
    for seed in seeds:
        for family in families or table.families:
            if complete_rows(table, family).size:
                parts.append(rank_family(make(seed).fit(table.without(family)), seed, table, family))
    if not parts:
        raise MetaDatasetError("ranking needs a task on which every configuration was trained, but the table has none")
    return pd.concat(parts, ignore_index=True)


def rank_family(ranker: Ranker, seed: int, table: MetaDataset, family: str) -> pd.DataFrame:
    """The rows of ``leave_family_out`` for one family, by a ranker that was fitted to all others."""
    parts = []
    for row in complete_rows(table, family):
        task = table.tasks.iloc[row]
        ranking = ranker.rank(task, table.configs)
        keys, scores = [config_key(config) for config in ranking.configs], np.asarray(ranking.scores, dtype=np.float32)
        values = (ranker.name, seed, family, task["name"], keys, scores)
        parts.append(pd.DataFrame(dict(zip(LOO_COLUMNS, values, strict=True))))
    return pd.concat(parts)


def complete_rows(table: MetaDataset, family: str) -> npt.NDArray[np.intp]:
    """Row numbers of a family's tasks on which every configuration was trained."""
    return np.flatnonzero(table.complete & (table.tasks["family"] == family).to_numpy())


class LooScores:
    """Leave-family-out scores (``LOO_COLUMNS``) of a table's configurations, looked up by ranker, task and seed.

    Raises:
        MetaDatasetError: If a column is missing, or a ranking holds other configurations.
    """

    def __init__(self, frame: pd.DataFrame, configs: Iterable[Config]) -> None:
        missing = [column for column in LOO_COLUMNS if column not in frame]
        if missing:
            raise MetaDatasetError(f"leave-family-out scores need the column {missing[0]!r}, but have {list(frame)}")
        self._configs = list(configs)
        keys = [config_key(config) for config in self._configs]
        self._scores: dict[tuple[str, str], dict[int, np.ndarray]] = {}
        groups: Any = frame.groupby(["ranker", "task", "seed"], observed=True, sort=False)
        for (ranker, task, seed), part in groups:
            by_key = dict(zip(part["config"], part["score"], strict=True))
            if len(part) != len(keys) or by_key.keys() != set(keys):
                raise MetaDatasetError(
                    f"scores of {ranker!r} on {task!r} must be those of the table's {len(keys)} configurations"
                )
            scores = np.array([by_key[key] for key in keys], dtype=np.float64)
            self._scores.setdefault((str(ranker), str(task)), {})[int(seed)] = scores

    @classmethod
    def load(cls, path: str | Path, configs: Iterable[Config]) -> "LooScores":
        """Reads a parquet file.

        Raises:
            MetaDatasetError: If it is missing or damaged.
        """
        try:
            frame = pd.read_parquet(path)
        except Exception as error:  # pyarrow raises whatever its decoders meet
            raise MetaDatasetError(f"{path} must hold leave-family-out scores, but: {error!r}") from error
        return cls(frame, configs)

    def without(self, rankers: Iterable[str]) -> "LooScores":
        """The scores of all other rankers."""
        rest, left_out = copy.copy(self), set(rankers)
        rest._scores = {key: of_seeds for key, of_seeds in self._scores.items() if key[0] not in left_out}
        return rest

    @property
    def rankers(self) -> tuple[str, ...]:
        """Names of the rankers."""
        return tuple(dict.fromkeys(ranker for ranker, _ in self._scores))

    def n_seeds(self, ranker: str, task: str) -> int:
        """How many seeds of a ranker ranked a task."""
        return len(self._scores.get((ranker, task), ()))

    def scores(self, ranker: str, task: str, seed: int) -> np.ndarray:
        """Scores of all configurations, shape [H]. Seeds beyond those of the ranker begin again with its first.

        Raises:
            MetaDatasetError: If the ranker was not run on the task.
        """
        by_seed = self._scores.get((ranker, task))
        if by_seed is None:
            raise MetaDatasetError(
                f"there are no leave-family-out scores of ranker {ranker!r} on task {task!r}; the rankers are "
                f"{', '.join(self.rankers)}; make the others with leave_family_out"
            )
        return by_seed[sorted(by_seed)[seed % len(by_seed)]]

    def ranking(self, ranker: str, task: str, seed: int) -> Ranking:
        """The same as a ranking; of equal scores, the order is that of the table."""
        return Ranking.of(self._configs, self.scores(ranker, task, seed), task=task, source=ranker)
