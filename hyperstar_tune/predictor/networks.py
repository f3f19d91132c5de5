"""The four networks of HyperSTAR: task encoder g, configuration encoder h, performance predictor f, discriminator d.

The convolutional part of g is in ``backbone.py``. This file has what follows the image features.

Source: HyperSTAR (CVPR 2020), Sec. 3.1 and Figure 2; the widths are ours, as the paper gives none.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Architecture", "Discriminator", "PredictorNetwork"]


@dataclass(frozen=True)
class Architecture:
    """Sizes of the networks."""

    n_features: int  # image features that the backbone gives
    config_dim: int  # length of an encoded configuration
    width: int = 128  # width of the transformer layer
    heads: int = 4
    dim: int = 32  # length of a task's and a configuration's representation
    hidden: int = 128  # width of the multilayer perceptrons


class _TaskEncoder(nn.Module):
    """The part of g behind the backbone: a transformer layer over the images of a batch, then their mean.

    Images have no positions, so their order does not matter.
    """

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(sizes.n_features), nn.Linear(sizes.n_features, sizes.width))
        # No dropout: the batches of images already bring noise into training, and a resumed run stays exact.
        self.attend = nn.TransformerEncoderLayer(
            sizes.width, sizes.heads, 2 * sizes.width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.represent = nn.Sequential(nn.LayerNorm(sizes.width), nn.Linear(sizes.width, sizes.dim))

    def forward(self, features: Tensor) -> Tensor:
        attended = self.attend(self.project(features))  # [B, N, width]
        return self.represent(attended.mean(dim=1))  # [B, dim]


class PredictorNetwork(nn.Module):
    """g (without its backbone), h and f.

    f sees both representations and their product, so that its first layer already knows how task and configuration
    match.
    """

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.sizes = sizes
        self.task_encoder: nn.Module = _TaskEncoder(sizes)
        self.config_encoder = nn.Sequential(
            nn.Linear(sizes.config_dim, sizes.hidden), nn.ReLU(), nn.Linear(sizes.hidden, sizes.dim)
        )
        self.from_both = nn.Linear(3 * sizes.dim, sizes.hidden)
        self.score = nn.Sequential(nn.ReLU(), nn.Linear(sizes.hidden, 1))

    def embed_tasks(self, features: Tensor) -> Tensor:
        """Representations t of batches of image features, [B, N, n_features] -> [B, dim]."""
        return self.task_encoder(features)

    def embed_configs(self, encoded: Tensor) -> Tensor:
        """Representations s of encoded configurations, [H, config_dim] -> [H, dim]."""
        return self.config_encoder(encoded)

    def forward(self, tasks: Tensor, configs: Tensor) -> Tensor:
        """Predicted normalized scores [B, H] of all pairs of t [B, dim] and s [H, dim]."""
        of_task, of_config, of_product = self.from_both.weight.split(self.sizes.dim, dim=1)
        mixed = torch.einsum("bd,hd,kd->bhk", tasks, configs, of_product)
        hidden = mixed + (tasks @ of_task.T)[:, None] + (configs @ of_config.T)[None] + self.from_both.bias
        return self.score(hidden).squeeze(-1)


class Discriminator(nn.Module):
    """d: tells the representation of a whole task from that of one batch. Its logits are positive for a whole task."""

    def __init__(self, dim: int, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def forward(self, representations: Tensor) -> Tensor:
        """Logits of representations [..., dim], shape [...]."""
        return self.layers(representations).squeeze(-1)
