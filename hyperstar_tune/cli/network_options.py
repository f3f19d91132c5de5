"""Options of the commands that train a network: how its images are normalized, and its further arguments."""

import ast
import sys
from typing import Any

import typer

from hyperstar_tune.errors import ModelError

__all__ = ["MEAN_HELP", "MODEL_ARG_HELP", "STD_HELP", "model_arguments", "normalization"]

MEAN_HELP = "Mean of RGB in [0, 1] that the weights want: R,G,B."
STD_HELP = "Standard deviation of RGB that the weights want: R,G,B."
MODEL_ARG_HELP = "Further argument of the network, NAME=VALUE. May be repeated."
_KNOWN = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
_NAMED_WEIGHTS = ("hub", "package", "own")

Triple = tuple[float, float, float]


def normalization(weights: str | None, mean: str | None, std: str | None) -> tuple[Triple | None, Triple | None]:
    """Mean and standard deviation of RGB from a command line; None: as the library says.

    A file of weights does not say how its images were normalized. On a terminal the user is asked, elsewhere it is an
    error.

    Raises:
        ModelError: If they are not three numbers each, one is missing, or they are unknown.
    """
    if (mean is None) != (std is None):
        raise ModelError("--mean and --std go together, but only one is given")
    if mean is not None and std is not None:
        return _triple("mean", mean), _triple("std", std)
    if weights in (None, *_NAMED_WEIGHTS):
        return None, None
    question = (
        f"how were the images normalized that {weights} was trained on? imagenet (mean 0.485,0.456,0.406, deviation "
        "0.229,0.224,0.225), half (0.5 and 0.5), none (0 and 1)"
    )
    if not sys.stdin.isatty():
        raise ModelError(f"a file of weights needs --mean R,G,B and --std R,G,B: {question}")
    answer = typer.prompt(f"{question[0].upper()}{question[1:]}", default="imagenet")
    if answer not in _KNOWN:
        raise ModelError(f"the answer is one of {', '.join(_KNOWN)}, but got {answer!r}; or pass --mean and --std")
    return _KNOWN[answer]


def model_arguments(texts: list[str] | None) -> dict[str, Any]:
    """Arguments of a network from ``NAME=VALUE``, where a value is a Python literal or text.

    Raises:
        ModelError: If one has no name or no value.
    """
    arguments = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not name.isidentifier() or not equals:
            raise ModelError(f"--model-arg is NAME=VALUE, but got {text!r}")
        try:
            arguments[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[name] = value
    return arguments


def _triple(name: str, text: str) -> Triple:
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError:
        raise ModelError(f"--{name} is three numbers R,G,B, but got {text!r}") from None
    if name == "std" and min(red, green, blue) <= 0:
        raise ModelError(f"--std must be positive, but got {text!r}")
    return red, green, blue
