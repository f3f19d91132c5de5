"""Targets of the fuzz that come from a user's own script: Ray's dict spaces, and what trials report as their metric."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune

from hyperstar_tune import RandomSearcher
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.search import from_ray, to_ray
from hyperstar_tune.search.results import reported_number

SOUND_SPACE = {
    "train": {"lr": ["loguniform", 1e-4, 0.1], "momentum": ["quniform", 0, 1, 0.25], "epochs": 3},
    "depth": ["randint", 1, 9],
    "width": ["qlograndint", 8, 128, 8],
    "warmup": ["lograndint", 1, 50],
    "decay": ["qloguniform", 1e-4, 0.1, 1e-4],
    "dropout": ["uniform", 0, 0.5],
    "batch": ["qrandint", 16, 64, 16],
    "optimizer": ["choice", ["sgd", "adamw", "sgd"]],
    "layers": ["choice", [[64, 32], [128], None, "all"]],
}
SOUND_RESULT = {"acc": 0.5, "loss": [1, 2], "note": {"acc": "0.5"}}
_DOMAINS = (
    "uniform",
    "loguniform",
    "quniform",
    "qloguniform",
    "randint",
    "lograndint",
    "qrandint",
    "qlograndint",
    "choice",
)
_NUMBERS = (0, 1, -1, 1.0, True, 1e-320, 1e308, -1e308, 2**63, 10**400, 1e-9, 3, "1", None)


def draw_space(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """A space whose domains have other bounds, steps and values, or that is damaged as a whole."""
    from _fuzz_targets import damage_json  # which imports this file

    if chance.random() < 0.3:
        return {"space.json": damage_json(files["space.json"], chance)}
    data = json.loads(files["space.json"])
    for holder in (data, data["train"]):
        for domain in holder.values():
            if isinstance(domain, list) and chance.random() < 0.3:
                place = chance.randrange(1, len(domain))
                values = domain[place]
                if isinstance(values, list):
                    values.insert(chance.randrange(len(values) + 1), chance.choice(_NUMBERS))
                else:
                    domain[place] = chance.choice((*_NUMBERS, domain[-1], domain[1]))
    return {"space.json": json.dumps(data).encode()}


def read_space(folder: Path) -> None:
    """Takes a space, and draws from it: every value must lie in it, and both ways of writing it must agree."""
    try:
        config = _domains(json.loads((folder / "space.json").read_text()))
    except (RecursionError, json.JSONDecodeError) as error:
        raise SpaceError("nested too deeply") from error
    if not isinstance(config, dict):
        raise SpaceError("no space")
    space = from_ray(config).space
    if space is None:
        return
    drawn = space.draw(20, 0)
    for one in drawn:
        space.check(one)
    assert np.isfinite(space.encode(drawn)).all()
    assert from_ray(to_ray(space)).space.difference(space) == ""
    searcher = RandomSearcher(config)
    for number in range(5):
        searcher.suggest(f"t{number}")


def _domains(data: Any) -> Any:
    """The space with Ray's domains; what Ray itself refuses counts as refused."""
    if isinstance(data, dict):
        return {key: _domains(value) for key, value in data.items()}
    if isinstance(data, list) and data and data[0] in _DOMAINS:
        try:
            return getattr(tune, data[0])(*data[1:])
        except Exception as error:
            raise SpaceError("Ray refuses it") from error
    return data


def draw_result(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """A result whose metric is something else."""
    from _fuzz_targets import damage_json

    return {"result.json": damage_json(files["result.json"], chance)}


def read_result(folder: Path) -> None:
    """Reads the metric as it is, and as NumPy has it."""
    try:
        result = json.loads((folder / "result.json").read_text())
    except (RecursionError, json.JSONDecodeError) as error:
        raise SpaceError("nested too deeply") from error
    value = result.get("acc") if isinstance(result, dict) else result
    number = reported_number("acc", {"acc": value})
    if number is not None:
        assert reported_number("acc", {"acc": np.float64(number)}) == number or number != number
