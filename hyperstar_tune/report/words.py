"""How metrics and configurations are said to a person."""

from collections.abc import Mapping
from typing import Any

__all__ = ["listed", "metric_name"]


def metric_name(metric: str) -> str:
    """A metric as a person says it."""
    return metric.removeprefix("val_").replace("_", " ").replace("macro f1", "macro-F1")


def listed(config: Mapping[str, Any]) -> str:
    """A configuration in one line."""
    return ", ".join(f"{name}={value}" for name, value in config.items())
