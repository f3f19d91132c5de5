"""A little world of striped and smooth images."""

from striped_world import artifact, predictor, quick, small_world, world, worlds

__all__ = ["artifact", "predictor", "quick", "small_world", "world", "worlds"]
