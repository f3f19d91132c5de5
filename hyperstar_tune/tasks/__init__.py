"""Image-classification tasks: labelled images in a training and a validation split, and a check of folders."""

from hyperstar_tune.tasks.check import check_folder
from hyperstar_tune.tasks.report import TaskReport
from hyperstar_tune.tasks.sources import read_square
from hyperstar_tune.tasks.task import SUB_TASKS, ImageTask

__all__ = ["SUB_TASKS", "ImageTask", "TaskReport", "check_folder", "read_square"]
