"""A small world to replay in."""

from replay_world import curves, table

__all__ = ["curves", "table"]
