"""The paper's predictor: g, h and f, which look at images without their labels.

Each batch of images is embedded once, and all configurations are scored against it in one product. This gives the
ranking of Algorithm 2 without its H x B runs of the backbone. A task that is unlike all known ones gets a ranking too,
and nothing here warns that it is worth little.

Source: HyperSTAR (CVPR 2020), Sec. 3.2 and Algorithm 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor.backbone import Backbone, to_tensor
from hyperstar_tune.predictor.networks import Architecture, PredictorNetwork
from hyperstar_tune.predictor.predictor import Predictor
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["NetworkPredictor"]

Images = npt.NDArray[np.uint8] | Tensor


class NetworkPredictor(Predictor):
    """The networks g, h and f, with a card of what they were trained on.

    Made by ``Predictor.load`` or by ``meta_train``.

    Attributes:
        backbone: The backbone as it runs, to time the rest against it.
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
        with torch.no_grad():  # rounded to the precision it is stored in: a loaded predictor ranks like the saved one
            for parameter in backbone.trained.parameters():
                parameter.copy_(parameter.half())
        self._device = torch.device(device)
        self._trained = backbone.requires_grad_(False).to(self._device).trained
        self._network = network.to(self._device).eval().requires_grad_(False)
        self.backbone = backbone.fused()
        super().__init__(space, fingerprint, dict(card) | {"architecture": asdict(network.sizes)}, backbone.part)

    @classmethod
    def restore(
        cls, card: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str | torch.device
    ) -> "NetworkPredictor":
        """The predictor of a card and its tensors; raises whatever a damaged one leads to."""
        backbone, sizes = Backbone(card["backbone"]["trained"]), Architecture(**card["architecture"])
        space = SearchSpace.from_json(card["space"])
        if (sizes.n_features, sizes.config_dim) != (Backbone.n_features, space.dim):
            raise RuntimeError(f"networks for {sizes.config_dim} inputs do not fit a space of {space.dim}")
        with torch.device("meta"):  # takes no memory, whatever sizes a stranger's card states
            network = PredictorNetwork(sizes)
        _fill(backbone.trained, tensors, "backbone.")
        _fill(network, tensors, "network.")
        return cls(backbone, network, space, Fingerprint.from_json(card["fingerprint"]), card, device)

    def tensors(self) -> dict[str, Tensor]:
        """The networks; the trained part of the backbone in half precision, its frozen part is known by its hash."""
        tensors = {f"network.{name}": value.data for name, value in self._network.named_parameters()}
        return tensors | {f"backbone.{name}": value.half() for name, value in self._trained.named_parameters()}

    def rank(
        self,
        task: str | Path | ImageTask,
        configs: Sequence[Config] | None = None,
        seed: int = 0,
        n_batches: int = 10,
        batch_size: int = 64,
    ) -> Ranking:
        """Ranks configurations for a task by looking at its training images, as ``Predictor.rank`` says.

        Scores are means over ``n_batches`` [B] of ``batch_size`` images [N], and ``spread`` is their deviation.

        Source: HyperSTAR (CVPR 2020), Algorithm 2.
        """
        task, configs = ImageTask.of(task), self._configs(configs)
        scores = self.scores(task.batches(n_batches, batch_size, self.image_size, seed), configs)
        return self._ranked(task, configs, scores.mean(axis=0), spread=scores.std(axis=0))

    @torch.inference_mode()
    def scores(self, batches: Images, configs: Sequence[Config] | None = None) -> npt.NDArray[np.float32]:
        """Predicted normalized score [B, H] of each configuration, by default all, from each batch [B, N, 3, S, S]."""
        encoded = torch.from_numpy(self.space.encode(self._configs(configs))).to(self._device)
        predicted = self._network(self.embed(batches), self._network.embed_configs(encoded))
        return np.asarray(predicted.cpu().numpy(), dtype=np.float32)

    @torch.inference_mode()
    def embed(self, batches: Images) -> Tensor:
        """Task representations t of batches of uint8 images, [B, N, 3, S, S] -> [B, dim]."""
        images = to_tensor(batches, self._device)
        if images.ndim != 5:
            raise PredictorError(f"batches must be images of shape [B, N, 3, S, S], but have {list(images.shape)}")
        features = self.backbone(images.flatten(0, 1)).unflatten(0, images.shape[:2])  # [B, N, n_features]
        return self._network.embed_tasks(features)


def _fill(module: torch.nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Gives a module its stored parameters; raises unless names and shapes are exactly right and values finite."""
    stored = {
        name.removeprefix(prefix): value.to(torch.float32, copy=True)
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    own = dict(module.named_parameters())
    if stored.keys() != own.keys():
        raise KeyError(f"tensor {sorted(stored.keys() ^ own.keys())[0]} is missing or unknown")
    for name, value in own.items():
        if stored[name].shape != value.shape:
            raise RuntimeError(f"tensor {name} must have the shape {[*value.shape]}, but has {[*stored[name].shape]}")
        if not torch.isfinite(stored[name]).all():
            raise RuntimeError(f"a weight of tensor {name} is not finite")
    module.load_state_dict(stored, strict=False, assign=True)
