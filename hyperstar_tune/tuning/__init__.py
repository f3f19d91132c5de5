"""From a folder of images to a model in use: what ``hyperstar tune`` does, over the rooms below."""

from hyperstar_tune.tuning.options import OPTIONS_FILE, TuneOptions
from hyperstar_tune.tuning.run import find_run, new_run, tune_folder

__all__ = ["OPTIONS_FILE", "TuneOptions", "find_run", "new_run", "tune_folder"]
