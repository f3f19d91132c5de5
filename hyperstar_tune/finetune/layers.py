"""Which layers of any image network are the head and the last stage, and how to train them without running the rest.

Nothing here knows a network by name. The network is run once on a probe image. Its *units* are the children of its
sequences (what encloses the classifier is opened up). They are listed in the order in which they run, with the spatial
resolution of their output. Then

* ``head`` is the classifier,
* ``last_stage`` is every unit from the first one at the final resolution onward (so a stage's strided first block
  belongs to it, and so do a last 1 x 1 convolution, norms and the head); in a network of one resolution after its stem,
  such as a vision transformer, it is the last third of the units at that resolution,
* ``all`` is everything.

``Split`` runs the frozen units before the first trained one once, so that their output can be kept. Later it runs only
the other units: stand-ins for the frozen units hand on an empty tensor of the right shape, and the kept features enter
at the first trained unit. A check on a random input shows whether this gives the same logits.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, cast

import torch
from torch import Tensor, nn

from hyperstar_tune.errors import ModelError, first_line

__all__ = ["GROUPS", "LayerGroups", "Split", "find_groups", "layers_to_head", "set_trained"]

GROUPS = ("head", "last_stage", "all")
_PROBE_SIZE = 128  # pixels, enough for a network of stride 32 to have several resolutions
_MIN_UNITS = 4  # with fewer units no stages can be told apart, and the largest unit is opened


@dataclass(frozen=True)
class Unit:
    """One step of a network in a forward pass."""

    name: str
    positions: int  # spatial positions or tokens of its output; 1 once pooled
    has_parameters: bool


@dataclass(frozen=True)
class LayerGroups:
    """Names of the units of a network, in order of execution, and where each group of layers starts."""

    units: tuple[Unit, ...]
    head: tuple[str, ...]  # classifier modules
    last_stage_start: int  # index into units

    def trained(self, layers: str) -> tuple[str, ...]:
        """Module names that are trained; ``("",)``, the network itself, for ``"all"``.

        Raises:
            ModelError: If there is no such group.
        """
        if layers not in GROUPS:
            raise ModelError(f"layers to fine-tune are one of {', '.join(GROUPS)}, but got {layers!r}")
        if layers == "all":
            return ("",)
        if layers == "head":
            return self.head
        names = [unit.name for unit in self.units[self.last_stage_start :] if unit.has_parameters]
        return (*names, *(h for h in self.head if h not in names))


def find_groups(model: nn.Module, image_size: int) -> LayerGroups:
    """Finds head and last stage of a classification network, with its new head, by running it once on the CPU.

    The probe has 128 pixels, or the ``image_size`` if that is larger or the network refuses the former.

    Raises:
        ModelError: If the network cannot run on square RGB images or has no classifier layer at its end.
    """
    units: list[Unit] = []
    head: tuple[str, ...] = ()
    for size in dict.fromkeys((max(_PROBE_SIZE, image_size), image_size)):
        probe = torch.zeros(1, 3, size, size)
        try:
            head = _find_head(model, probe)
            units = _trace(model, probe, head)
            break
        except ModelError:
            raise
        except (RuntimeError, AssertionError, ValueError) as error:
            if size == image_size:
                why = first_line(error)
                raise ModelError(f"the network must run on RGB images of {size} pixels, but: {why}") from error
    return LayerGroups(tuple(units), head, _last_stage_start(units, head))


def set_trained(model: nn.Module, names: tuple[str, ...]) -> list[nn.Parameter]:
    """Trains the named modules and freezes the rest, in evaluation mode; returns the trained parameters."""
    model.eval().requires_grad_(False)
    parameters: dict[int, nn.Parameter] = {}
    for name in names:
        module = model.get_submodule(name)
        module.train().requires_grad_(True)
        parameters.update((id(p), p) for p in module.parameters())
    return list(parameters.values())


def layers_to_head(model: nn.Module, groups: LayerGroups) -> dict[str, int]:
    """The number of layers (blocks) from each parameter to the head, whose own parameters have 0.

    A unit that has only norms belongs to the unit before it. A parameter outside all units (such as a class token)
    belongs to the first unit.
    """
    depths: dict[str, int] = {}
    depth = 0
    for unit in groups.units:
        if unit.name in groups.head:
            continue
        named = dict(model.get_submodule(unit.name).named_parameters(prefix=unit.name))
        depth += any(p.ndim > 1 for p in named.values())
        depths.update(dict.fromkeys(named, depth))
    heads = tuple(f"{name}." for name in groups.head)
    return {
        name: 0 if name.startswith(heads) else depth + 1 - max(1, depths.get(name, 1))
        for name, _ in model.named_parameters()
    }


class Split:
    """A network cut before its first trained unit."""

    def __init__(self, model: nn.Module, groups: LayerGroups, trained: tuple[str, ...], image_size: int) -> None:
        names = [unit.name for unit in groups.units]
        entry = min((names.index(name) for name in trained if name in names), default=0)
        self.model = model
        self.image_size = image_size
        self._entry = model.get_submodule(groups.units[entry].name)
        self._frozen = [model.get_submodule(unit.name) for unit in groups.units[:entry]]
        self._shapes: list[tuple[int, ...]] = []
        self.works = entry > 0 and self._check()

    def prefix(self, images: Tensor) -> Tensor:
        """Turns normalized images [B, 3, S, S] into the input of the first trained unit, [B, ...], without gradient."""

        def stop(_: nn.Module, args: tuple[Any, ...]) -> None:
            raise _EntryReachedError(*args)

        try:
            # Before the dropout of a head.
            with self._entry.register_forward_pre_hook(stop, prepend=True), torch.no_grad():
                self.model(images)
        except _EntryReachedError as reached:
            (features,) = reached.args
            return features.detach()
        raise ModelError("the first trained layer must run in every forward pass, but it did not")

    def suffix(self, features: Tensor) -> Tensor:
        """Logits [B, classes] from features of ``prefix``; the frozen units do not run."""
        n = len(features)
        nothing = features.new_zeros(1)
        images = nothing.expand(n, 3, self.image_size, self.image_size)
        for module, shape in zip(self._frozen, self._shapes, strict=True):
            module.__dict__["forward"] = partial(_answer, nothing.expand(n, *shape))  # found before the class's method
        try:
            with self._entry.register_forward_pre_hook(lambda _, args: (features, *args[1:]), prepend=True):
                return self.model(images)
        finally:
            for module in self._frozen:
                del module.__dict__["forward"]

    def _check(self) -> bool:
        """Whether prefix and suffix give the logits of the whole network."""
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(2, 3, self.image_size, self.image_size, generator=generator)
        images = images.to(next(self.model.parameters()).device)
        shapes: list[tuple[nn.Module, tuple[int, ...]]] = []
        try:
            with _evaluating(self.model):
                with _hooked(self._frozen, lambda module, _, output: shapes.append((module, tuple(output.shape[1:])))):
                    whole = self.model(images)
                if len(shapes) != len(self._frozen):
                    return False
                self._shapes = [dict(shapes)[module] for module in self._frozen]
                parts = self.suffix(self.prefix(images))
            return torch.allclose(whole, parts, rtol=1e-3, atol=1e-4)
        except (RuntimeError, AttributeError, TypeError, ValueError, AssertionError):
            return False  # the units are not a chain; callers run the whole network instead


class _EntryReachedError(Exception):
    """Carries the input of the first trained unit out of a forward pass that need not go any further."""


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module has the mode that it had."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _hooked(modules: Iterable[nn.Module], hook: Callable[[nn.Module, Any, Any], None]) -> Iterator[None]:
    """Calls a hook after every forward pass of some modules."""
    with ExitStack() as handles:
        for module in modules:
            handles.enter_context(module.register_forward_hook(hook))
        yield


def _answer(output: Tensor, *_: Any, **__: Any) -> Tensor:
    return output


def _find_head(model: nn.Module, probe: Tensor) -> tuple[str, ...]:
    names = {module: name for name, module in model.named_modules()}
    if hasattr(model, "get_classifier"):  # timm's own answer
        found = cast(Any, model).get_classifier()
        heads = found if isinstance(found, tuple | list) else (found,)
        if heads and all(isinstance(h, nn.Module) and h in names and any(True for _ in h.parameters()) for h in heads):
            return tuple(names[h] for h in heads)
    called: list[nn.Module] = []
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    with _hooked(layers, lambda layer, *_: called.append(layer)):
        logits = _run(model, probe)
    for layer in reversed(called):
        width = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        if width == logits.shape[-1]:
            return (names[layer],)
    raise ModelError(f"a network needs a classifier layer at its end, but {type(model).__name__} has none")


def _trace(model: nn.Module, probe: Tensor, head: tuple[str, ...]) -> list[Unit]:
    opened: set[str] = set()
    while True:
        names = {model.get_submodule(name): name for name in _unit_names(model, "", head, opened)}
        outputs: dict[str, Tensor] = {}

        def record(module: nn.Module, _: Any, output: Any, names: Any = names, outputs: Any = outputs) -> None:
            tensor = output[0] if isinstance(output, tuple | list) else output
            if isinstance(tensor, Tensor):
                outputs.setdefault(names[module], tensor)

        with _hooked(names, record):
            _run(model, probe)
        units = [
            Unit(name, _positions(output), any(True for _ in model.get_submodule(name).parameters()))
            for name, output in outputs.items()
        ]
        body = [u for u in units if u.has_parameters and u.name not in head]
        closed = [u for u in body if any(True for _ in model.get_submodule(u.name).children())]
        if len(body) >= _MIN_UNITS or not closed:
            return units
        opened.add(max(closed, key=lambda u: sum(p.numel() for p in model.get_submodule(u.name).parameters())).name)


def _unit_names(module: nn.Module, prefix: str, head: tuple[str, ...], opened: set[str]) -> list[str]:
    names: list[str] = []
    for child_name, child in module.named_children():
        name = f"{prefix}{child_name}"
        encloses_head = any(h.startswith(f"{name}.") for h in head)
        is_sequence = isinstance(child, nn.Sequential | nn.ModuleList)
        if name not in head and (encloses_head or is_sequence or name in opened):
            names += _unit_names(child, f"{name}.", head, opened)
        else:
            names.append(name)
    return names


def _positions(output: Tensor) -> int:
    if output.ndim == 3:  # [B, tokens, C]
        return output.shape[1]
    if output.ndim != 4:
        return 1
    _, a, b, c = output.shape
    return b * c if b == c else a * b  # [B, C, H, W], else [B, H, W, C]: probes are square


def _last_stage_start(units: list[Unit], head: tuple[str, ...]) -> int:
    body = [i for i, u in enumerate(units) if u.has_parameters and u.positions > 1 and u.name not in head]
    if not body:
        return next((i for i, u in enumerate(units) if u.name in head), 0)
    final = units[body[-1]].positions
    run = [body[-1]]
    for i in reversed(body[:-1]):
        if units[i].positions != final:
            break
        run.insert(0, i)
    coarser = {units[i].positions for i in body[: len(body) - len(run)]}
    if len(coarser) < 2:  # a stem and then one resolution: a transformer's blocks, a mixer's
        run = run[len(run) - ceil(len(run) / 3) :]
    return run[0]


def _run(model: nn.Module, probe: Tensor) -> Tensor:
    with _evaluating(model):
        logits = model(probe)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise ModelError(f"a network must answer with logits [B, classes], but {type(model).__name__} does not")
    return logits
