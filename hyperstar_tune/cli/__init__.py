"""The ``hyperstar`` command: arguments for the rooms below, nothing else. One file for each noun."""

from hyperstar_tune.cli import collections, metadatasets, methods, plans, predictors, tasks, tuning
from hyperstar_tune.cli.app import app, main

__all__ = ["app", "collections", "main", "metadatasets", "methods", "plans", "predictors", "tasks", "tuning"]
