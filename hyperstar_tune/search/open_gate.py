"""The gate of a run that Hyperband does not schedule: every searcher has a gate, and works in one way only."""

import math
from typing import Any, Literal

from hyperstar_tune.search.ledger import Ledger, TrialState

__all__ = ["OpenGate"]


class OpenGate(Ledger):
    """Always has a slot for a new trial, as long as fewer than ``max_concurrent`` trials are live.

    Args:
        max_concurrent: Trials that may be live at a time; None: any number.
    """

    is_open: Literal[True] = True
    repeats = False  # a configuration that comes again is a new trial
    bracket = 0

    def __init__(self, max_concurrent: int | None = None) -> None:
        super().__init__(math.inf, max_concurrent)

    def has_free_slot(self) -> bool:
        """Whether a new trial may start."""
        return self.has_room and not self.finished

    def claim(self, key: Any) -> bool:
        """Always False, as no trial is stored for later."""
        return False

    def admit(self, trial_id: str, key: Any = None) -> None:
        """Counts a new trial as live."""
        self.trials[trial_id] = TrialState(trial_id)
        self.running.add(trial_id)

    def note(self, trial_id: str, epoch: int) -> None:
        """Remembers how far a trial is."""
        trial = self.trials[trial_id]
        trial.epochs = max(trial.epochs, epoch)

    def close_slots(self) -> None:
        """Notes that there is no further configuration."""
        self.finished = True
