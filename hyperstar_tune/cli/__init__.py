"""The ``hyperstar`` command: arguments for the rooms below, nothing else. One file for each noun."""

from hyperstar_tune.cli import (
    collections,
    importances,
    metadatasets,
    methods,
    plans,
    predictors,
    records,
    reports,
    tasks,
    tuning,
)
from hyperstar_tune.cli.app import app, main

__all__ = [
    "app",
    "collections",
    "importances",
    "main",
    "metadatasets",
    "methods",
    "plans",
    "predictors",
    "records",
    "reports",
    "tasks",
    "tuning",
]
