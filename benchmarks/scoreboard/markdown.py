"""What pages of results are made with: the committed JSON, and tables in Markdown."""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hyperstar_tune.comparison.methods import current_names

__all__ = ["committed", "markdown"]

RESULTS = Path(__file__).resolve().parents[1] / "results"


@cache
def committed(name: str) -> dict[str, Any]:
    """A result by the name of its file, under today's names of methods."""
    return current_names(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"
