"""The course of the learning rate: one warm-up epoch, and then constant, a cosine, or constant until it settles.

With ``settle`` (also known as warm-up, stable, decay) the rate is constant for the first part of ``max_epochs`` and
falls linearly to zero over the last part. So every epoch before the fall is exactly that of a longer run, and the last
epoch is no draw from a noisy plateau. Rates change with every step. The fall counts from the beginning of a step, so
that the last step still has a rate above zero. A run that trains past ``max_epochs`` keeps that rate.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from hyperstar_tune.errors import ModelError

__all__ = ["SCHEDULES", "SETTLE_SHARE", "Schedule"]

SCHEDULES = ("constant", "cosine", "settle")
SETTLE_SHARE = 3 / 8  # of max_epochs, at their end, over which the rate falls to zero


@dataclass(frozen=True)
class Schedule:
    """A schedule by name.

    Raises:
        ModelError: If there is none of this name, or it needs ``max_epochs`` and has none.
    """

    name: str
    max_epochs: int | None = None  # R; "constant" needs none
    settle_share: float = SETTLE_SHARE

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise ModelError(f"schedule is one of {', '.join(SCHEDULES)}, but got {self.name!r}")
        if self.name != "constant" and self.max_epochs is None:
            raise ModelError(f"schedule must be 'constant' where max_epochs is None, but got {self.name!r}; give both")
        if not 0 < self.settle_share <= 1:
            raise ModelError(f"settle_share must be a number in (0, 1], but got {self.settle_share!r}")

    def rate(self, lr: float, epoch: int, step: int, n_steps: int) -> float:
        """Rate of a step (from 0) in an epoch (from 1) of ``n_steps`` steps; ``lr`` is the rate after the warm-up."""
        if epoch == 1:
            return lr * (step + 1) / n_steps
        if self.name == "constant" or self.max_epochs is None:
            return lr
        # Epochs that have passed when the step begins; after the last step they stand still.
        passed = min(epoch - 1 + step / n_steps, self.max_epochs - 1 / n_steps)
        first = 1.0 if self.name == "cosine" else max(1.0, self.max_epochs * (1 - self.settle_share))
        if passed <= first:
            return lr
        share = (passed - first) / (self.max_epochs - first)
        return lr * (0.5 + 0.5 * math.cos(math.pi * share) if self.name == "cosine" else 1 - share)

    def __str__(self) -> str:
        """The text that fingerprints have of it."""
        if self.name != "settle":
            return f"{self.name}, one warm-up epoch"
        return f"settling over the last {Fraction(self.settle_share).limit_denominator(1000)}, one warm-up epoch"
