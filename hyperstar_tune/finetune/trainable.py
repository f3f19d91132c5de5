"""Fine-tuning as a class trainable of Ray Tune.

Each ``step`` is one epoch. A trial reports ``done`` only where ``patience`` ends it, since a Hyperband scheduler must
see the last result; without a scheduler pass ``stop={"training_iteration": max_epochs}``. Training past ``max_epochs``
goes on with the last learning rate.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import ray
import torch
from ray import cloudpickle, tune
from torch import Tensor

from hyperstar_tune.classification import METRICS
from hyperstar_tune.cluster import check_request
from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune.loop import FineTune, check_validation
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.finetune.watchdog import time_limit
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["FineTuneTrainable", "read_best", "trainable"]

_STATE_FILE = "state.pt"
_BEST = "best"  # its entry for the best epoch
_CHECKPOINT_SECONDS = 60.0
_LARGE_BYTES = 4 << 20  # a larger task travels through Ray's object store, not with the class


class FineTuneTrainable(tune.Trainable):
    """Base of the classes that ``trainable`` makes; not to be used by itself."""

    settings: ClassVar[FineTuneSettings]
    fingerprint: ClassVar[Fingerprint]
    space_name: ClassVar[str | None] = None
    bound_task: ClassVar[ImageTask]  # unless it comes through Ray's object store
    seed: ClassVar[int] = 0
    validation: ClassVar[str] = "whole"
    keep_best_by: ClassVar[str] = "val_accuracy"
    task_identity: ClassVar[dict[str, Any] | None] = None  # see tasks/identity.py
    accept_changed_data: ClassVar[bool] = False
    checked_sizes: ClassVar[tuple[int, ...]] = ()  # image sizes that the network is known to take
    epoch_seconds_limit: ClassVar[float | None] = None
    _best: dict[str, Any] | None = None  # the best epoch so far, its standing and its trained parameters

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Holds what trials ask for against the cluster, as Ray would wait in silence for what it has not.

        ``tune.with_resources`` makes a subclass with a ``default_resource_request`` of its own, which Tune calls on the
        driver before a trial.
        """
        super().__init_subclass__(**arguments)
        asks = cls.__dict__.get("default_resource_request")
        if asks is not None:

            def checked(subclass: type, config: dict[str, Any]) -> tune.PlacementGroupFactory | None:
                request = asks.__get__(None, subclass)(config)
                if isinstance(request, tune.PlacementGroupFactory) and ray.is_initialized():
                    check_request(request.bundles, request.strategy)
                return request

            cls.default_resource_request = classmethod(checked)  # type: ignore[assignment,method-assign]

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory | None:
        """One GPU and one CPU if the cluster has GPUs, else Tune's default; ``tune.with_resources`` overrides it."""
        if cls.settings.device == "cpu" or not ray.is_initialized() or ray.cluster_resources().get("GPU", 0) < 1:
            return None
        return tune.PlacementGroupFactory([{"CPU": 1, "GPU": 1}])

    @classmethod
    def check_image_sizes(cls, image_sizes: Sequence[int | None]) -> None:
        """Refuses image sizes that the network cannot be trained on, for a searcher that knows which it will suggest.

        Raises:
            ModelError: If there is one; a size that works is named.
        """
        cls.settings.check_image_sizes(set(image_sizes) - set(cls.checked_sizes))

    def setup(self, config: dict[str, Any], task: ImageTask | None = None) -> None:
        """Builds the network of the first configuration."""
        self._task = self.bound_task if task is None else task
        self._fine_tune: FineTune | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes another configuration in the same process; decoded images and kept features stay."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Trains one epoch and reports what ``FineTune.train_epoch`` returns."""
        with time_limit(self.epoch_seconds_limit):
            result = self._run().train_epoch()
            self._note(result)
        due = time.monotonic() - self._saved_at >= _CHECKPOINT_SECONDS
        has_diverged = math.isnan(result["val_loss"])
        if due or result["epoch"] == self.settings.max_epochs or (has_diverged and self._best is not None):
            result["should_checkpoint"] = True
        if self._run().stalled:
            result.update(done=True, should_checkpoint=True)
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Writes trained parameters, optimizer and epoch, and the parameters of the best epoch if it is another."""
        with time_limit(self.epoch_seconds_limit):
            state = self._run().state_dict() | {_BEST: self._best}
            if self._best is not None and self._best["epoch"] == state["epoch"]:
                state[_BEST] = {**self._best, "trained": None}  # the same as the trial's own
            torch.save(state, Path(checkpoint_dir) / _STATE_FILE)
        self._saved_at = time.monotonic()

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Goes on from what ``save_checkpoint`` wrote."""
        with time_limit(self.epoch_seconds_limit):
            state = _read_state(str(checkpoint))
            self._run().load_state_dict(state, self.accept_changed_data)
            self._best = state[_BEST]
            if self._best is not None and self._best["trained"] is None:
                self._best["trained"] = state["trained"]

    def cleanup(self) -> None:
        """Frees the network."""
        if self._fine_tune is not None:
            self._fine_tune.close()
            self._fine_tune = None

    def _begin(self, config: dict[str, Any]) -> None:
        with time_limit(self.epoch_seconds_limit):
            self.cleanup()
            self._fine_tune = FineTune(self._task, config, self.settings, seed=self.seed, validation=self.validation)
        self._saved_at = time.monotonic()
        self._best = None

    def _note(self, result: dict[str, Any]) -> None:
        """Keeps the parameters of the best epoch so far; of equal ones that with the lower validation loss."""
        standing = (result[self.keep_best_by], -result["val_loss"])
        if not any(map(math.isnan, standing)) and (self._best is None or standing > tuple(self._best["standing"])):
            epoch = result["epoch"]
            self._best = {"epoch": epoch, "standing": standing, "trained": self._run().trained_state()}

    def _run(self) -> FineTune:
        if self._fine_tune is None:
            raise ModelError("a stopped trial cannot train; start a new one")
        return self._fine_tune


def trainable(
    task: str | Path | ImageTask,
    settings: FineTuneSettings | None = None,
    *,
    seed: int = 0,
    validation: str = "whole",
    keep_best_by: str = "val_accuracy",
    space_name: str | None = None,
    epoch_seconds_limit: float | None = None,
    accept_changed_data: bool = False,
    image_sizes: Sequence[int] = (),
    **fields: Any,
) -> type[FineTuneTrainable]:
    """A trainable that fine-tunes a pretrained network on a task, for ``tune.run`` and ``tune.Tuner``.

    The parameters of its configurations are those of ``finetune.KNOBS``, such as ``lr``, ``optimizer``, ``layers`` and
    ``augmentation``; what a configuration leaves out has its default. Every epoch reports ``epoch``, ``val_accuracy``
    and ``val_loss`` (of the images that decide), ``train_loss`` and ``epoch_seconds``; a diverged trial reports NaN. A
    checkpoint is written when Tune pauses a trial, after ``max_epochs``, and about every 60 seconds in between.

    Args:
        task: A folder, ``"torchvision:NAME"`` or an ``ImageTask``.
        settings: What all configurations share; None takes the defaults of ``FineTuneSettings``.
        seed: Random seed of the new head, the order of images and the augmentation.
        validation: Which validation images decide. ``"whole"``: all of them. Each result then also has ``val_correct``,
            which images were right, from which ``report.run`` corrects the winner's accuracy for having been chosen.
            ``"halves"``: half A, and ``val_accuracy_b`` and ``val_loss_b`` report on half B, as in tables.
        keep_best_by: One of ``classification.METRICS``, by which a checkpoint also keeps the parameters of the best
            epoch; of equal epochs that with the lower loss.
        space_name: Name of the search space, recorded for those who ask.
        epoch_seconds_limit: An epoch that takes longer ends its worker process, so that a trial that hangs fails
            instead of holding its place for ever. Building the network (a download of its weights included), writing
            a checkpoint and reading one have the same limit each. None: no limit.
        accept_changed_data: A saved run or trial is not gone on with if labels or images have changed since. True does
            so all the same.
        image_sizes: Image sizes that configurations will have, such as those of ``IncreasingImageSizes``: whether the
            network takes them is checked at once.
        **fields: Fields of ``FineTuneSettings`` by name, such as ``model="resnet18"``; they override ``settings``.

    Returns:
        A class with the attributes ``settings``, ``fingerprint`` (whose ``space`` is "", meaning any) and
        ``space_name``.

    Raises:
        TaskError: If the images do not make a task.
        ModelError: If the network is unknown or its weights cannot be had, or a setting makes no sense.
    """
    if epoch_seconds_limit is not None and not epoch_seconds_limit > 0:
        raise ModelError(f"epoch_seconds_limit must be positive or None, but got {epoch_seconds_limit!r}")
    if keep_best_by not in METRICS:
        raise ModelError(f"keep_best_by is one of {', '.join(METRICS)}, but got {keep_best_by!r}")
    if validation == "halves" and keep_best_by != METRICS[0]:
        raise ModelError(f"validation='halves' reports {METRICS[0]} alone, but keep_best_by is {keep_best_by!r}")
    images = ImageTask.of(task)
    settings = FineTuneSettings.of(settings, fields)
    settings.check_network(image_sizes)
    attributes = {
        "settings": settings,
        "fingerprint": settings.fingerprint(),
        "space_name": space_name,
        "seed": seed,
        "validation": check_validation(validation),
        "keep_best_by": keep_best_by,
        "task_identity": images.identity(),
        "accept_changed_data": accept_changed_data,
        "checked_sizes": (settings.image_size, *image_sizes),
        "epoch_seconds_limit": epoch_seconds_limit,
        "__doc__": f"Fine-tunes {settings.model} on {images.name}.",
        "__module__": __name__,
    }
    if len(cloudpickle.dumps(images)) > _LARGE_BYTES:
        return tune.with_parameters(type("FineTune", (FineTuneTrainable,), attributes), task=images)
    return type("FineTune", (FineTuneTrainable,), {**attributes, "bound_task": images})


def read_best(checkpoint: str | Path) -> tuple[int, dict[str, Tensor]]:
    """The best epoch that a trial's checkpoint keeps, and the tensors of its trained layers.

    Raises:
        ModelError: If the checkpoint cannot be read, or all its epochs diverged.
    """
    state = _read_state(str(checkpoint))
    best = state[_BEST]
    if best is None:
        raise ModelError(f"a checkpoint must hold an epoch that did not diverge, but {checkpoint} has none")
    return best["epoch"], best["trained"] or state["trained"]


def _read_state(checkpoint: str) -> dict[str, Any]:
    path = Path(checkpoint) / _STATE_FILE
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return {_BEST: None, **state}
    except Exception as error:  # torch raises many kinds for damaged files
        raise ModelError(f"a checkpoint must hold a readable {_STATE_FILE}, but {path} is not: {error}") from error
