"""Meta-training: Algorithm 1 on a table of learning curves and the images of its tasks.

Training alternates between g, h and f, which minimize Eq. 4, and the discriminator, which maximizes it. Every epoch
draws from its own seeded generator and nothing else is random. So a killed run that is resumed from its checkpoint ends
with the same predictor.

Source: HyperSTAR (CVPR 2020), Sec. 3.1 and Algorithm 1.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor import checkpoint as checkpoints
from hyperstar_tune.predictor.backbone import Backbone, ImagePool, make_pool
from hyperstar_tune.predictor.losses import adversarial_loss, discriminator_accuracy, performance_loss, similarity_loss
from hyperstar_tune.predictor.network_predictor import NetworkPredictor
from hyperstar_tune.predictor.networks import Architecture, Discriminator, PredictorNetwork
from hyperstar_tune.predictor.predictor import DEFAULT_IMAGE_SIZE, card_entry, check_images, remark_few
from hyperstar_tune.predictor.targets import Targets, make_targets
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["EpochReport", "Trainer", "TrainingSettings", "meta_train"]


@dataclass(frozen=True)
class TrainingSettings:
    """How a predictor is meta-trained. Names in brackets are those of Algorithm 1 and Eq. 4."""

    train_backbone: str = "last_stage"  # "none", "last_stage" or "all" (end to end as in the paper; slow on a CPU)
    epochs: int = 20  # passes over all tasks
    image_batches: int = 5  # image batches of each task in a pass [B_img]
    batch_size: int = 64  # images per batch [N_img]
    configs_per_batch: int = 10  # configurations per batch [C_hyper]
    window: int = 5  # image batches that make a task's representation [L]
    alpha: float = 1.0  # weight of the similarity loss
    beta: float = 0.1  # weight of the adversarial loss
    similarity_k: int = 10  # AP@k between tasks [K]
    learning_rate: float = 1e-3  # falls to 0 along a cosine
    backbone_learning_rate: float = 1e-4
    weight_decay: float = 0.0
    images_per_task: int = 640  # sampled once and kept in memory
    width: int = 128  # width of the networks, as in ``Architecture``
    dim: int = 32
    hidden: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("epochs", "image_batches", "batch_size", "configs_per_batch", "window", "images_per_task")
        for name in (*counts, "similarity_k"):
            if getattr(self, name) < 1:
                raise PredictorError(f"{name} must be at least 1, but got {getattr(self, name)}")

    def architecture(self, n_features: int, config_dim: int) -> Architecture:
        """Sizes of the networks for a given number of image features and of inputs per configuration."""
        return Architecture(n_features, config_dim, width=self.width, dim=self.dim, hidden=self.hidden)

    def rate_share(self, epoch: int) -> float:
        """Share of the learning rate in a pass, counted from 1: a cosine that falls from 1."""
        return (1 + math.cos(math.pi * ((epoch - 1) / self.epochs))) / 2


@dataclass(frozen=True)
class EpochReport:
    """Means over the steps of one pass over all tasks."""

    epoch: int  # 1-based
    epochs: int
    performance: float  # Eq. 1
    similarity: float  # Eq. 2
    adversarial: float  # Eq. 3
    discriminator_accuracy: float  # 0.5 means that batches look like their task
    seconds: float


def meta_train(
    metadataset: MetaDataset,
    tasks: Mapping[str, ImageTask],
    settings: TrainingSettings | None = None,
    *,
    name: str = "unnamed",
    about: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    checkpoint: str | Path | None = None,
    progress: Callable[[EpochReport], None] | None = None,
    device: str | torch.device = "cpu",
) -> NetworkPredictor:
    """Meta-trains a predictor on every task of a table; cells that were not trained are not sampled.

    Args:
        metadataset: The table.
        tasks: The images of each of its tasks, by name. More may be given.
        settings: How to train.
        name: Name of the predictor.
        about: Further entries of its card, e.g. ``licence`` or ``limits``.
        out: Directory to save the predictor in.
        checkpoint: File that is written after every pass, resumed from if it exists, and removed at the end. By default
            it is beside ``out``; without ``out`` and ``checkpoint`` the run cannot be resumed.
        progress: Called after every pass.
        device: Device to train on, and of the predictor that is returned.

    Raises:
        PredictorError: If a task has no images here, the table is too small, training diverged, or the checkpoint is
            damaged or of another run.
    """
    settings = settings or TrainingSettings()
    names, families = (metadataset.tasks[column].astype(str).tolist() for column in ("name", "family"))
    check_images(metadataset, tasks)
    remark_few(metadataset)
    if out is not None and checkpoint is None:
        checkpoint = Path(out).with_name(f".{Path(out).name}.training.pt")
    targets = make_targets(metadataset, settings.similarity_k)
    backbone = Backbone(settings.train_backbone).to(device)
    size = metadataset.fingerprint.image_size or DEFAULT_IMAGE_SIZE
    pools = [make_pool(tasks[task], backbone, size, settings.images_per_task, settings.seed) for task in names]
    trainer = Trainer(settings, targets, backbone, pools)
    run = {"settings": asdict(settings), "tasks": names, "images": [pool.image_hash for pool in pools]}
    identity = checkpoints.identity(run, targets.scores, targets.similarity, targets.encoded)
    if checkpoint is not None and Path(checkpoint).exists():
        trainer.load_state(checkpoints.read(Path(checkpoint), identity))
    for report in trainer.passes():
        if not math.isfinite(report.performance):
            raise PredictorError(f"meta-training diverged in pass {report.epoch}; lower learning_rate")
        if checkpoint is not None:
            checkpoints.write(Path(checkpoint), identity, trainer.state())
        if progress is not None:
            progress(report)
    card = {
        "name": name,
        **(about or {}),
        "settings": asdict(settings),
        "tasks": [card_entry(tasks[task], family) for task, family in zip(names, families, strict=True)],
        "training": trainer.history,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    predictor = NetworkPredictor(backbone, trainer.network, metadataset.space, metadataset.fingerprint, card, device)
    predictor.learn_known(metadataset)
    if out is not None:
        predictor.save(out)
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    return predictor


class Trainer:
    """The state of one run of Algorithm 1, between passes.

    Args:
        settings: How to train.
        targets: What to learn, of M tasks.
        backbone: Its trained part is changed.
        pools: Images of the M tasks.
    """

    def __init__(
        self, settings: TrainingSettings, targets: Targets, backbone: Backbone, pools: list[ImagePool]
    ) -> None:
        self.settings, self.backbone, self.pools = settings, backbone, pools
        self.epoch = 0  # passes that were made
        self.history: list[dict[str, float]] = []  # means of the losses in each of them
        device = pools[0].cached.device
        self.targets = Targets(*(tensor.to(device) for tensor in vars(targets).values()))
        sizes = settings.architecture(backbone.n_features, targets.encoded.shape[1])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.network = PredictorNetwork(sizes).to(device)  # g, h and f
            self.discriminator = Discriminator(sizes.dim).to(device)  # d
        groups: list[dict[str, Any]] = [{"params": list(self.network.parameters()), "lr": settings.learning_rate}]
        if settings.train_backbone != "none":
            groups.append({"params": list(backbone.trained.parameters()), "lr": settings.backbone_learning_rate})
        self.peaks = [float(group["lr"]) for group in groups]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        self.discriminator_optimizer = torch.optim.AdamW(self.discriminator.parameters(), lr=settings.learning_rate)
        first = np.random.default_rng([settings.seed, 0])
        with torch.no_grad():
            # the last t^G of every task, [M, dim]
            self.whole = torch.cat([self._embed(task, first) for task in range(len(pools))])

    def run(self) -> None:
        """Makes the passes that are left."""
        for _ in self.passes():
            pass

    def passes(self) -> Iterator[EpochReport]:
        """Makes the passes over all tasks that are left (steps 3 to 12 of Algorithm 1), with a report after each."""
        while self.epoch < self.settings.epochs:
            started = time.perf_counter()
            self.epoch += 1
            rng = self.draws(self.epoch)
            for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                group["lr"] = peak * self.settings.rate_share(self.epoch)
            visits = [self._visit(int(task), rng) for task in rng.permutation(len(self.pools))]
            names = ("performance", "similarity", "adversarial", "discriminator_accuracy")
            means = dict(zip(names, np.mean(visits, axis=0).tolist(), strict=True))
            self.history.append({name: round(value, 5) for name, value in means.items()})
            yield EpochReport(self.epoch, self.settings.epochs, seconds=time.perf_counter() - started, **means)

    def draws(self, epoch: int) -> np.random.Generator:
        """The random generator of a pass: for the order of tasks, then for each task's configurations and images."""
        return np.random.default_rng([self.settings.seed, epoch])

    def draw_configs(self, task: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """Row numbers of randomly drawn configurations of one step, among those that were trained on a task."""
        known = np.flatnonzero(torch.isfinite(self.targets.scores[task]).cpu().numpy())
        return rng.permutation(known)[: self.settings.configs_per_batch]

    def draw_images(self, task: int, rng: np.random.Generator) -> Tensor:
        """A batch of a task's images, as its pool keeps them."""
        return self.pools[task].sample(self.settings.batch_size, rng)

    def _visit(self, task: int, rng: np.random.Generator) -> list[float]:
        """Image batches of one task (steps 4 to 11); the means of the losses."""
        configs = torch.from_numpy(self.draw_configs(task, rng))
        window: deque[Tensor] = deque(maxlen=self.settings.window)
        whole = torch.zeros_like(self.whole[task])  # step 4
        log = []
        for _ in range(self.settings.image_batches):
            batch = self._embed(task, rng)[0]
            losses = self._step(task, configs, batch, whole)
            window.append(batch.detach())
            whole = torch.stack(list(window)).mean(dim=0)  # step 9
            log.append([*losses, self._discriminator_step(whole, batch.detach())])
        self.whole[task] = whole
        return np.mean(log, axis=0).tolist()

    def _step(self, task: int, configs: Tensor, batch: Tensor, whole: Tensor) -> list[float]:
        """Step 8: updates g, h and f."""
        others = torch.arange(len(self.pools), device=batch.device) != task
        predicted = self.network(batch[None], self.network.embed_configs(self.targets.encoded[configs]))
        performance = performance_loss(predicted, self.targets.scores[task, configs][None])
        similarity = similarity_loss(batch, self.whole[others], self.targets.similarity[task, others])
        adversarial = adversarial_loss(self.discriminator(whole), self.discriminator(batch))
        self.optimizer.zero_grad()
        (performance + self.settings.alpha * similarity + self.settings.beta * adversarial).backward()
        self.optimizer.step()
        return [performance.item(), similarity.item(), adversarial.item()]

    def _discriminator_step(self, whole: Tensor, batch: Tensor) -> float:
        """Step 10: updates d, and then measures whether it can tell batches from their task."""
        logits = self.discriminator(torch.stack([whole, batch]))
        loss = -adversarial_loss(logits[:1], logits[1:])
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()
        return discriminator_accuracy(logits[:1].detach(), logits[1:].detach())

    def _embed(self, task: int, rng: np.random.Generator) -> Tensor:
        features = self.backbone.suffix(self.draw_images(task, rng))
        return self.network.embed_tasks(features[None])  # [1, dim]

    def _parts(self) -> list[nn.Module | torch.optim.Optimizer]:
        modules = [self.network, self.discriminator, self.backbone.trained]
        return [*modules, self.optimizer, self.discriminator_optimizer]

    def state(self) -> dict[str, Any]:
        """The state that the next pass depends on."""
        parts = [part.state_dict() for part in self._parts()]
        return {"epoch": self.epoch, "history": self.history, "whole": self.whole, "parts": parts}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continues from what ``state`` gave."""
        self.epoch, self.history = state["epoch"], state["history"]
        self.whole = state["whole"].to(self.whole.device)
        for part, stored in zip(self._parts(), state["parts"], strict=True):
            part.load_state_dict(stored)
