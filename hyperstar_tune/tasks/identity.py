"""What a task's data are, in a few numbers that are kept beside results, and what has changed since.

A run that goes on with other labels or images mixes two tasks, and no result shows it. So a task's identity is kept in
every saved state and collection. It covers class names, all labels, and the path and size of all files of both splits,
with the content of 512 of them. So new content of the same size in one of a hundred files is noticed in 99 % of the
cases. The test folder does not belong to it, as nothing is chosen by it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks.sources import Source, in_threads

__all__ = ["data_changes", "identity_of", "refuse_changed_data"]

_CONTENTS = 512  # images whose content is read
_THREADS = 32
_SHOWN = 5  # classes
Identity = dict[str, Any]  # plain values, as JSON has them


class _Task(Protocol):
    classes: tuple[str, ...]
    sources: dict[str, Source]

    def labels(self, split: str) -> np.ndarray: ...


def identity_of(task: _Task) -> Identity:
    """The identity of a task: its classes, a digest of all images, and of each split their number and a digest.

    The digest of all images covers sizes and contents, whatever names and labels they have. That of a split covers
    names and labels. So images that were exchanged between classes change the second alone.
    """
    places, sizes = [], []
    of_splits: dict[str, Any] = {}
    for split, source in sorted(task.sources.items()):
        labels = task.labels(split).tolist()
        stamps = in_threads(source.stamp, range(len(labels)), f"looking at files of {split}", _THREADS)
        named = [f"{place}\0{size}\0{label}" for (place, size), label in zip(stamps, labels, strict=True)]
        of_splits[split] = {"n": len(labels), "labels": _digest(sorted(named))}
        places += [(split, index) for index in range(len(labels))]
        sizes += [(place.rpartition("/")[2], size) for place, size in stamps]
    # The sample depends on names without their folder and on sizes: it is the same in whatever class or split they are.
    ranks = [_digest(name_and_size) for name_and_size in sizes]
    sample = [places[i] for i in sorted(range(len(ranks)), key=ranks.__getitem__)[:_CONTENTS]]
    contents = in_threads(lambda place: task.sources[place[0]].raw(place[1]), sample, "reading files", _THREADS)
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    images = _digest([*sorted(size for _, size in sizes), *sorted(digests)])
    return {"classes": list(task.classes), "images": images, **of_splits}


def data_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What has changed between two identities, one text for each difference; nothing if they are the same."""
    found = []
    for what, one, other in (("added", now, before), ("gone", before, now)):
        known = set(other["classes"])
        names = [name for name in one["classes"] if name not in known]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            found.append(f"classes {what}: {', '.join(names[:_SHOWN])}{more}")
    if not found and before["classes"] != now["classes"]:
        found.append("the classes have another order")
    splits = (("train", "training"), ("val", "validation"))
    for split, name in splits:
        if before[split]["n"] != now[split]["n"]:
            found.append(f"{now[split]['n']} {name} images instead of {before[split]['n']}")
    if not found and before["images"] != now["images"]:
        found.append("the content of images is another")
    if not found:
        changed = [name for split, name in splits if before[split] != now[split]]
        found += [f"{' and '.join(changed)} images have other labels or names"] if changed else []
    return found


def refuse_changed_data(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None, what: str) -> None:
    """Refuses to go on with other data than before; what has no identity is not judged.

    Args:
        before: The identity in a saved state, which is None in those of earlier versions.
        now: The identity of the data at hand.
        what: What was saved, for the message: ``"the saved run"``.

    Raises:
        TaskError: If they differ, naming how.
    """
    if before is None or now is None:
        return
    changes = data_changes(before, now)
    if changes:
        raise TaskError(
            f"the data may not change under {what}, but since then: {'; '.join(changes)}; begin anew, or pass "
            "accept_changed_data=True if you know that it is all the same"
        )


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
