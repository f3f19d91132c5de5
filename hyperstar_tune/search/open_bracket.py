"""A bracket of a plan while it runs: its rung, the trials in it, and what it still needs of the budget."""

from dataclasses import dataclass, field

from hyperstar_tune.plan import Bracket
from hyperstar_tune.search.ledger import TrialState

__all__ = ["OpenBracket"]


@dataclass
class OpenBracket:
    """A bracket that has begun and has not ended."""

    number: int  # counted from 0 over the whole run
    plan: Bracket
    free_slots: int  # of the first rung
    rung: int = 0
    members: dict[str, TrialState] = field(default_factory=dict)  # trials of the rung, in order of arrival
    pending: set[str] = field(default_factory=set)  # members that the rung waits for

    @property
    def epochs(self) -> int:
        """Epochs at which the rung ends."""
        return self.plan.rungs[self.rung].epochs

    @property
    def still_needs(self) -> int:
        """Epochs of its free slots and of its later rungs."""
        return self.free_slots * self.plan.rungs[0].epochs + sum(self.plan.rung_costs[self.rung + 1 :])
