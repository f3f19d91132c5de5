"""A predictor on disk: a directory with ``card.json`` and ``weights.safetensors``.

The card carries the SHA-256 of the weights and of itself. Nothing is pickled, so opening a stranger's file runs none of
their code.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from hyperstar_tune._files import write_file
from hyperstar_tune.errors import PredictorError

__all__ = ["CARD", "SCHEMA", "WEIGHTS", "read_artifact", "write_artifact"]

SCHEMA = 1
CARD = "card.json"
WEIGHTS = "weights.safetensors"


def write_artifact(directory: Path, card: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Writes both files, the card last: until the card is there, a new directory is no predictor.

    Returns:
        The card as it was written.
    """
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    card = {key: value for key, value in card.items() if key != "sha256"}
    card |= {"schema": SCHEMA, "weights": _about(content)}
    card["sha256"] = _card_hash(card)
    write_file(directory / WEIGHTS, content)
    write_file(directory / CARD, (json.dumps(card, indent=1) + "\n").encode())
    return card


def read_artifact(directory: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Reads and verifies both files.

    Raises:
        PredictorError: If one is missing, damaged, of an unknown schema version or changed after it was written.
    """
    card_bytes, content = _read(directory / CARD), _read(directory / WEIGHTS)
    try:
        card = json.loads(card_bytes)
    except (ValueError, RecursionError) as error:
        raise PredictorError(f"{directory / CARD} must be JSON, but: {error}; fetch the predictor again") from error
    if not isinstance(card, dict) or "schema" not in card:
        raise PredictorError(f"{directory / CARD} is no predictor's card: it states no schema version")
    if card["schema"] != SCHEMA:
        raise PredictorError(
            f"a predictor's schema version must be {SCHEMA}, but {directory} has {card['schema']!r}; "
            "use the version of hyperstar_tune that wrote it"
        )
    if card.get("sha256") != _card_hash(card):
        raise PredictorError(f"{directory / CARD} was changed after it was written; fetch the predictor again")
    if card.get("weights") != _about(content):
        raise PredictorError(
            f"{directory / WEIGHTS} is not the file its card describes (it has {len(content)} bytes); "
            "fetch the predictor again"
        )
    try:
        return card, load(content)
    except (SafetensorError, ValueError, KeyError, AssertionError) as error:  # the last two: types torch does not have
        raise PredictorError(f"{directory / WEIGHTS} is no safetensors file: {error}") from error


def _about(content: bytes) -> dict[str, Any]:
    return {"file": WEIGHTS, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _card_hash(card: dict[str, Any]) -> str:
    stated = {key: value for key, value in card.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PredictorError(f"a predictor needs the file {path.name}, but {path.parent} has none to read") from error
