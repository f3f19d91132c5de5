"""A little world of striped and smooth images, and one of recorded curves."""

from replay_world import curves, table
from striped_world import quick, small_world, world, worlds

__all__ = ["curves", "quick", "small_world", "table", "world", "worlds"]
