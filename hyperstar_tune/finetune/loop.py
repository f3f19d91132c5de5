"""Fine-tuning one configuration on one task, an epoch at a time, without Ray.

The rules are those of docs/protocol.md (Training): frozen layers are in evaluation mode, and if the first layers are
frozen, their output for four seeded augmented views of each image is kept. All randomness comes from (seed, epoch). So
a run that continues from a checkpoint gives the curve of an undisturbed one.
"""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hyperstar_tune.choosing import pack_correct
from hyperstar_tune.classification import confusion_matrix, scores_of
from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune.augmentation import augment
from hyperstar_tune.finetune.cache import TensorCache, process_cache
from hyperstar_tune.finetune.from_scratch import shape_knobs
from hyperstar_tune.finetune.inputs import Inputs
from hyperstar_tune.finetune.knobs import check_config
from hyperstar_tune.finetune.network import Network
from hyperstar_tune.finetune.optimizers import make_optimizer
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.tasks.identity import refuse_changed_data
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["VALIDATION", "FineTune", "check_validation"]

VALIDATION = (
    "whole",  # all validation images decide; results say which of them were right, so that the choice can be corrected
    "halves",  # half A decides and half B reports, as in tables (docs/protocol.md)
)

_MEASURED = ("val_accuracy", "val_loss")
_logger = logging.getLogger("hyperstar_tune")


class FineTune:
    """One configuration while it is fine-tuned.

    Args:
        task: The images.
        config: Values of ``KNOBS``; a knob that is left out has its default.
        settings: The network and everything else that all configurations share.
        seed: Random seed of the new head, the order of images and the augmentation.
        validation: Which images decide, one of ``VALIDATION``.
        cache: Cache that the runs of a process share.
        clock: Clock that ``epoch_seconds`` is read from.

    Raises:
        SpaceError: If the configuration is not one of fine-tuning.
        ModelError: If the network cannot be built or fine-tuned, or ``validation`` is unknown.
    """

    def __init__(
        self,
        task: ImageTask,
        config: dict[str, Any],
        settings: FineTuneSettings,
        *,
        seed: int = 0,
        validation: str = "halves",
        cache: TensorCache | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        knobs = shape_knobs(settings.model)
        self.config = check_config(config, knobs)
        own: dict[str, Any] = {name: v for name in ("image_size", "batch_size") if (v := self.config[name]) is not None}
        if knobs:
            own["model_kwargs"] = {**settings.model_kwargs, **{name: self.config[name] for name in knobs}}
        settings = replace(settings, **own)
        self._schedule = settings.schedule_of(self.config["schedule"])
        self.task = task
        self.epoch = 0
        self.diverged = False
        self.stalled = False  # patience is at its end: nothing is trained any more
        self._best = (-math.inf, 0)  # best half-A accuracy, and its epoch
        self._settings, self._seed, self._clock = settings, seed, clock
        cache = process_cache if cache is None else cache
        layers, policy = self.config["layers"], self.config["augmentation"]
        self._network = Network(
            settings, len(task.classes), layers, seed, cache, self.config["dropout"], self.config["batch_norm"]
        )
        self._device = self._network.device
        self._inputs = Inputs(task, self._network, policy, seed, settings.memory_limit, cache)
        groups = self._network.parameter_groups(self.config["layer_decay"], self.config["head_lr_multiplier"])
        self._optimizer = make_optimizer(groups, self.config)
        # float16 needs its gradients scaled, bfloat16 does not.
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._network.amp_dtype is torch.float16)
        self._labels = {s: torch.tensor(task.labels(s), device=self._device) for s in ("train", "val")}
        self._class_weights: Tensor | None = None
        if self.config["class_weights"] == "balanced":  # their mean over the training images is 1
            counts = torch.bincount(self._labels["train"], minlength=len(task.classes)).clamp(min=1)
            self._class_weights = task.n_train / (len(task.classes) * counts.float())
        self._cross_entropy = partial(
            functional.cross_entropy, weight=self._class_weights, label_smoothing=self.config["label_smoothing"]
        )
        self._parts = {suffix: part.to(self._device) for suffix, part in _parts(task, validation).items()}
        self._unknown: dict[str, Any] = {f"{name}{s}": math.nan for s in self._parts for name in _MEASURED}
        if "_b" not in self._parts:
            self._unknown |= {"val_balanced_accuracy": math.nan, "val_macro_f1": math.nan, "val_correct": ""}
        self._last = self._unknown  # of the last evaluation
        self._last_loss = math.nan

    @property
    def device_name(self) -> str:
        """``"cpu"`` or the name of the GPU."""
        return "cpu" if self._device.type == "cpu" else torch.cuda.get_device_name(self._device)

    def train_epoch(self) -> dict[str, Any]:
        """Trains one epoch.

        Returns:
            ``epoch``, what ``evaluate`` says, ``train_loss`` and ``epoch_seconds``. ``train_loss`` is the loss that was
            minimized, with smoothed labels, mixed inputs and class weights if the configuration has them. Validation
            losses are plain. From the epoch on in which the loss is not finite any more, losses and accuracies are NaN,
            and the run trains nothing. After ``patience`` epochs without a better accuracy it trains nothing either,
            and the last values hold.
        """
        start = self._clock()
        self.epoch += 1
        if self._schedule.name != "constant" and self.epoch == (self._settings.max_epochs or 0) + 1:
            _logger.warning("training goes on past max_epochs=%d with the last learning rate", self.epoch - 1)
        if self.stalled:
            return {"epoch": self.epoch, **self._last, "train_loss": self._last_loss, "epoch_seconds": 0.0}
        train_loss = math.nan if self.diverged else self._train()
        evaluate_at = self._settings.evaluate_at
        if not self.diverged and (self.epoch == 1 or evaluate_at is None or self.epoch in evaluate_at):
            self._last = self.evaluate()
            self._notice_stall()
        if self.diverged or not math.isfinite(train_loss) or math.isnan(self._last["val_loss"]):
            self.diverged = True
            self._last = self._unknown
            train_loss = math.nan
        self._last_loss = train_loss
        return {
            "epoch": self.epoch,
            **self._last,
            "train_loss": train_loss,
            "epoch_seconds": self._clock() - start,
        }

    def _notice_stall(self) -> None:
        if self._last["val_accuracy"] > self._best[0]:
            self._best = (self._last["val_accuracy"], self.epoch)
        patience = self._settings.patience
        self.stalled = patience is not None and self.epoch - self._best[1] >= patience

    def evaluate(self) -> dict[str, Any]:
        """Accuracy and mean loss of the validation images.

        Returns:
            With ``validation="halves"`` ``val_accuracy`` and ``val_loss`` on half A, and (``_b``) on half B. With
            ``"whole"`` the two on all images, ``val_balanced_accuracy``, ``val_macro_f1``, and ``val_correct``, which
            images were classified right (packed as by ``pack_correct``; empty if the loss is not finite).
        """
        outputs, labels = self._logits("val"), self._labels["val"]
        losses = functional.cross_entropy(outputs, labels, reduction="none")
        decided = outputs.argmax(1)
        correct = (decided == labels).float()
        metrics = dict(self._unknown)
        for suffix, part in self._parts.items():
            loss = float(losses[part].mean())
            if math.isfinite(loss):
                metrics |= {f"val_accuracy{suffix}": float(correct[part].mean()), f"val_loss{suffix}": loss}
        if "val_correct" in metrics and math.isfinite(metrics["val_loss"]):
            scores = scores_of(confusion_matrix(self.task.val_labels, decided.cpu().numpy(), len(self.task.classes)))
            metrics |= {"val_balanced_accuracy": scores.balanced_accuracy, "val_macro_f1": scores.macro_f1}
            metrics["val_correct"] = pack_correct(correct.cpu().numpy())
        return metrics

    @property
    def normalization(self) -> dict[str, tuple[float, ...]]:
        """``mean`` and ``std`` of RGB in [0, 1] that the network's images are normalized with."""
        return self._network.normalization

    @property
    def settings(self) -> FineTuneSettings:
        """The settings, with the image and batch size of the configuration."""
        return self._settings

    def whole_state(self) -> dict[str, Tensor]:
        """All tensors of the network, frozen and trained, by name."""
        return self._network.model.state_dict()

    def trained_state(self) -> dict[str, Tensor]:
        """A copy on the CPU of the tensors of the trained layers."""
        return {name: value.detach().cpu().clone() for name, value in self._network.trained_state().items()}

    def load_trained_state(self, state: dict[str, Tensor]) -> None:
        """Takes what ``trained_state`` gave."""
        self._network.load_trained_state(state)

    def predict(self, split: str = "val") -> Tensor:
        """Logits [n, classes] of the images of a split, without augmentation, on the CPU."""
        return self._logits(split).cpu()

    def state_dict(self) -> dict[str, Any]:
        """Trained parameters, optimizer and epoch: everything that is needed to go on exactly."""
        return {
            "config": dict(self.config),
            "epoch": self.epoch,
            "diverged": self.diverged,
            "last": {**self._last, "train_loss": self._last_loss},
            "stalled": self.stalled,
            "best_epoch": self._best,
            "trained": self.trained_state(),
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "scaler": self._scaler.state_dict(),
            "task": self.task.identity(),
        }

    def load_state_dict(self, state: dict[str, Any], accept_changed_data: bool = False) -> None:
        """Goes on from a ``state_dict`` of the same task, network and configuration.

        Raises:
            ModelError: If the state is of another configuration or network.
            TaskError: If labels or images have changed since, unless that is accepted.
        """
        if not accept_changed_data:
            refuse_changed_data(state.get("task"), self.task.identity(), "a saved trial")
        if state["config"] != self.config:
            raise ModelError(f"a checkpoint must be of the same configuration, but it is of {state['config']}")
        self._network.load_trained_state(state["trained"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self.epoch, self.diverged, self._last = int(state["epoch"]), bool(state["diverged"]), dict(state["last"])
        self._last_loss = self._last.pop("train_loss", math.nan)
        self.stalled, self._best = bool(state.get("stalled")), tuple(state.get("best_epoch", self._best))

    def close(self) -> None:
        """Frees the network, the optimizer and GPU memory; the run cannot be used afterwards."""
        del self._network, self._optimizer, self._inputs, self._labels, self._parts
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _logits(self, split: str) -> Tensor:
        self._network.eval()
        batch_size = 32 if self._device.type == "cpu" else 128  # a CPU's cache holds the activations: twice as fast
        with torch.inference_mode():
            return torch.cat([self._network(batch).float() for batch in self._inputs.plain(split, batch_size)])

    def _train(self) -> float:
        network, optimizer, config = self._network, self._optimizer, self.config
        seeds = np.random.SeedSequence([self._seed, self.epoch]).generate_state(4)
        order = torch.randperm(self.task.n_train, generator=torch.Generator().manual_seed(int(seeds[0])))
        batches = _batches(order, self._settings.batch_size)
        generator = torch.Generator().manual_seed(int(seeds[1]))
        shares = np.random.default_rng(seeds[3])  # of mixup
        devices = [self._device] if self._device.type == "cuda" else []
        total = torch.zeros((), device=self._device)
        network.train()
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(seeds[2]))  # for dropout
            for step, (indices, inputs) in enumerate(self._inputs.training(batches, self.epoch)):
                if self._inputs.augments_afresh:
                    inputs = network.normalize(augment(inputs, config["augmentation"], generator))
                rate = self._schedule.rate(config["lr"], self.epoch, step, len(batches))
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["lr_scale"]
                share = float(shares.beta(config["mixup"], config["mixup"])) if config["mixup"] else 1.0
                loss = self._loss(inputs, self._labels["train"][indices.to(self._device)], share)
                optimizer.zero_grad(set_to_none=True)
                self._scaler.scale(loss).backward()
                if config["grad_clip"]:
                    self._scaler.unscale_(optimizer)
                    torch.nn.utils.clip_grad_norm_(network.parameters, config["grad_clip"])
                self._scaler.step(optimizer)
                self._scaler.update()
                total += loss.detach() * len(indices)
                if self._device.type == "cpu" and not math.isfinite(float(loss.detach())):
                    break  # on a GPU this question would stall every step, and the sum of the epoch answers it
        return float(total) / self.task.n_train

    def _loss(self, inputs: Tensor, labels: Tensor, share: float) -> Tensor:
        """Mean loss of a batch that is mixed with its reverse, which has ``1 - share`` of inputs and loss."""
        if share != 1:
            inputs = share * inputs + (1 - share) * inputs.flip(0)
        logits = self._network(inputs).float()
        loss = self._cross_entropy(logits, labels)
        if share != 1:
            loss = share * loss + (1 - share) * self._cross_entropy(logits, labels.flip(0))
        return loss + self._penalty()

    def _penalty(self) -> Tensor | float:
        """L1 and L2 penalty of the trained weights, without biases and norms."""
        l1, l2 = self.config["l1"], self.config["l2"]
        weights = [p for p in self._network.parameters if p.ndim > 1] if l1 or l2 else []
        penalties = [(l1 * p.abs().sum() if l1 else 0) + (l2 * p.square().sum() if l2 else 0) for p in weights]
        return sum(penalties, 0.0)


def check_validation(validation: str) -> str:
    """One of ``VALIDATION``, as given; raises a ModelError if it is none."""
    if validation not in VALIDATION:
        raise ModelError(f"validation must be one of {', '.join(VALIDATION)}, but got {validation!r}")
    return validation


def _parts(task: ImageTask, validation: str) -> dict[str, Tensor]:
    """Indices of the validation images that decide (under an empty suffix) and that report, if any do (``_b``)."""
    parts = task.val_halves() if check_validation(validation) == "halves" else (np.arange(task.n_val),)
    return dict(zip(("", "_b"), map(torch.from_numpy, parts), strict=False))


def _batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Consecutive batches; a last single image joins the batch before it, as batch normalization needs two."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
