"""Reads the weights in a file as training programs write them: wrapped in a checkpoint, and under longer names.

No code of a file is run: a pickle may hold tensors, plain values and an ``argparse.Namespace``, which timm's and
torchvision's programs store their options in, and nothing else.
"""

import argparse
import logging
import re
import textwrap
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from hyperstar_tune.errors import ModelError, first_line

__all__ = ["read_checkpoint"]

_logger = logging.getLogger("hyperstar_tune")

# Averaged weights come first, as in timm: they are what such a training is evaluated with.
_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "state_dict", "model", "model_state_dict")
_PREFIXES = ("module", "model", "net", "network", "backbone", "encoder")  # of DDP, Lightning and those in common use
_COMPILED = "_orig_mod."  # torch.compile puts it before the names of whatever it compiled


def read_checkpoint(path: Path, names: Collection[str]) -> dict[str, Tensor]:
    """The named tensors of a safetensors or torch file; what was unwrapped and renamed is logged in one line.

    Args:
        path: The file.
        names: The names that the network has; they decide which prefix of the file's names is taken away.

    Raises:
        ModelError: If the file cannot be read safely, or holds no tensors.
    """
    state, wrappers = _unwrap(_read(path))
    if not isinstance(state, dict) or not state or not _holds_tensors(state):
        raise ModelError(
            f"weights must be a dict of tensors, but {path} holds {_content(state)}; "
            "write torch.save(model.state_dict(), file)"
        )
    tensors = {str(k).replace(_COMPILED, ""): v for k, v in state.items()}
    tensors.pop("n_averaged", None)  # the counter of torch's AveragedModel
    prefix = _prefix(tensors, names)
    kept = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix) or k in names}
    done = [f"taken from {'.'.join(wrappers)}"] if wrappers else []
    stripped = [p for p in (_COMPILED if any(_COMPILED in str(k) for k in state) else "", prefix) if p]
    done += [f"without the prefix {' and '.join(stripped)}"] if stripped else []
    done += [f"without {len(tensors) - len(kept)} tensors that lack it"] if len(kept) < len(tensors) else []
    if done:
        _logger.info("weights in %s: %s", path, ", ".join(done))
    return {k: v.float() if v.is_floating_point() else v for k, v in kept.items()}


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise many kinds
        foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
        if foreign:
            why = f"it holds {foreign[1]}, which could run code; write torch.save(model.state_dict(), file)"
        else:
            why = textwrap.shorten(re.sub(r"\x1b\[[\d;]*m", "", first_line(error)), 120, placeholder="...")
        raise ModelError(f"weights must be a safetensors or torch file of tensors, but {path}: {why}") from error


def _unwrap(content: Any) -> tuple[Any, list[str]]:
    """What the known wrappers hold, or under other names the one dict of tensors; with the keys that lead there."""
    keys: list[str] = []
    while isinstance(content, dict) and not _holds_tensors(content):
        of_tensors = [k for k, v in content.items() if isinstance(v, dict) and v and _holds_tensors(v)]
        key = next((k for k in _WRAPPERS if isinstance(content.get(k), dict) and content[k]), None)
        if key is None and len(of_tensors) == 1:
            (key,) = of_tensors
        if key is None:
            break
        content = content[key]
        keys.append(str(key))
    return content, keys


def _holds_tensors(content: dict[Any, Any]) -> bool:
    return all(isinstance(v, Tensor) for v in content.values())


def _prefix(tensors: dict[str, Tensor], names: Collection[str]) -> str:
    """The prefix without which most names are the network's; where none are, the longest that all names have."""
    known = set(names)

    def fit(prefix: str) -> tuple[int, int]:
        inside = [k for k in tensors if k.startswith(prefix)]
        matches = sum(k.removeprefix(prefix) in known for k in inside)
        return matches, len(prefix) if not matches and len(inside) == len(tensors) else 0

    return max(sorted({p for k in tensors for p in _prefixes(k)}), key=fit)


def _prefixes(name: str) -> Iterator[str]:
    prefix = ""
    for word in name.split("."):
        yield prefix
        if word not in _PREFIXES:
            return
        prefix += f"{word}."


def _content(content: Any) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    shown = ", ".join(map(str, list(content)[:5]))
    return f"no dict of them under {shown}" if content else "an empty dict"
