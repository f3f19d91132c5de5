"""Ends a process that hangs, because a stuck data loader, file system or driver would hold its slot for ever."""

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["time_limit"]


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Ends the whole process with code 1 if the body takes longer, after writing where every thread is.

    This works even while Python itself cannot run, because the clock is a thread of C. A process has one limit at a
    time; None is no limit.
    """
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
