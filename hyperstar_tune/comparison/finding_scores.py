"""Scores for replays, found without being named: what rankers need of the tasks is looked up or computed.

Rankers of the registry are fitted with each family left out in turn. HyperSTAR+ needs three traits of each task: those
of tasks that a shipped predictor knows are taken from it, those of other tasks from their images. A predictor, shipped
or of the user's own, is judged as it is, and a warning names the tasks that it has seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from hyperstar_tune.comparison.leave_out import LOO_COLUMNS, complete_rows, leave_family_out
from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.predictor.plus_predictor import PlusPredictor
from hyperstar_tune.predictor.predictor import Predictor
from hyperstar_tune.rivals.features import FeatureStore
from hyperstar_tune.rivals.registry import Supplies, ranker_kind
from hyperstar_tune.shipped import predictor_names
from hyperstar_tune.space import config_key
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["find_scores", "known_traits"]

_IMAGE_SIZE = 64  # where the table does not say it


def find_scores(
    rankers: Iterable[str],
    table: MetaDataset,
    images: Mapping[str, ImageTask] | None = None,
    families: Sequence[str] = (),
) -> pd.DataFrame:
    """Scores of every complete task of some families (all by default), with one seed, as ``LooScores`` takes them.

    Args:
        rankers: Names of the registry, of shipped predictors, or folders of predictors.
        table: The table.
        images: The images of its tasks, by name.
        families: Families whose tasks are ranked; each ranker learns from all others.

    Raises:
        PredictorError: If a ranker is unknown.
        SpaceError: If a configuration of the table is not in the space of a predictor.
        MetaDatasetError: If something that a ranker needs was not found, naming it.
    """
    store = FeatureStore(images, table.fingerprint.image_size or _IMAGE_SIZE) if images else None
    supplies, parts = Supplies(table, store, traits=known_traits(table)), []
    for name in rankers:
        if name in predictor_names() or Path(name).is_dir():
            parts.append(_of_predictor(name, table, images or {}, families or table.families))
            continue
        kind = ranker_kind(name)
        if kind.lacks(supplies):
            raise MetaDatasetError(
                f"ranker {name!r} needs {kind.lacks(supplies)}; name their folder with --images, or a file of its "
                "leave-family-out scores with --scores"
            )
        parts.append(leave_family_out(partial(kind.make, supplies), table, families=families))
    return pd.concat(parts, ignore_index=True)


def known_traits(table: MetaDataset) -> pd.DataFrame | None:
    """Traits of a table's tasks that shipped predictors know by their images; None if they lack any of its tasks."""
    known: dict[str, dict[str, float]] = {}
    for name in predictor_names():
        predictor = Predictor.load(name)
        if isinstance(predictor, PlusPredictor) and predictor.image_size == (
            table.fingerprint.image_size or _IMAGE_SIZE
        ):
            known |= predictor.known_traits()
    hashes = table.tasks["image_hash"] if "image_hash" in table.tasks else pd.Series(dtype=str)
    if not len(hashes) or not hashes.isin(list(known)).all():
        return None
    return pd.DataFrame([known[digest] for digest in hashes], index=table.tasks["name"].to_numpy())


def _of_predictor(
    name: str, table: MetaDataset, images: Mapping[str, ImageTask], families: Iterable[str]
) -> pd.DataFrame:
    """The scores that a predictor gives for each complete task, by its images."""
    predictor, parts, seen = Predictor.load(name), [], []
    if differences := predictor.fingerprint.differences(table.fingerprint, "in the predictor", "in the table"):
        LOGGER.warning("%s is judged under other circumstances than its own: %s", name, "; ".join(differences))
    keys = [config_key(config) for config in table.configs]
    for family in families:
        for row in complete_rows(table, family):
            task = str(table.tasks["name"].iloc[row])
            if task not in images:
                raise MetaDatasetError(
                    f"predictor {name!r} needs the images of task {task!r}; name the folder of all tasks with --images"
                )
            ranking = predictor.rank(images[task], table.configs)
            seen += [task] if ranking.seen else []
            scores = dict(zip(map(config_key, ranking.configs), ranking.scores, strict=True))
            values = (name, 0, family, task, keys, np.array([scores[key] for key in keys], dtype=np.float32))
            parts.append(pd.DataFrame(dict(zip(LOO_COLUMNS, values, strict=True))))
    if not parts:
        raise MetaDatasetError("judging a predictor needs a task on which every configuration was trained")
    if seen:
        LOGGER.warning(
            "%s has seen %d of these tasks in meta-training (%s): what it reaches on them is no prediction",
            name,
            len(seen),
            ", ".join(seen[:5]),
        )
    return pd.concat(parts, ignore_index=True)
