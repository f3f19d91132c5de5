"""How numbers and configurations are said to a person."""

from collections.abc import Mapping
from typing import Any

__all__ = ["as_duration", "listed", "metric_name"]


def as_duration(seconds: float) -> str:
    """Seconds as a person says them: ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def metric_name(metric: str) -> str:
    """A metric as a person says it."""
    return metric.removeprefix("val_").replace("_", " ").replace("macro f1", "macro-F1")


def listed(config: Mapping[str, Any]) -> str:
    """A configuration in one line."""
    return ", ".join(f"{name}={value}" for name, value in config.items())
