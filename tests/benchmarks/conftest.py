"""A little world of striped and smooth images, and the scripts of this project's own scoreboard."""

import sys
from pathlib import Path

from striped_world import artifact, predictor, quick, small_world, world, worlds

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

__all__ = ["artifact", "predictor", "quick", "small_world", "world", "worlds"]
