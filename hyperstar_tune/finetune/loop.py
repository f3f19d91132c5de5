"""Fine-tuning one configuration on one task, an epoch at a time, without Ray.

The rules are those of docs/protocol.md (Training): batches of 32, a constant learning rate after one warm-up epoch (so
a short run is a prefix of a longer one), frozen layers in evaluation mode, and four seeded augmented views of an image
where a frozen prefix is run once and kept. All randomness comes from (seed, epoch), so a run continued from a
checkpoint gives the curve of an undisturbed one.
"""

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hyperstar_tune.errors import ModelError, SpaceError
from hyperstar_tune.finetune.augmentation import POLICIES, augment
from hyperstar_tune.finetune.cache import TensorCache, process_cache
from hyperstar_tune.finetune.inputs import Inputs
from hyperstar_tune.finetune.layers import GROUPS
from hyperstar_tune.finetune.network import Network
from hyperstar_tune.finetune.settings import VIEWS, FineTuneSettings
from hyperstar_tune.tables.objectives import OBJECTIVES
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["DEFAULTS", "OPTIMIZERS", "FineTune", "check_config"]

OPTIMIZERS = ("sgd", "adamw", "rmsprop")
DEFAULTS: dict[str, Any] = {"lr": 1e-2, "optimizer": "sgd", "layers": "all", "augmentation": "basic"}
_EVALUATION_BATCH, _EVALUATION_BATCH_CPU = 128, 32  # on a CPU, whose cache holds the activations, twice as fast
_CHOICES = {"optimizer": OPTIMIZERS, "layers": GROUPS, "augmentation": POLICIES}


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with what it leaves out filled in from ``DEFAULTS``.

    Raises:
        SpaceError: If a parameter is unknown or its value makes no sense.
    """
    for name, value in config.items():
        if name not in DEFAULTS:
            raise SpaceError(f"fine-tuning knows the parameters {', '.join(DEFAULTS)}, but got {name!r}")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise SpaceError(f"{name} is one of {', '.join(_CHOICES[name])}, but got {value!r}")
    full = {**DEFAULTS, **config}
    lr = full["lr"]
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not (0 < lr < math.inf):
        raise SpaceError(f"lr must be a positive number, but got {lr!r}")
    # Scalars of numpy are numbers and texts too, but a checkpoint that holds one cannot be read.
    return full | {"lr": float(lr)} | {name: str(full[name]) for name in _CHOICES}


class FineTune:
    """One configuration being fine-tuned.

    Args:
        task: The images.
        config: ``lr``, ``optimizer``, ``layers``, ``augmentation``; what is left out comes from ``DEFAULTS``.
        settings: The network and what else all configurations share.
        seed: Random seed of the new head, the order of images and the augmentation.
        cache: Shared by the runs of a process.
        clock: What ``epoch_seconds`` is read from.

    Raises:
        SpaceError: If the configuration is not one.
        ModelError: If the network cannot be built or fine-tuned.
    """

    def __init__(
        self,
        task: ImageTask,
        config: dict[str, Any],
        settings: FineTuneSettings,
        *,
        seed: int = 0,
        cache: TensorCache | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.config = check_config(config)
        self.task = task
        self.epoch = 0
        self.diverged = False
        self._settings, self._seed, self._clock = settings, seed, clock
        cache = process_cache if cache is None else cache
        policy = str(self.config["augmentation"])
        self._network = Network(settings, len(task.classes), str(self.config["layers"]), seed, cache)
        self._device = self._network.device
        views = VIEWS if policy != "none" else 1
        self._inputs = Inputs(task, self._network, policy, views, seed, settings.memory_limit, cache)
        self._optimizer = _optimizer(str(self.config["optimizer"]), self._network.parameters, float(self.config["lr"]))
        # float16 needs its gradients scaled, bfloat16 does not.
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._network.amp_dtype is torch.float16)
        self._labels = {s: torch.from_numpy(task.labels(s)).to(self._device) for s in ("train", "val")}
        self._evaluation_batch = _EVALUATION_BATCH_CPU if self._device.type == "cpu" else _EVALUATION_BATCH
        self._halves = [torch.from_numpy(half).to(self._device) for half in task.val_halves()]
        self._last = dict.fromkeys(OBJECTIVES[:4], math.nan)

    @property
    def device_name(self) -> str:
        """``"cpu"`` or the name of the GPU."""
        return "cpu" if self._device.type == "cpu" else torch.cuda.get_device_name(self._device)

    def train_epoch(self) -> dict[str, Any]:
        """Trains one epoch.

        Returns:
            ``epoch`` and ``OBJECTIVES``; accuracies and losses are NaN from the epoch on in which the loss stopped
            being finite, and such a run costs nothing more.
        """
        start = self._clock()
        self.epoch += 1
        train_loss = math.nan if self.diverged else self._train()
        evaluate_at = self._settings.evaluate_at
        if not self.diverged and (self.epoch == 1 or evaluate_at is None or self.epoch in evaluate_at):
            self._last = self.evaluate()
        if self.diverged or not math.isfinite(train_loss) or math.isnan(self._last["val_loss"]):
            self.diverged = True
            self._last = dict.fromkeys(self._last, math.nan)
            train_loss = math.nan
        return {
            "epoch": self.epoch,
            **self._last,
            "train_loss": train_loss,
            "epoch_seconds": self._clock() - start,
        }

    def evaluate(self) -> dict[str, float]:
        """Accuracy and mean loss on validation half A, and (``_b``) on half B."""
        self._network.eval()
        logits = []
        with torch.inference_mode():
            for batch in self._inputs.validation(self._evaluation_batch):
                logits.append(self._network(batch).float())
        outputs, labels = torch.cat(logits), self._labels["val"]
        losses = functional.cross_entropy(outputs, labels, reduction="none")
        correct = (outputs.argmax(1) == labels).float()
        metrics: dict[str, float] = {}
        for suffix, half in zip(("", "_b"), self._halves, strict=True):
            loss = float(losses[half].mean())
            metrics[f"val_accuracy{suffix}"] = float(correct[half].mean()) if math.isfinite(loss) else math.nan
            metrics[f"val_loss{suffix}"] = loss if math.isfinite(loss) else math.nan
        return metrics

    def predict(self, split: str = "val") -> Tensor:
        """Logits [n, classes] of the images of a split, without augmentation, on the CPU."""
        self._network.eval()
        with torch.inference_mode():
            batches = self._inputs.plain(split, self._evaluation_batch)
            return torch.cat([self._network(batch).float().cpu() for batch in batches])

    def state_dict(self) -> dict[str, Any]:
        """Trained parameters, optimizer and epoch: all that is needed to go on exactly."""
        return {
            "config": dict(self.config),
            "epoch": self.epoch,
            "diverged": self.diverged,
            "last": dict(self._last),
            "trained": {name: value.detach().cpu().clone() for name, value in self._network.trained_state().items()},
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "scaler": self._scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a ``state_dict`` of the same task, network and configuration.

        Raises:
            ModelError: If the state is of another configuration or network.
        """
        if state["config"] != self.config:
            raise ModelError(f"a checkpoint must be of the same configuration, but it is of {state['config']}")
        self._network.load_trained_state(state["trained"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self.epoch, self.diverged, self._last = int(state["epoch"]), bool(state["diverged"]), dict(state["last"])

    def close(self) -> None:
        """Lets go of the network and optimizer, and of GPU memory; the run cannot be used afterwards."""
        del self._network, self._optimizer, self._inputs, self._labels, self._halves
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _train(self) -> float:
        network, optimizer = self._network, self._optimizer
        seeds = np.random.SeedSequence([self._seed, self.epoch]).generate_state(3)
        order = torch.randperm(self.task.n_train, generator=torch.Generator().manual_seed(int(seeds[0])))
        batches = _batches(order, self._settings.batch_size)
        generator = torch.Generator().manual_seed(int(seeds[1]))
        devices = [self._device] if self._device.type == "cuda" else []
        lr = float(self.config["lr"])
        total = torch.zeros((), device=self._device)
        network.train()
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(seeds[2]))  # for dropout
            for step, (indices, inputs) in enumerate(self._inputs.training(batches, self.epoch)):
                if self._inputs.augments_afresh:
                    inputs = network.normalize(augment(inputs, str(self.config["augmentation"]), generator))
                for group in optimizer.param_groups:
                    group["lr"] = lr * (step + 1) / len(batches) if self.epoch == 1 else lr
                loss = functional.cross_entropy(
                    network(inputs).float(), self._labels["train"][indices.to(self._device)]
                )
                optimizer.zero_grad(set_to_none=True)
                self._scaler.scale(loss).backward()
                self._scaler.step(optimizer)
                self._scaler.update()
                total += loss.detach() * len(indices)
                if self._device.type == "cpu" and not math.isfinite(float(loss.detach())):
                    break  # on a GPU asking would stall it at every step: there the epoch's sum tells
        return float(total) / self.task.n_train


def _batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Consecutive batches; a last single image joins the batch before it, as batch normalization needs two."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _optimizer(name: str, parameters: list[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(parameters, lr, momentum=0.9, nesterov=True, weight_decay=1e-4, foreach=True)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr, weight_decay=1e-2, foreach=True)
    return torch.optim.RMSprop(parameters, lr, alpha=0.9, momentum=0.9, weight_decay=1e-5, foreach=True)
