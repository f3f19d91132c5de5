"""Searches replayed on learning curves, in process and on a virtual clock."""

from hyperstar_tune.simulation import faults
from hyperstar_tune.simulation.controller import VirtualController
from hyperstar_tune.simulation.curves import TaskCurves
from hyperstar_tune.simulation.made_up import MadeUpCurves
from hyperstar_tune.simulation.replaying import Run, replay

__all__ = ["MadeUpCurves", "Run", "TaskCurves", "VirtualController", "faults", "replay"]
