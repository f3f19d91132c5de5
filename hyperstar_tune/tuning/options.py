"""What a run of ``hyperstar tune`` was asked for. It is kept in the run's folder, so that a run goes on as it began."""

import json
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from hyperstar_tune._files import write_file
from hyperstar_tune.classification import METRICS
from hyperstar_tune.errors import PlanError, SearchError
from hyperstar_tune.finetune.packages import WEIGHT_PACKAGES
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.shipped import DEFAULT_PREDICTOR, OWN_MODEL

__all__ = ["OPTIONS_FILE", "TuneOptions", "default_network"]

OPTIONS_FILE = "tune.json"
_HUB_MODEL = "mobilenetv2_100"
_OWN_PREDICTOR = "shufflenet-v2-x1-64px"  # trained with the weights "own"


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """What a run needs to know besides the folder that it writes.

    Raises:
        PlanError: If there is no budget, or more than one.
        SearchError: If the metric is unknown.
    """

    task: str  # a folder of images, or "torchvision:NAME"
    model: str | None = None  # None: that of the weights
    weights: str | None = None  # None: those of an installed package, else the hub's
    predictor: str | None = None  # None: one that was trained with such weights, else the default one
    hours: float | None = None  # budget of the whole run
    epochs: int | None = None  # the same, as epochs of all configurations together
    max_epochs: int | None = None  # R; None: by the budget
    image_size: int = 64
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    model_args: dict[str, Any] = field(default_factory=dict)
    space: dict[str, Any] | None = None  # what is searched, as JSON of a SearchSpace; None: the predictor's space
    metric: str = "val_accuracy"
    cpus_per_trial: float = 1
    gpus_per_trial: float | None = None  # None: one if the cluster has any
    epoch_seconds_limit: float | None = None
    refit: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.hours is None) == (self.epochs is None):
            raise PlanError("a run needs one budget: --hours 2, or --epochs 136 (of all configurations together)")
        if self.hours is not None and not self.hours > 0:
            raise PlanError(f"--hours must be positive, but got {self.hours}")
        if self.epochs is not None and self.epochs < 1:
            raise PlanError(f"--epochs must be at least 1, but got {self.epochs}")
        if self.metric not in METRICS:
            raise SearchError(f"a metric is one of {', '.join(METRICS)}, but got {self.metric!r}")
        model, weights = default_network(self.model, self.weights)
        known = _OWN_PREDICTOR if weights == "own" else DEFAULT_PREDICTOR
        for name, value in (("model", model), ("weights", weights), ("predictor", self.predictor or known)):
            object.__setattr__(self, name, value)
        for name in ("mean", "std"):
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if value is not None else None)

    def settings(self, max_epochs: int) -> FineTuneSettings:
        """The settings of fine-tuning.

        Raises:
            ModelError: If they make no sense.
        """
        model, weights = default_network(self.model, self.weights)
        return FineTuneSettings(
            model=model,
            weights=weights,
            image_size=self.image_size,
            max_epochs=max_epochs,
            mean=self.mean,
            std=self.std,
            model_kwargs=self.model_args,
        )

    def save(self, run: Path, **more: Any) -> None:
        """Writes the options into the folder of a run, with further entries."""
        write_file(run / OPTIONS_FILE, (json.dumps(asdict(self) | more, indent=1) + "\n").encode())

    @classmethod
    def load(cls, run: Path) -> "tuple[TuneOptions, dict[str, Any]]":
        """Options and further entries of a run.

        Raises:
            SearchError: If the folder has none, or they are damaged.
        """
        path = run / OPTIONS_FILE
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            own = {f.name for f in fields(cls)}
            options = cls(**{name: value for name, value in entries.items() if name in own})
            return options, {name: value for name, value in entries.items() if name not in own}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise SearchError(
                f"a run of hyperstar tune has a readable {OPTIONS_FILE}, but {run} has not: {error}"
            ) from error


def default_network(model: str | None, weights: str | None) -> tuple[str, str]:
    """A network and its weights where one or both are not chosen: weights that are installed come before the hub's."""
    if weights is None:
        weights = "hub"
        for name, package in WEIGHT_PACKAGES.items():
            if model in (None, name) and _is_installed(package.name):
                weights = "package"
    if model is None:
        model = {"package": next(iter(WEIGHT_PACKAGES)), "own": OWN_MODEL}.get(weights, _HUB_MODEL)
    return model, weights


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
