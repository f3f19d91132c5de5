"""A network on a device, some of whose layers are trained; the frozen layers before them can be run separately."""

import copy
import json
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.layers import LayerGroups, Split, find_groups, layers_to_head, set_trained
from hyperstar_tune.finetune.models import build_model, normalization
from hyperstar_tune.finetune.settings import FineTuneSettings

__all__ = ["Network"]


class Network:
    """Normalization, network and trained layers of one run; ``split`` is None if no frozen part can run separately.

    Args:
        settings: The network, its weights and images.
        n_classes: Outputs of the new head.
        layers: Group of layers that is trained.
        seed: Random seed of the new head.
        cache: Pretrained networks of this process.
        dropout: Probability that a feature is zeroed before it enters the head.
        batch_norm: ``"frozen"``: trained layers keep the pretrained statistics of batch normalization.

    Raises:
        ModelError: If the network cannot be built, or has no statistics to freeze.
    """

    def __init__(
        self,
        settings: FineTuneSettings,
        n_classes: int,
        layers: str,
        seed: int,
        cache: TensorCache,
        dropout: float,
        batch_norm: str = "train",
    ) -> None:
        kwargs = json.dumps(settings.model_kwargs, sort_keys=True, default=repr)
        about = (settings.model, str(settings.weights), settings.image_size, str(settings.normalization()), kwargs)
        self.key = (*about, layers)
        self.image_size = settings.image_size
        self.device = device = settings.torch_device()
        model, groups = cache.get(("network", *about, n_classes, seed), lambda: _pretrained(settings, n_classes, seed))
        # channels_last about doubles the speed of convolutions on a CPU too.
        self.model: nn.Module = copy.deepcopy(model).to(device=device, memory_format=torch.channels_last)
        self._groups: LayerGroups = groups
        self.head = groups.head  # names of the classifier's modules
        self._trained = groups.trained(layers)
        if dropout:
            for name in groups.head:
                self.model.get_submodule(name).register_forward_pre_hook(partial(_drop, dropout))
        self.parameters = set_trained(self.model, self._trained)
        trained = [module for name in self._trained for module in self.model.get_submodule(name).modules()]
        norms = [module for module in trained if isinstance(module, _BatchNorm)]
        if batch_norm == "frozen" and not norms:
            raise ModelError(
                f"batch_norm='frozen' needs batch normalization in the trained layers, but {settings.model} has none "
                f"in {layers!r}; leave batch_norm out"
            )
        self._frozen_norms = norms if batch_norm == "frozen" else []
        split = Split(self.model, groups, self._trained, self.image_size)
        self.split = split if split.works else None
        usual = dict(zip(("mean", "std"), normalization(self.model), strict=True))
        self.normalization = {name: given or usual[name] for name, given in settings.normalization().items()}
        self._mean, self._std = (
            torch.tensor(self.normalization[name], device=device).view(1, 3, 1, 1) for name in ("mean", "std")
        )
        self.amp_dtype: torch.dtype | None = None
        if device.type == "cuda":
            self.amp_dtype = torch.bfloat16 if _has_bfloat16(device) else torch.float16

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits [B, classes] from what ``features`` gives where there is a split, else from normalized images."""
        with self._autocast():
            return self.model(inputs) if self.split is None else self.split.suffix(inputs)

    def features(self, images: Tensor) -> Tensor:
        """Turns images in [0, 1] into the input of the first trained layer, or without a split just normalizes them."""
        images = self.normalize(images)
        if self.split is None:
            return images
        with self._autocast():
            return self.split.prefix(images).float()

    def normalize(self, images: Tensor) -> Tensor:
        """Normalizes images in [0, 1], [B, 3, S, S], as the network wants them."""
        return ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)

    def train(self) -> None:
        """Trained layers in training mode; frozen ones, and frozen batch normalization, in evaluation mode."""
        self.model.eval()
        for name in self._trained:
            self.model.get_submodule(name).train()
        for norm in self._frozen_norms:
            norm.eval()

    def eval(self) -> None:
        """All layers in evaluation mode."""
        self.model.eval()

    def parameter_groups(self, layer_decay: float, head_multiplier: float) -> list[dict[str, Any]]:
        """Trained parameters by the factor of their learning rate, ``lr_scale``, from the last layer to the first.

        The factor is ``head_multiplier`` for the head, and falls by ``layer_decay`` with every layer away from it.
        """
        if layer_decay == head_multiplier == 1:
            return [{"params": self.parameters, "lr_scale": 1.0}]
        named = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        groups: dict[int, list[nn.Parameter]] = {}
        for name, distance in layers_to_head(self.model, self._groups).items():
            if name in named:
                groups.setdefault(distance, []).append(named[name])
        return [
            {"params": groups[distance], "lr_scale": layer_decay**distance if distance else head_multiplier}
            for distance in sorted(groups)
        ]

    def trained_state(self) -> dict[str, Tensor]:
        """Parameters and statistics of the trained layers."""
        prefixes = tuple(f"{name}." if name else "" for name in self._trained)
        return {k: v for k, v in self.model.state_dict().items() if k.startswith(prefixes)}

    def load_trained_state(self, state: dict[str, Tensor]) -> None:
        """Takes what ``trained_state`` gave."""
        own = {name: value.shape for name, value in self.trained_state().items()}
        if {name: value.shape for name, value in state.items()} != own:
            raise ModelError("a checkpoint must hold the trained layers of this network, but it holds others")
        self.model.load_state_dict(state, strict=False)

    def _autocast(self) -> Any:
        return nullcontext() if self.amp_dtype is None else torch.autocast(self.device.type, self.amp_dtype)


def _pretrained(settings: FineTuneSettings, n_classes: int, seed: int) -> list[Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the new head's first weights
        size = settings.image_size
        model = build_model(settings.model, n_classes, settings.weights, size, settings.model_kwargs)
        groups: LayerGroups = find_groups(model, size)
        for name in groups.head:
            # timm draws some heads from +-1/sqrt(classes), logits of a wrong certainty that a small learning rate
            # spends its epochs unlearning; torch's own rule, +-1/sqrt(features), starts near the uniform answer.
            reset = getattr(model.get_submodule(name), "reset_parameters", None)
            if reset is not None:
                reset()
    return [model, groups]


def _drop(probability: float, head: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (functional.dropout(inputs[0], probability, head.training), *inputs[1:])


def _has_bfloat16(device: torch.device) -> bool:
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)  # emulated it is slower than float16
