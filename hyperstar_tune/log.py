"""Messages to the user: the logger ``hyperstar_tune``, visible by default and silenced like that of any library.

Python shows no message below WARNING unless the user configures logging. Messages of this library are meant to be read,
so its logger lets INFO pass and writes to stderr as long as nobody else handles them.

Source: Python's "Logging HOWTO", "Configuring Logging for a Library".
"""

import logging
import sys

__all__ = ["LOGGER", "show_messages"]

LOGGER = logging.getLogger("hyperstar_tune")


class _Fallback(logging.StreamHandler):
    """Writes to stderr, unless the user has a handler on our logger or on the root."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes to the stream that ``sys.stderr`` is at that moment."""
        if not logging.root.handlers and LOGGER.handlers == [self]:
            self.stream = sys.stderr
            super().emit(record)


def show_messages() -> None:
    """Makes messages visible; called once, when the package is imported."""
    if not LOGGER.handlers:
        handler = _Fallback()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        LOGGER.addHandler(handler)
    if LOGGER.level == logging.NOTSET:
        LOGGER.setLevel(logging.INFO)
