"""The parts of a replay: a trial, as searchers and schedulers see it, and the learning curves that it follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hyperstar_tune.space import Config

__all__ = ["ERROR", "PAUSED", "PENDING", "RUNNING", "TERMINATED", "Curves", "ReplayTrial"]

PENDING, RUNNING, PAUSED, TERMINATED, ERROR = "PENDING", "RUNNING", "PAUSED", "TERMINATED", "ERROR"  # Ray's Trial


class Curves(Protocol):
    """The learning curves that a controller plays back."""

    @property
    def max_epochs(self) -> int:
        """R, the last epoch of every curve."""

    def row(self, config: Config) -> int:
        """Number of a configuration's curve."""

    def result(self, row: int, epoch: int) -> Mapping[str, Any]:
        """What a trainable reports after an epoch."""

    def ends(self, row: int) -> Sequence[float]:
        """Seconds that a configuration has trained at the end of each epoch, with a 0 in front, shape [R + 1]."""


@dataclass(eq=False, slots=True)
class ReplayTrial:
    """A trial with everything that searchers and schedulers read of Ray's."""

    trial_id: str
    config: Config
    row: int  # row of its curve
    status: str = PENDING
    is_saving: bool = False  # it is about to be paused
    save_fails: bool = False
    last_result: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0  # at which it stands
    epochs: int = 0  # most that it ever had; those below are trained again after a fault
    checkpoint: int = 0  # epoch from which it would go on after a fault
    start_s: float = 0.0  # second at which it began to train on
    until: int = 0  # epoch at which it reports next

    def set_status(self, status: str) -> None:
        """Sets the status, as Ray's trial does."""
        self.status = status

    def is_finished(self) -> bool:
        """Whether it will not run again, under the name that Ray's trial uses."""
        return self.status in (ERROR, TERMINATED)

    def get_trainable_cls(self) -> type:
        """Class of its trainable; there is none in a replay."""
        return object

    def __repr__(self) -> str:
        return self.trial_id
