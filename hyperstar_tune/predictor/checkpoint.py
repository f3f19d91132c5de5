"""Checkpoints of meta-training, which are whole or absent, and never taken for those of another run."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperstar_tune._files import replacing
from hyperstar_tune.errors import PredictorError, first_line

__all__ = ["identity", "read", "write"]

_FORMAT = 2  # of what a checkpoint holds: one of another format belongs to another run


def identity(run: dict[str, Any], *tensors: Tensor) -> str:
    """A hash of everything that a run depends on."""
    about = {"format": _FORMAT, **run}
    parts = [json.dumps(about, sort_keys=True).encode(), *(tensor.cpu().numpy().tobytes() for tensor in tensors)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def write(path: Path, run: str, state: dict[str, Any]) -> None:
    """Writes a checkpoint. A kill while it is written leaves the one before."""
    with replacing(path) as file:
        torch.save({"run": run, "state": state}, file)


def read(path: Path, run: str) -> dict[str, Any]:
    """The state in a checkpoint of this very run.

    Raises:
        PredictorError: If it is damaged or belongs to another run.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        of_run, state = content["run"], content["state"]
    except Exception as error:  # torch, zipfile and the unpickler raise whatever they meet
        raise PredictorError(
            f"checkpoint {path} is damaged: {first_line(error)[:120]}; remove it to start again"
        ) from error
    if of_run != run:
        raise PredictorError(
            f"checkpoint {path} is of a run with another table, tasks or settings; remove it or write elsewhere"
        )
    return dict(state)
