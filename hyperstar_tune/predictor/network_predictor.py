"""The paper's predictor: g, h and f, which look at images without their labels.

Each batch of images is embedded once, and all configurations are scored against it in one product. This gives the
ranking of Algorithm 2 without its H x B runs of the backbone. A task that is unlike all known ones gets a ranking too,
and nothing here warns that it is worth little.

Source: HyperSTAR (CVPR 2020), Sec. 3.2 and Algorithm 2.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor.artifact import write_artifact
from hyperstar_tune.predictor.backbone import Backbone, to_tensor
from hyperstar_tune.predictor.networks import Architecture, PredictorNetwork
from hyperstar_tune.predictor.predictor import Predictor
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.shipped import BACKBONE, backbone_hash
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["NetworkPredictor"]

Images = npt.NDArray[np.uint8] | Tensor


class NetworkPredictor(Predictor):
    """The networks g, h and f, with a card of what they were trained on.

    Made by ``Predictor.load`` or by ``meta_train``.
    """

    def __init__(
        self,
        backbone: Backbone,
        network: PredictorNetwork,
        space: SearchSpace,
        fingerprint: Fingerprint,
        card: Mapping[str, Any],
        device: str | torch.device = "cpu",
    ) -> None:
        self._device = torch.device(device)
        self._backbone = _stored_precision(backbone).to(self._device)
        self._network = network.to(self._device).eval().requires_grad_(False)
        self._fused = self._backbone.fused()
        architecture = {
            "architecture": network.sizes.to_json(),
            "backbone": {"name": BACKBONE, "sha256_16": backbone_hash(), "trained": backbone.part},
        }
        super().__init__(space, fingerprint, dict(card) | architecture)

    @classmethod
    def restore(
        cls, card: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str | torch.device
    ) -> "NetworkPredictor":
        """The predictor of a card and its tensors; raises whatever a damaged one leads to."""
        backbone = Backbone(card["backbone"]["trained"])
        sizes = Architecture(**card["architecture"])
        with torch.device("meta"):  # takes no memory, whatever sizes a stranger's card states
            _stored(PredictorNetwork(sizes), tensors, "network.")
        network = PredictorNetwork(sizes)
        space = SearchSpace.from_json(card["space"])
        if (sizes.n_features, sizes.config_dim) != (Backbone.n_features, space.dim):
            raise RuntimeError(f"networks for {sizes.config_dim} inputs do not fit a space of {space.dim}")
        _fill(backbone.trained, tensors, "backbone.")
        _fill(network, tensors, "network.")
        return cls(backbone, network, space, Fingerprint.from_json(card["fingerprint"]), card, device)

    def save(self, directory: str | Path) -> None:
        """Writes the predictor; the trained part of the backbone in half precision, its frozen part by its hash."""
        tensors = {f"network.{name}": value for name, value in self._network.state_dict().items()}
        for name, value in self._backbone.trained.named_parameters():
            tensors[f"backbone.{name}"] = value.half()
        self.card = write_artifact(Path(directory), self.card, tensors)

    def rank(
        self,
        task: str | Path | ImageTask,
        configs: Sequence[Config] | None = None,
        seed: int = 0,
        n_batches: int = 10,
        batch_size: int = 64,
    ) -> Ranking:
        """Ranks configurations for a task by looking at its training images, as ``Predictor.rank`` says.

        Args:
            task: A folder, a torchvision data set as ``"torchvision:NAME"``, or an ``ImageTask``.
            configs: H configurations of the space; all of a finite space when None.
            seed: Random seed of the sample of images.
            n_batches: Number of image batches, B.
            batch_size: Images per batch, N.

        Returns:
            Predicted normalized scores, averaged over the batches; ``spread`` is their standard deviation.

        Source: HyperSTAR (CVPR 2020), Algorithm 2.
        """
        task = ImageTask.of(task)
        configs = self._configs(configs)
        batches = task.batches(n_batches, batch_size, self.image_size, seed)
        scores = self.scores(batches, configs)
        return Ranking.of(
            configs,
            scores.mean(axis=0),
            scores.std(axis=0),
            task=task.name,
            source=self.name,
            seen=self.has_seen(task),
        )

    def scores(self, batches: Images, configs: Sequence[Config] | None = None) -> npt.NDArray[np.float32]:
        """Predicted normalized score of every configuration from every batch.

        Args:
            batches: uint8 images, shape [B, N, 3, S, S].
            configs: H configurations; all of a finite space when None.

        Returns:
            Shape [B, H].
        """
        encoded = torch.from_numpy(self.space.encode(self._configs(configs))).to(self._device)
        with torch.inference_mode():
            predicted = self._network(self._embedded(batches), self._network.embed_configs(encoded))
        return np.asarray(predicted.cpu().numpy(), dtype=np.float32)

    def embed(self, batches: Images) -> npt.NDArray[np.float32]:
        """Task representations t of batches of uint8 images, [B, N, 3, S, S] -> [B, dim]."""
        with torch.inference_mode():
            return np.asarray(self._embedded(batches).cpu().numpy(), dtype=np.float32)

    def backbone(self) -> Backbone:
        """The backbone as it runs, to time the rest against it."""
        return self._fused

    def _embedded(self, batches: Images) -> Tensor:
        images = to_tensor(batches, self._device)
        if images.ndim != 5:
            raise PredictorError(f"batches must be images of shape [B, N, 3, S, S], but have {list(images.shape)}")
        features = self._fused(images.flatten(0, 1)).unflatten(0, images.shape[:2])  # [B, N, n_features]
        return self._network.embed_tasks(features)  # [B, dim]


def _stored_precision(backbone: Backbone) -> Backbone:
    """Rounds the trained part to the precision it is stored in, so that a loaded predictor ranks like the saved one."""
    with torch.no_grad():
        for parameter in backbone.trained.parameters():
            parameter.copy_(parameter.half())
    return backbone.requires_grad_(False)


def _stored(module: torch.nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The stored parameters of a module; raises RuntimeError or KeyError unless names and shapes are exactly right."""
    stored = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    own = dict(module.named_parameters())
    if stored.keys() != own.keys():
        raise KeyError(f"tensor {sorted(stored.keys() ^ own.keys())[0]} is missing or unknown")
    for name, value in own.items():
        if stored[name].shape != value.shape:
            raise RuntimeError(f"tensor {name} must have the shape {[*value.shape]}, but has {[*stored[name].shape]}")
    return stored


def _fill(module: torch.nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    stored = _stored(module, tensors, prefix)
    module.load_state_dict(stored, strict=False)
    if not all(torch.isfinite(value).all() for value in stored.values()):
        raise RuntimeError("a weight is not finite")
