"""Fine-tuning as a class trainable of Ray Tune.

Each ``step`` is one epoch. A trial never reports ``done``, since a Hyperband scheduler must see the last result;
without a scheduler pass ``stop={"training_iteration": max_epochs}``. Training past ``max_epochs`` just goes on.
"""

import time
from pathlib import Path
from typing import Any, ClassVar

import ray
import torch
from ray import tune

from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune.loop import FineTune, check_config
from hyperstar_tune.finetune.settings import RunSpec, bind_task
from hyperstar_tune.finetune.watchdog import time_limit
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["FineTuneTrainable", "trainable"]

_STATE_FILE = "state.pt"
_CHECKPOINT_SECONDS = 60.0


class FineTuneTrainable(tune.Trainable):
    """Base of the classes that ``trainable`` makes; useless by itself."""

    spec: ClassVar[RunSpec]
    fingerprint: ClassVar[Fingerprint]
    space_name: ClassVar[str | None] = None
    bound_task: ClassVar[ImageTask | None] = None
    seed: ClassVar[int] = 0
    epoch_seconds_limit: ClassVar[float | None] = None

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory | None:
        """One GPU and one CPU where the cluster has GPUs, else Tune's default; ``tune.with_resources`` goes first."""
        if cls.spec.device == "cpu" or not ray.is_initialized() or ray.cluster_resources().get("GPU", 0) < 1:
            return None
        return tune.PlacementGroupFactory([{"CPU": 1, "GPU": 1}])

    def setup(self, config: dict[str, Any], task: ImageTask | None = None) -> None:
        """Builds the network of the first configuration."""
        found = task or self.bound_task
        if found is None:
            raise ModelError("a fine-tuning class needs a task; make it with finetune.trainable(task, ...)")
        self._task = found
        self._fine_tune: FineTune | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes another configuration in the same process; decoded images and kept features stay."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One epoch; see ``FineTune.train_epoch`` for the metrics."""
        with time_limit(self.epoch_seconds_limit):
            result = self._run().train_epoch()
        due = time.monotonic() - self._saved_at >= _CHECKPOINT_SECONDS
        if due or result["epoch"] == self.spec.max_epochs:
            result["should_checkpoint"] = True
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Writes trained parameters, optimizer and epoch."""
        with time_limit(self.epoch_seconds_limit):
            torch.save(self._run().state_dict(), Path(checkpoint_dir) / _STATE_FILE)
        self._saved_at = time.monotonic()

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Goes on from what ``save_checkpoint`` wrote."""
        path = Path(str(checkpoint)) / _STATE_FILE
        with time_limit(self.epoch_seconds_limit):
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # torch raises many kinds for damaged files
                raise ModelError(
                    f"a checkpoint must hold a readable {_STATE_FILE}, but {path} is not: {error}"
                ) from error
            self._run().load_state_dict(state)

    def cleanup(self) -> None:
        """Frees the network."""
        if self._fine_tune is not None:
            self._fine_tune.close()
            self._fine_tune = None

    def _begin(self, config: dict[str, Any]) -> None:
        with time_limit(self.epoch_seconds_limit):
            self.cleanup()
            self._fine_tune = self.spec.start(self._task, check_config(config), self.seed)
        self._saved_at = time.monotonic()

    def _run(self) -> FineTune:
        if self._fine_tune is None:
            raise ModelError("a stopped trial cannot train; start a new one")
        return self._fine_tune


def trainable(
    task: str | Path | ImageTask,
    model: str = "mobilenetv2_100",
    *,
    weights: str | Path = "hub",
    image_size: int = 64,
    batch_size: int = 32,
    max_epochs: int | None = None,
    seed: int = 0,
    device: str | None = None,
    evaluate_at: tuple[int, ...] | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    model_kwargs: dict[str, Any] | None = None,
    memory_limit: int = 1 << 30,
    space_name: str | None = None,
    epoch_seconds_limit: float | None = None,
) -> type[FineTuneTrainable]:
    """A trainable that fine-tunes a pretrained network on a task, for ``tune.run`` and ``tune.Tuner``.

    Its configurations have ``lr``, ``optimizer`` (sgd, adamw, rmsprop), ``layers`` (head, last_stage, all) and
    ``augmentation`` (none, basic, strong). Every epoch reports ``epoch``, ``val_accuracy`` and ``val_loss`` (validation
    half A, which decides), ``val_accuracy_b`` and ``val_loss_b`` (half B, which reports), ``train_loss`` and
    ``epoch_seconds``; a diverged trial reports NaN. A checkpoint is written when Tune pauses a trial, after
    ``max_epochs``, and about every 60 seconds in between.

    Args:
        task: A folder, ``"torchvision:NAME"`` or an ``ImageTask``.
        model: A network of timm or torchvision by name (``finetune.build_model``).
        weights: ``"hub"``, ``"own"`` (the backbone shipped here) or a local file.
        image_size: Side in pixels.
        batch_size: Training images a step.
        max_epochs: R; only recorded, in the fingerprint. None: the plan's.
        seed: Of head, order and augmentation.
        device: None takes the GPU that Ray assigns, if any.
        evaluate_at: Epochs after which accuracy is measured; None: every one.
        mean: Of RGB in [0, 1], if the weights want another than the library says.
        std: As ``mean``.
        model_kwargs: Further arguments of the network's constructor.
        memory_limit: Bytes of decoded images, and of kept features, above which they are streamed.
        space_name: Recorded for those who ask.
        epoch_seconds_limit: An epoch that takes longer ends its worker process, so that a trial that hangs fails
            instead of holding its place for ever. Building the network (a download of its weights included), writing
            a checkpoint and reading one have the same limit each. None: no limit.

    Returns:
        A class with the attributes ``fingerprint`` (whose ``space`` is "", meaning any) and ``space_name``.

    Raises:
        TaskError: If the images do not make a task.
        ModelError: If the network is unknown or its weights cannot be had, or the limit is not positive.
    """
    if epoch_seconds_limit is not None and not epoch_seconds_limit > 0:
        raise ModelError(f"epoch_seconds_limit must be positive or None, but got {epoch_seconds_limit!r}")
    images = ImageTask.of(task)
    spec = RunSpec.checked(
        model, weights, image_size, batch_size, max_epochs, mean, std, model_kwargs, device, evaluate_at, memory_limit
    )
    attributes = {
        "spec": spec,
        "fingerprint": spec.fingerprint(),
        "space_name": space_name,
        "seed": seed,
        "epoch_seconds_limit": epoch_seconds_limit,
        "__doc__": f"Fine-tunes {model} on {images.name}.",
        "__module__": __name__,
    }
    made = type("FineTune", (FineTuneTrainable,), attributes)
    return bind_task(made, images)  # type: ignore[return-value]
