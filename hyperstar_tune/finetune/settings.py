"""What a run of fine-tuning needs besides its configuration, and how it reaches a worker of Ray."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune

from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune.layers import find_groups
from hyperstar_tune.finetune.loop import SCHEDULE, VIEWS, FineTune
from hyperstar_tune.finetune.models import NetworkSpec, build_model, check_model_name, weights_id
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["RunSpec", "bind_task"]

_LARGE_BYTES = 4 << 20  # a task above this goes through Ray's object store, not with the class


@dataclass(frozen=True)
class RunSpec:
    """Settings that all configurations of a run share."""

    network: NetworkSpec
    batch_size: int
    max_epochs: int | None
    device: str | None
    evaluate_at: tuple[int, ...] | None
    memory_limit: int

    @classmethod
    def checked(
        cls,
        model: str,
        weights: str | Path,
        image_size: int,
        batch_size: int,
        max_epochs: int | None,
        mean: tuple[float, float, float] | None,
        std: tuple[float, float, float] | None,
        model_kwargs: dict[str, Any] | None,
        device: str | None = None,
        evaluate_at: tuple[int, ...] | None = None,
        memory_limit: int = 1 << 30,
    ) -> "RunSpec":
        """Refuses, before anything runs, what could not work on a worker.

        Raises:
            ModelError: If a number makes no sense, or the network cannot be built, run and divided into layers.
        """
        for name, value, low in (
            ("image_size", image_size, 8),
            ("batch_size", batch_size, 2),
            *((("max_epochs", max_epochs, 1),) if max_epochs is not None else ()),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ModelError(f"{name} must be a whole number of at least {low}, but got {value!r}")
        if str(weights) not in ("hub", "own"):
            weights = str(Path(weights).expanduser().absolute())  # workers have another working directory
        library, plain = check_model_name(model)
        name = plain if library == "timm" else f"torchvision/{plain}"  # one name a network, for fingerprints
        network = NetworkSpec(name, str(weights), image_size, mean, std, dict(model_kwargs or {}))
        find_groups(build_model(name, 2, network.weights, image_size, network.kwargs), image_size)
        return cls(network, batch_size, max_epochs, device, evaluate_at, memory_limit)

    def fingerprint(self, space: str = "") -> Fingerprint:
        """What curves measured with these settings must agree on."""
        return Fingerprint(
            space=space,
            model=self.network.model,
            weights=weights_id(self.network.model, self.network.weights),
            preprocessing=self.network.preprocessing(),
            image_size=self.network.image_size,
            schedule=SCHEDULE,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            views=VIEWS,
        )

    def start(
        self, task: ImageTask, config: dict[str, Any], seed: int, clock: Callable[[], float] = time.perf_counter
    ) -> FineTune:
        """A fresh run of one configuration."""
        return FineTune(
            task,
            config,
            self.network,
            batch_size=self.batch_size,
            seed=seed,
            device=self.device,
            evaluate_at=self.evaluate_at,
            memory_limit=self.memory_limit,
            clock=clock,
        )


def bind_task(trainable: type[tune.Trainable], task: ImageTask) -> type[tune.Trainable]:
    """Gives ``setup`` its argument ``task``, by value while small, through the object store when large."""
    if len(cloudpickle.dumps(task)) > _LARGE_BYTES:
        return tune.with_parameters(trainable, task=task)
    trainable.bound_task = task  # type: ignore[attr-defined]
    return trainable
