"""Ends a process that hangs: a stuck data loader, file system or driver call holds a slot of the cluster for ever."""

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["time_limit"]


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Ends the whole process with code 1 if the body takes longer, after writing where every thread stands.

    Works while Python itself cannot run, since the clock is a thread of C. One limit at a time in a process.

    Args:
        seconds: None: no limit.
    """
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
