"""Trains cells of a table many at a time on one GPU.

Networks and batches of a table are small: a GPU waits for Python most of the time. So each training step is recorded
once as a CUDA graph and replayed, and several cells, each on a stream of its own, keep the GPU busy. What is trained is
exactly what ``finetune`` trains (order of images, augmentation, first weights of the head, rates): the curves agree but
for rounding and for the draws of dropout. On a CPU nothing is recorded, and the same code just runs.

Only what tables have is known here: adamw and sgd, no class weights, no clipping of gradients.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hyperstar_tune.finetune.augmentation import augment
from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.knobs import check_config
from hyperstar_tune.finetune.network import Network
from hyperstar_tune.finetune.settings import VIEWS, FineTuneSettings
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["GraphedCell", "Images", "Lane"]

_DECAY = {"sgd": 1e-4, "adamw": 1e-2}  # where the configuration has none
_BATCH = 128  # of frozen layers, as in finetune's inputs, and of evaluations


def _filled_up(images: Tensor) -> Tensor:
    """Images with zeros behind them, so that whole batches come out: every new shape costs a GPU seconds."""
    return torch.cat([images, images.new_zeros(-len(images) % _BATCH, *images.shape[1:])])


def _seeds(seed: int, epoch: int) -> np.ndarray:
    return np.random.SeedSequence([seed, epoch]).generate_state(4)


class Images:
    """What the cells of one task, image size and seed share: pixels, orders, augmented epochs, kept features."""

    def __init__(self, task: ImageTask, settings: FineTuneSettings, seed: int, device: torch.device) -> None:
        self.task, self.seed, self.device = task, seed, device
        self.size, self.n_epochs = settings.image_size, settings.max_epochs or 0
        self._pixels = {s: torch.from_numpy(task.images(s, self.size)).float().div_(255) for s in ("train", "val")}
        self.val_pixels = _filled_up(self._pixels["val"].to(device))
        self.train_pixels = self._pixels["train"].to(device)
        orders = [
            torch.randperm(task.n_train, generator=torch.Generator().manual_seed(int(_seeds(seed, epoch + 1)[0])))
            for epoch in range(self.n_epochs)
        ]
        self.order = torch.stack(orders)  # [E, n], on the CPU
        self.order_there = self.order.to(device)
        self.labels = {s: torch.tensor(task.labels(s), device=device) for s in ("train", "val")}
        self.ordered_labels = self.labels["train"][self.order_there]  # [E, n]
        self.halves = [torch.from_numpy(half).to(device) for half in task.val_halves()]
        self._wait()
        self._epochs: dict[tuple[str, int], Tensor] = {}
        self._features: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}

    def bounds(self, batch_size: int) -> list[tuple[int, int]]:
        """First and last place of each batch; a last single image joins the batch before it."""
        n = self.task.n_train
        starts = list(range(0, n, batch_size))
        if len(starts) > 1 and n - starts[-1] == 1:
            starts.pop()
        return list(zip(starts, [*starts[1:], n], strict=True))

    def epochs(self, policy: str, batch_size: int) -> Tensor:
        """Augmented images of all epochs in their order, float16 [E, n, 3, S, S] in [0, 1]."""
        if (policy, batch_size) not in self._epochs:
            shape = (self.n_epochs, self.task.n_train, 3, self.size, self.size)
            found = torch.empty(shape, dtype=torch.float16)
            for epoch in range(self.n_epochs):
                generator = torch.Generator().manual_seed(int(_seeds(self.seed, epoch + 1)[1]))
                for first, end in self.bounds(batch_size):
                    images = self._pixels["train"][self.order[epoch, first:end]]
                    found[epoch, first:end] = augment(images, policy, generator)
            self._epochs[policy, batch_size] = found.to(self.device)
        return self._epochs[policy, batch_size]

    def features(self, network: Network, layers: str, policy: str) -> tuple[Tensor, Tensor]:
        """Inputs of the first trained layer: of the views of the training images [V, n, ...], and of validation."""
        if (layers, policy) not in self._features:
            views = []
            for view in range(VIEWS if policy != "none" else 1):
                parts = []
                for number, images in enumerate(self._pixels["train"].split(_BATCH)):
                    seed = int(np.random.SeedSequence([self.seed, view, number, 7]).generate_state(1)[0])
                    drawn = augment(images, policy, torch.Generator().manual_seed(seed))
                    parts.append(network.features(_filled_up(drawn.to(self.device)))[: len(images)])
                views.append(torch.cat(parts))
            val = torch.cat([network.features(images) for images in self.val_pixels.split(_BATCH)])
            self._features[layers, policy] = torch.stack(views), val
            self._wait()
        return self._features[layers, policy]

    def _wait(self) -> None:
        """Lanes run beside each other: what they share must be there before another one reads it."""
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()


@dataclass(eq=False)
class Lane:
    """A stream of a GPU with the memory of the graphs that are recorded on it; without a stream, plain calls."""

    stream: Any = None
    pool: Any = None
    _keeper: Any = None

    @classmethod
    def on(cls, device: torch.device) -> "Lane":
        """A lane of a GPU, or one of a CPU, which records nothing."""
        if device.type != "cuda":
            return cls()
        lane = cls(torch.cuda.Stream(device), torch.cuda.graph_pool_handle())
        lane._keeper = lane.record(lambda: torch.zeros(1, device=device))  # or the pool would go with its last graph
        return lane

    def record(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """Records a call; what is returned repeats it. Everything that it reads and writes must stay in its place."""
        if self.stream is None:
            return call
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(self.stream):
            graph.capture_begin(pool=self.pool, capture_error_mode="thread_local")
            kept = call()
            graph.capture_end()
        return lambda kept=kept: graph.replay()


class GraphedCell:
    """One configuration, trained to ``max_epochs`` on a lane.

    Making it records the steps, ``steps`` asks the device for the training, one step after the other, without waiting
    for any of them, and ``result`` waits for the end.

    Args:
        images: The task at the configuration's image size.
        config: A configuration of the table.
        settings: What all configurations share; ``max_epochs`` and ``evaluate_at`` are given.
        lane: Where it runs.
        cache: Pretrained networks of this process.
        warm: Shapes that this process has run before; new ones run once before they are recorded.
    """

    def __init__(
        self,
        images: Images,
        config: dict[str, Any],
        settings: FineTuneSettings,
        lane: Lane,
        cache: TensorCache,
        warm: set[Any],
    ) -> None:
        self.config, self.images, self.lane = check_config(config), images, lane
        full = self.config
        if full["optimizer"] not in _DECAY or full["class_weights"] != "none" or full["grad_clip"]:
            raise ValueError(f"a graphed cell has adamw or sgd, no class weights and no clipping, but got {config}")
        self.settings = replace(settings, image_size=images.size, batch_size=full["batch_size"] or settings.batch_size)
        device = images.device
        self.network = Network(
            self.settings, len(images.task.classes), full["layers"], images.seed, cache, 0.0, full["batch_norm"]
        )
        self.network.amp_dtype = None  # single precision, as on a CPU
        self.bounds = images.bounds(self.settings.batch_size)
        self.whole = self.network.split is None
        if not self.whole:
            self.views, self.val = images.features(self.network, full["layers"], full["augmentation"])
        elif full["augmentation"] != "none":
            self.ready = images.epochs(full["augmentation"], self.settings.batch_size)
        largest = max(end - first for first, end in self.bounds)
        shape = (3, images.size, images.size) if self.whole else self.views.shape[2:]
        kind = torch.float16 if self.whole and full["augmentation"] != "none" else torch.float32
        self.inputs = torch.zeros((largest, *shape), dtype=kind, device=device)
        self.labels = torch.zeros(largest, dtype=torch.int64, device=device)
        self.rate, self.share = torch.zeros((), device=device), torch.ones((), device=device)
        self.total = torch.zeros((), device=device)
        self.metrics = torch.zeros(4, device=device)
        self.curve = torch.zeros(len(self.settings.evaluate_at or ()), 5, device=device)
        self.mask: Tensor | None = None
        self._optimizer = self._make_optimizer(device)
        self._add_dropout(device, largest)
        self._table = self._steps().to(device)  # [E, steps, 2]: rate and share of the first of two mixed images
        sizes = sorted({end - first for first, end in self.bounds})
        key = (full["layers"], full["optimizer"], images.size)
        if new := [size for size in sizes if (key, size) not in warm] or [sizes[-1]]:
            self._warm_up(new)
            warm.update((key, size) for size in new)
        self._step = {size: lane.record(lambda size=size: self._train(size)) for size in sizes}
        self._measure = lane.record(self._evaluate)

    def steps(self) -> Iterator[None]:
        """Asks for all epochs and evaluations in order, and pauses after each step.

        A GPU takes only a few steps ahead from one lane and holds up who asks for more, so the steps of several cells
        are asked for in turn.
        """
        evaluated = list(self.settings.evaluate_at or ())
        images = self.images
        generator = torch.Generator(images.device).manual_seed(int(_seeds(images.seed, 1)[2]))
        for epoch in range(images.n_epochs):
            self.total.zero_()
            for step, (first, end) in enumerate(self.bounds):
                self._fill(epoch, first, end)
                self.rate.copy_(self._table[epoch, step, 0])
                self.share.copy_(self._table[epoch, step, 1])
                if self.mask is not None:
                    self.mask.bernoulli_(1 - self.config["dropout"], generator=generator)
                self._step[end - first]()
                yield
            if epoch + 1 in evaluated:
                self._measure()
                row = self.curve[evaluated.index(epoch + 1)]
                row[:4].copy_(self.metrics)
                row[4].copy_(self.total / images.task.n_train)

    def result(self) -> dict[str, list[float | None]]:
        """The objectives at the evaluated epochs, rounded as a collection has them; seconds are not measured."""
        found = self.curve.double().cpu().numpy()  # [F, 5]
        lost = ~np.isfinite(found[:, 1]) | ~np.isfinite(found[:, 3]) | ~np.isfinite(found[:, 4])
        lost = np.maximum.accumulate(lost)  # what diverged stays so
        names = ("val_accuracy", "val_loss", "val_accuracy_b", "val_loss_b", "train_loss")
        return {
            name: [None if gone else round(float(v), 6) for v, gone in zip(found[:, place], lost, strict=True)]
            for place, name in enumerate(names)
        }

    def close(self) -> None:
        """Frees networks and graphs at once: they refer to each other, and the next cell needs their memory."""
        self.__dict__.clear()

    def _make_optimizer(self, device: torch.device) -> torch.optim.Optimizer:
        groups = self.network.parameter_groups(self.config["layer_decay"], self.config["head_lr_multiplier"])
        decay = self.config["weight_decay"]
        decay = _DECAY[self.config["optimizer"]] if decay is None else decay
        on_gpu = device.type == "cuda"
        if self.config["optimizer"] == "adamw":
            return torch.optim.AdamW(groups, 1e-3, weight_decay=decay, fused=True, capturable=on_gpu)
        momentum = self.config["momentum"]
        return torch.optim.SGD(groups, 1e-3, momentum=momentum, weight_decay=decay, nesterov=momentum > 0, fused=True)

    def _add_dropout(self, device: torch.device, largest: int) -> None:
        """Dropout before the head whose draws lie outside the recorded step."""
        probability = self.config["dropout"]
        if not probability:
            return
        name = self.network.head[0]
        head = self.network.model.get_submodule(name)
        self.mask = torch.ones(largest, head.in_features, device=device)

        def drop(module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            if not module.training:
                return inputs
            return (inputs[0] * self.mask[: len(inputs[0])] / (1 - probability), *inputs[1:])

        head.register_forward_pre_hook(drop)

    def _steps(self) -> Tensor:
        schedule = self.settings.schedule_of(self.config["schedule"])
        alpha, n_steps = self.config["mixup"], len(self.bounds)
        rows = []
        for epoch in range(1, self.images.n_epochs + 1):
            shares = np.random.default_rng(_seeds(self.images.seed, epoch)[3])
            for step in range(n_steps):
                share = float(shares.beta(alpha, alpha)) if alpha else 1.0
                rows.append((schedule.rate(self.config["lr"], epoch, step, n_steps), share))
        return torch.tensor(rows, dtype=torch.float32).view(self.images.n_epochs, n_steps, 2)

    def _fill(self, epoch: int, first: int, end: int) -> None:
        size = end - first
        self.labels[:size].copy_(self.images.ordered_labels[epoch, first:end])
        if self.whole and self.config["augmentation"] != "none":
            self.inputs[:size].copy_(self.ready[epoch, first:end])
            return
        source = self.images.train_pixels if self.whole else self.views[epoch % len(self.views)]
        torch.index_select(source, 0, self.images.order_there[epoch, first:end], out=self.inputs[:size])

    def _train(self, size: int) -> Tensor:
        inputs, labels = self.inputs[:size], self.labels[:size]
        if self.whole:
            inputs = self.network.normalize(inputs.float())
        mixes = bool(self.config["mixup"])
        if mixes:
            inputs = self.share * inputs + (1 - self.share) * inputs.flip(0)
        smoothing = self.config["label_smoothing"]
        logits = self.network(inputs).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        if mixes:
            other = functional.cross_entropy(logits, labels.flip(0), label_smoothing=smoothing)
            loss = self.share * loss + (1 - self.share) * other
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate * group["lr_scale"]
        self._optimizer.step()
        self.total.add_(loss.detach() * size)
        return loss

    def _evaluate(self) -> Tensor:
        self.network.eval()
        with torch.no_grad():
            batches = self.images.val_pixels if self.whole else self.val
            normalize = self.network.features if self.whole else lambda batch: batch
            labels = self.images.labels["val"]
            logits = torch.cat([self.network(normalize(b)).float() for b in batches.split(_BATCH)])[: len(labels)]
            losses = functional.cross_entropy(logits, labels, reduction="none")
            correct = (logits.argmax(1) == labels).float()
            found = [values[half].mean() for half in self.images.halves for values in (correct, losses)]
            self.metrics.copy_(torch.stack(found))
        self.network.train()
        return logits

    def _warm_up(self, sizes: list[int]) -> None:
        """Runs steps and an evaluation once, so that kernels are loaded and the optimizer has its state."""
        state = [*self.network.model.parameters(), *self.network.model.buffers()]
        before = [tensor.detach().clone() for tensor in state]
        self.network.train()
        for size in sizes:
            self._train(size)
        self._evaluate()
        with torch.no_grad():
            for tensor, old in zip(state, before, strict=True):
                tensor.copy_(old)
            for values in self._optimizer.state.values():
                for value in values.values():
                    if isinstance(value, Tensor):
                        value.zero_()
        self._optimizer.zero_grad(set_to_none=True)
        self.total.zero_()
