"""What a person does without a tuner: it stands beside every method, replayed on a table or on a second one beside it.

Source: docs/protocol.md, protocol 2.
"""

from collections.abc import Sequence
from pathlib import Path

from hyperstar_tune.comparison import by_hand as methods
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.space import Config
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["BY_HAND", "EXPERTS_RACE", "WITHOUT_US", "load", "replayed_by_hand", "table_by_hand"]

WITHOUT_US = (*methods.BY_HAND, *methods.EXPERTS_RACE)  # names of methods

_LABELS = {
    "untuned default, 64 px": "untuned_default",
    "untuned default, 96 px": "untuned_default_96px",
    "last stage, 64 px": "last_stage_by_hand",
    "last stage, 96 px": "last_stage_by_hand_96px",
    "head alone, 64 px": "head_alone",
    "the tutorial's SGD, 64 px": "tutorial_sgd",
}
BY_HAND: dict[str, Config] = {label: methods.BY_HAND[name] for label, name in _LABELS.items()}
# Two configurations for a quarter of R each; the better one goes on to R.
EXPERTS_RACE = {
    "expert's race, 64 px": ("untuned default, 64 px", "last stage, 64 px"),
    "expert's race, 96 px": ("untuned default, 96 px", "last stage, 96 px"),
}


def load(path: Path, complete_only: bool = True) -> MetaDataset:
    """A table, or the finished tasks of a collection; all that it has so far if not ``complete_only``."""
    if (path / "collection.json").exists():
        return MetaDataset.from_collection(path, complete_only)
    return MetaDataset.load(path)


def table_by_hand(table: Path) -> Path | None:
    """The table or collection of these configurations that lies beside a table, if there is one."""
    beside = (table.with_name(f"{table.name}-by-hand{kind}") for kind in ("", ".collection"))
    return next((path for path in beside if path.exists()), None)


def replayed_by_hand(
    wanted: Sequence[str], table: MetaDataset, second: Path | None, tasks: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Of some methods those of ``WITHOUT_US`` that must be replayed on a second table, and those that cannot be.

    Args:
        wanted: Names of methods.
        table: The table that all other methods are replayed on.
        second: A table or collection of these configurations, if there is one.
        tasks: The tasks to be replayed.
    """
    lacking = [name for name in wanted if name in WITHOUT_US and not _held(name, table)]
    hand = load(second) if second is not None else None
    if hand is None or set(tasks) - set(hand.tasks["name"]):
        return [], lacking
    typed = [name for name in lacking if _held(name, hand)]
    return typed, [name for name in lacking if name not in typed]


def _held(name: str, table: MetaDataset) -> bool:
    """Whether a table has all configurations of a method."""
    try:
        found = [methods.by_hand(one, table.space) for one in methods.EXPERTS_RACE.get(name, (name,))]
    except SpaceError:
        return False
    return all(config in table.configs for config in found)
