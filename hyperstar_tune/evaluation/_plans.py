"""Hyperband with its least aggressive bracket first: an answer to small budgets, not part of Li et al."""

from functools import cached_property

from hyperstar_tune.plan import Bracket, HyperBandPlan

__all__ = ["LeastAggressiveFirst"]


class LeastAggressiveFirst(HyperBandPlan):
    """The same brackets in the opposite order: configurations go straight to the maximum epochs first."""

    @cached_property
    def brackets(self) -> tuple[Bracket, ...]:
        """One pass, least aggressive bracket first."""
        return tuple(reversed(super().brackets))

    @property
    def first_rung_epochs(self) -> int:
        """One configuration trained to the end: already a result."""
        return self.max_epochs
