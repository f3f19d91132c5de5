"""Finds out whether ``TaskAwareHyperBand`` can hold back a run's searcher, and says in one line why not."""

import sys
from typing import Any

from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.searcher import GatedSearcher

__all__ = ["find_gated"]


def find_gated(search_alg: Any, n_samples: int) -> GatedSearcher | None:
    """The searcher of a run, which will be the scheduler's gate.

    Args:
        search_alg: Ray's search algorithm, as its controller holds it.
        n_samples: ``num_samples`` of the run.

    Returns:
        None for Ray's variant generator, which has no searcher: the scheduler itself holds its trials back.

    Raises:
        SearchError: If the run would be no Hyperband, or stall.
    """
    outermost = getattr(search_alg, "searcher", None)
    if outermost is None:
        name, limit = type(search_alg).__name__, getattr(search_alg, "max_concurrent", 0)
        if n_samples >= sys.maxsize:
            raise SearchError(
                f"TaskAwareHyperBand cannot hold back the endless trials of a {name}; "
                "pass search_alg=RandomSearcher(space) or a finite num_samples"
            )
        if limit:
            raise SearchError(
                f"max_concurrent_trials={limit} makes a {name} that counts paused trials as running; "
                f"pass search_alg=RandomSearcher(space, max_concurrent={limit}) instead"
            )
        return None
    searcher, name = outermost, type(outermost).__name__
    while hasattr(searcher, "searcher") and not isinstance(searcher, GatedSearcher):
        searcher = searcher.searcher
    if not isinstance(searcher, GatedSearcher):
        raise SearchError(f"TaskAwareHyperBand cannot hold back a {name}; pass search_alg=Gated({name}(...))")
    if searcher is not outermost:
        raise SearchError(f"{type(searcher).__name__} cannot be wrapped in a {name}, which hides it; unwrap it")
    return searcher
