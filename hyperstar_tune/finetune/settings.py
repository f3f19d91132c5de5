"""The settings that all configurations of a fine-tuning run share."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune.from_scratch import FROM_SCRATCH
from hyperstar_tune.finetune.layers import find_groups
from hyperstar_tune.finetune.models import build_model, check_image_size, check_model_name, weights_id
from hyperstar_tune.finetune.packages import find_package
from hyperstar_tune.finetune.schedule import SETTLE_SHARE, Schedule
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.space import SearchSpace

__all__ = ["VIEWS", "FineTuneSettings"]

VIEWS = 4  # augmented views of each image when frozen layers are run once


@dataclass(frozen=True, kw_only=True)
class FineTuneSettings:
    """What fine-tuning needs besides a task and a configuration.

    ``trainable`` and ``collect`` take such an object, or its fields as keyword arguments, or both (the keyword
    arguments win).

    Attributes:
        model: A network of timm or torchvision by name (see ``finetune.build_model``), or ``"cnn-from-scratch"``.
        weights: ``"hub"``, ``"package"`` (ImageNet weights that install with ``hyperstar_tune[weights]``), ``"own"``
            (the backbone shipped here), ``"none"`` (new ones) or a local file.
        image_size: Side of the images in pixels.
        batch_size: Training images of one step.
        max_epochs: R, the epochs of a configuration that is trained to the end. None: not known yet.
        schedule: ``"constant"``, ``"cosine"`` or ``"settle"`` (described in schedule.py). None: ``"settle"`` if
            ``max_epochs`` is known, else ``"constant"``.
        settle_share: Share of ``max_epochs``, at their end, over which ``"settle"`` lowers the learning rate to zero.
        evaluate_at: Epochs, besides the first, after which validation accuracy is measured; in between the last values
            hold. None: after every epoch (``collect``: at the epochs of the protocol).
        patience: Epochs without a better validation accuracy (half A) after which training ends; its last values hold
            from then on. None: no end.
        mean: Mean of RGB in [0, 1], where the weights want another than the library (or their package) says.
        std: Standard deviation of RGB, as ``mean``.
        model_kwargs: Further arguments of the network's constructor.
        device: ``"cpu"``, ``"cuda"``...; None takes a GPU if there is one (under Ray: if one is assigned).
        memory_limit: Bytes of decoded images, and of kept features, above which they are computed as they come.

    Raises:
        ModelError: If a number makes no sense or no library knows the network.
    """

    model: str = "mobilenetv2_100"
    weights: str | Path = "hub"
    image_size: int = 64
    batch_size: int = 32
    max_epochs: int | None = None
    schedule: str | None = None
    settle_share: float = SETTLE_SHARE
    evaluate_at: tuple[int, ...] | None = None
    patience: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    device: str | None = None
    memory_limit: int = 1 << 30

    def __post_init__(self) -> None:
        for name, low in (("image_size", 8), ("batch_size", 2), ("max_epochs", 1), ("patience", 1)):
            value = getattr(self, name)
            if value is None and name in ("max_epochs", "patience"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ModelError(f"{name} must be a whole number of at least {low}, but got {value!r}")
        self.schedule_of(self.schedule)
        library, plain = check_model_name(self.model)
        weights = str(self.weights)
        if plain == FROM_SCRATCH:
            if weights not in ("hub", "none"):
                raise ModelError(f"{FROM_SCRATCH} has new weights, but got weights={weights!r}; leave it out")
            weights = "none"
        if weights == "package":
            find_package(self.model)
        is_file = weights not in ("hub", "package", "own", "none")
        plainly = {
            # One name per network, for fingerprints.
            "model": f"torchvision/{plain}" if library == "torchvision" else plain,
            # Workers have another working directory.
            "weights": str(Path(weights).expanduser().absolute()) if is_file else weights,
            "model_kwargs": dict(self.model_kwargs or {}),
            **{name: tuple(given) for name in ("evaluate_at", "mean", "std") if (given := getattr(self, name))},
        }
        for name, value in plainly.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, settings: "FineTuneSettings | None", changes: dict[str, Any]) -> "FineTuneSettings":
        """Settings with some fields changed; the defaults where there are no settings.

        Raises:
            ModelError: If there is no such field, or its value makes no sense.
        """
        if settings is not None and not isinstance(settings, cls):
            raise ModelError(f"settings must be FineTuneSettings, but got {settings!r}; name the model as model=...")
        known = [f.name for f in fields(cls)]
        unknown = next((name for name in changes if name not in known), None)
        if unknown is not None:
            raise ModelError(f"the settings of fine-tuning are {', '.join(known)}, but got {unknown!r}")
        return replace(settings or cls(), **changes)

    def check_network(self, image_sizes: Iterable[int] = ()) -> None:
        """Builds the network once, so that what cannot work on a worker is refused before anything runs.

        Args:
            image_sizes: Further image sizes that configurations will have.

        Raises:
            ModelError: If the network cannot be built, trained on the images or divided into layers.
        """
        self.check_image_sizes([self.image_size, *image_sizes])
        model = build_model(self.model, 2, self.weights, self.image_size, self.model_kwargs)
        find_groups(model, self.image_size)

    def check_image_sizes(self, image_sizes: Iterable[int | None]) -> None:
        """Trains the network for one step on images of each size; None stands for that of the settings.

        Raises:
            ModelError: If it does not take a size; one that works is named.
        """
        for size in sorted({size for size in image_sizes if size is not None}):
            check_image_size(self.model, size, self.model_kwargs)

    def torch_device(self) -> torch.device:
        """Where this process trains."""
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def schedule_of(self, name: str | None = None) -> Schedule:
        """The schedule of a configuration that names one, or of all that name none.

        Raises:
            ModelError: If there is none of this name, or it needs ``max_epochs``.
        """
        usual = self.schedule or ("constant" if self.max_epochs is None else "settle")
        return Schedule(name or usual, self.max_epochs, self.settle_share)

    def normalization(self) -> dict[str, tuple[float, float, float] | None]:
        """``mean`` and ``std`` of RGB as given, else as a package of weights says; None: as the library says."""
        package = find_package(self.model) if self.weights == "package" else self
        return {"mean": self.mean or package.mean, "std": self.std or package.std}

    @property
    def protocol(self) -> int:
        """Version of docs/protocol.md that tables measured with these settings follow: 1 has a constant rate."""
        return 1 if self.schedule_of().name == "constant" else 2

    def fingerprint(self, space: SearchSpace | None = None) -> Fingerprint:
        """The fingerprint of curves that are measured with these settings, in a space or (None) in any.

        What the space varies (image size, batch size, schedule) is left open.
        """
        varied = space.parameters if space is not None else ()
        given = {**self.normalization(), **self.model_kwargs}
        changed = ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
        return Fingerprint(
            space=space.fingerprint if space is not None else "",
            model=self.model,
            weights=weights_id(self.model, self.weights),
            preprocessing=changed or "the network's own",
            image_size=None if "image_size" in varied else self.image_size,
            schedule="" if "schedule" in varied else str(self.schedule_of()),
            batch_size=None if "batch_size" in varied else self.batch_size,
            max_epochs=self.max_epochs,
            views=VIEWS,
            protocol=self.protocol,
        )
