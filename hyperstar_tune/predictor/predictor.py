"""A trained predictor of any method: it looks at the images of a task and ranks configurations for them.

There are three methods: the paper's networks (``NetworkPredictor``), HyperSTAR+ (``PlusPredictor``), and HyperSTAR+ for
any space (``AnySpacePredictor``). The predictor's card says which one it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hyperstar_tune.errors import PredictorError, first_line
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.log import LOGGER
from hyperstar_tune.predictor.artifact import read_artifact, write_artifact
from hyperstar_tune.predictor.kept import OTHER_NETWORK
from hyperstar_tune.predictor.known import KNOWN_TASKS, KnownTasks
from hyperstar_tune.predictor.own_space import bounds_of, configs_of, outside, rank_space, within
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.shipped import BACKBONE, backbone_hash, predictor_names, predictor_path
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tasks.task import ImageTask

if TYPE_CHECKING:
    from hyperstar_tune.predictor.task_scores import TaskScores
    from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["DEFAULT_IMAGE_SIZE", "Predictor", "TraitEffect", "card_entry", "check_images", "remark_few"]

Self = TypeVar("Self", bound="Predictor")

_FEW_TASKS, _FEW_FAMILIES = 10, 5
DEFAULT_IMAGE_SIZE = 64  # side in pixels, where a table or predictor states none
_LARGEST_IMAGE = 4096  # side in pixels; ten batches of larger images would not fit a machine


@dataclass(frozen=True)
class TraitEffect:
    """A trait of a task, and how it moved the scores of n configurations away from the average over known tasks."""

    name: str
    meaning: str
    value: float
    known_mean: float  # of the known tasks
    known_deviation: float
    moved: tuple[float, ...]  # [n], added to the average score of each configuration


class Predictor(ABC):
    """A predictor of any method.

    Attributes:
        card: The model card, with its origin, tasks with the hashes of their images, settings, quality and limits.
        space: The search space it knows.
        fingerprint: The circumstances its scores hold for.
        run: The circumstances of the runs that it ranks for, as ``under`` was told; what is open is as in its own.
        known: What was measured on the tasks it learned from; None if it does not keep that.
    """

    def __init__(
        self, space: SearchSpace, fingerprint: Fingerprint, card: Mapping[str, Any], trained: str = "none"
    ) -> None:
        self.space, self.fingerprint = space, fingerprint
        self.known: KnownTasks | None = None
        self.run = Fingerprint(protocol=None)
        self.card: dict[str, Any] = dict(card) | {
            "backbone": {"name": BACKBONE, "sha256_16": backbone_hash(), "trained": trained},
            "space": space.to_json(),
            "fingerprint": fingerprint.to_json(),
        }

    @classmethod
    def load(cls, name_or_path: "str | Path | Predictor", device: str | torch.device = "cpu") -> "Predictor":
        """Loads a predictor that ships with the package by its name, or any predictor by its directory.

        Raises:
            PredictorError: If there is none, or its files are damaged, foreign or of an unknown version or method.
        """
        if isinstance(name_or_path, Predictor):
            return name_or_path
        directory = Path(name_or_path).expanduser()
        if str(name_or_path) in predictor_names():
            directory = predictor_path(str(name_or_path))
        elif not directory.is_dir():
            raise PredictorError(
                f"a predictor is one of {', '.join(predictor_names())} or a directory, but got {str(name_or_path)!r}"
            )
        from hyperstar_tune.predictor.any_space_predictor import AnySpacePredictor  # these build on this class
        from hyperstar_tune.predictor.plus_predictor import PlusPredictor

        card, tensors = read_artifact(directory)
        try:
            stated = card["backbone"]
            if (stated["name"], stated["sha256_16"]) != (BACKBONE, backbone_hash()):
                raise PredictorError(
                    f"the predictor was trained on backbone {stated['name']} {stated['sha256_16']}, but the package "
                    f"has {BACKBONE} {backbone_hash()}; use the version of hyperstar_tune that wrote it"
                )
            size = Fingerprint.from_json(card["fingerprint"]).image_size or 1
            if not 1 <= size <= _LARGEST_IMAGE:
                raise RuntimeError(f"images must have at most {_LARGEST_IMAGE} pixels per side, but have {size}")
            _hashes(card)
            known = KnownTasks.restore(card, tensors)
            method = card.get("method", "network")
            predictor: Predictor
            if method == "network":
                from hyperstar_tune.predictor.network_predictor import NetworkPredictor

                predictor = NetworkPredictor.restore(card, tensors, device)
            elif method == PlusPredictor.method:
                predictor = PlusPredictor.restore(card, tensors)
            elif method == AnySpacePredictor.method:
                predictor = AnySpacePredictor.restore(card, tensors)
            else:
                raise PredictorError(
                    f"a predictor's method is 'network', {PlusPredictor.method!r} or {AnySpacePredictor.method!r}, but "
                    f"{directory} has {method!r:.40}; use the version of hyperstar_tune that wrote it"
                )
            if known is not None and known.encoded.shape[1] != predictor.encode([]).shape[1]:
                raise RuntimeError("encoded of known tasks has not as many numbers as configurations have")
            predictor.known = known
            return predictor
        except PredictorError:
            raise
        except Exception as error:  # torch raises whatever absurd sizes lead to
            raise PredictorError(f"{directory} is no sound predictor: {first_line(error)}; fetch it again") from error

    def learn_known(self, table: "MetaDataset") -> None:
        """Keeps what a table says of its tasks, for the race and for budgets in seconds; scores do not change.

        Raises:
            PredictorError: If the table is of another space.
        """
        if table.space.fingerprint != self.space.fingerprint:
            raise PredictorError(
                f"a table of known tasks must have the predictor's space {self.space.fingerprint}, but has "
                f"{table.space.fingerprint}; take the table that it was trained on"
            )
        self.known = KnownTasks.of(table)
        self.card[KNOWN_TASKS] = list(self.known.names)

    def save(self, directory: str | Path) -> None:
        """Writes the predictor."""
        known = self.known.tensors() if self.known is not None else {}
        self.card = write_artifact(Path(directory), self.card, {**self.tensors(), **known})

    def under(self: Self, run: Fingerprint) -> Self:
        """The same predictor for runs under other circumstances, of which a ranking says what does not carry over.

        ``finetune.trainable(...).fingerprint`` states those of a run.
        """
        other = copy(self)
        other.run = run
        return other

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What was learned, as ``restore`` takes it back."""

    @abstractmethod
    def rank(self, task: str | Path | ImageTask, configs: Sequence[Config] | None = None, seed: int = 0) -> Ranking:
        """Ranks configurations for a task by looking at its training images.

        Args:
            task: A folder, a torchvision data set as ``"torchvision:NAME"``, or an ``ImageTask``.
            configs: H configurations of the space; all of a finite space when None.
            seed: Random seed of the sample of images.

        Raises:
            PredictorError: If the space is continuous and no configurations are given.
            TaskError: If the task cannot be read.
            SpaceError: If a configuration does not belong to the space.
        """

    def rank_space(
        self, task: str | Path | ImageTask, space: SearchSpace, fixed: Mapping[str, Any] | None = None, seed: int = 0
    ) -> Ranking:
        """Ranks the configurations of any space for a task, as ``own_space.rank_space`` says."""
        return rank_space(self, ImageTask.of(task), space, fixed, seed)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that it can rank by."""
        return self.space.parameters

    def candidates(self, task: ImageTask, space: SearchSpace, fixed: Mapping[str, Any], seed: int) -> list[Config]:
        """The configurations of any space that are worth ranking for a task; arguments as for ``rank_space``.

        Raises:
            SpaceError: If the predictor needs a parameter that is neither searched nor fixed.
        """
        del task
        return configs_of(space, self.space, fixed, seed)

    def for_task(self, task: ImageTask, space: SearchSpace, fixed: Mapping[str, Any]) -> "TaskScores | None":
        """What it says of a task and a space, for whoever goes on asking without the images.

        Args:
            task: The images.
            space: The space that is searched.
            fixed: Values of parameters that are not searched.

        Returns:
            None if this method can only rank a list.
        """
        return None

    def known_part(self, config: Config) -> Config:
        """What it ranks of a configuration of any space."""
        return within(self.space, self._bounds, config)

    def notes(self, space: SearchSpace, fixed: Mapping[str, Any]) -> list[str]:
        """What of a space it has never seen measured, one line each."""
        del fixed
        beyond = outside(space, self._bounds)
        return [f"The nearest measured value counts beyond what was measured: {'; '.join(beyond)}"] if beyond else []

    def encode(self, configs: Sequence[Config]) -> npt.NDArray[np.floating]:
        """Configurations as numbers, by which similar ones are found, [n, d]."""
        return self.space.encode(configs)

    def explain(self, task: ImageTask, configs: Sequence[Config]) -> tuple[TraitEffect, ...]:
        """What moved the scores of n configurations for a task; empty if this method cannot say."""
        del task, configs
        return ()

    @property
    def name(self) -> str:
        """The predictor's name in messages and rankings."""
        return str(self.card.get("name", "unnamed"))

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that the predictor looks at."""
        return self.fingerprint.image_size or DEFAULT_IMAGE_SIZE

    def has_seen(self, task: ImageTask) -> bool:
        """Whether the task's images were used in meta-training.

        The hash of the images tells: the card has the task, the task it was cut from, or one cut from the same. A
        folder that merely shares some images with a known task is not recognized.
        """
        return not _hashes(self.card).isdisjoint(task.sample_hashes())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}: {self.space!r}, {len(self.card.get('tasks', ()))} tasks)"

    @cached_property
    def _bounds(self) -> dict[str, tuple[float, float]]:
        return bounds_of(self.space)

    def _ranked(
        self, task: ImageTask, configs: Sequence[Config], scores: Sequence[float] | np.ndarray, **about: Any
    ) -> Ranking:
        """The ranking of a task by its scores, with what is known of other tasks."""
        n_images = task.n_train + task.n_val
        known = self.known.about(self.encode(configs), n_images) if self.known is not None else {}
        if self.fingerprint.has_other_network(self.run):
            about["elsewhere"] = OTHER_NETWORK.error
        return Ranking.of(configs, scores, task=task.name, source=self.name, seen=self.has_seen(task), **known, **about)

    def _configs(self, configs: Sequence[Config] | None) -> list[Config]:
        if configs is not None:
            return list(configs)
        if self.space.is_finite:
            return self.space.grid()
        raise PredictorError(
            f"space {self.space.name!r} is continuous, so configurations must be given; draw them with space.sample"
        )


def card_entry(task: ImageTask, family: str) -> dict[str, Any]:
    """The entry of a predictor's card for a task that the predictor learned from."""
    own, *parents = task.sample_hashes()
    return {"name": task.name, "family": family, "image_hash": own} | ({"cut_from": parents} if parents else {})


def check_images(metadataset: "MetaDataset", tasks: Mapping[str, ImageTask]) -> None:
    """Refuses to learn from a table with images that its curves were not trained on.

    Raises:
        PredictorError: If a task has no images, or others than the table recorded.
    """
    for row in metadataset.tasks.to_dict("records"):
        name, recorded = str(row["name"]), str(row["image_hash"])
        if name not in tasks:
            raise PredictorError(f"tasks of the table need their images, but {name!r} has none; drop it or add them")
        if recorded and recorded != tasks[name].sample_hash():
            raise PredictorError(
                f"images must be those that the curves of the table were trained on, but task {name!r} has others "
                f"({tasks[name].n_train} training images here, {row['n_train']} there)"
            )


def remark_few(metadataset: "MetaDataset") -> None:
    """Says how little a small table is to learn from."""
    tasks, families = len(metadataset.tasks), len(metadataset.families)
    if tasks < _FEW_TASKS or families < _FEW_FAMILIES:
        LOGGER.warning(
            "%d tasks of %d families x %d configurations are little to learn from: on new images this predictor gives "
            "not much more than the average of these tasks; from about %d tasks of %d families on images tell more, or "
            "begin with the tasks of a shipped predictor (hyperstar meta-train --base NAME)",
            tasks,
            families,
            len(metadataset.configs),
            _FEW_TASKS,
            _FEW_FAMILIES,
        )


def _hashes(card: Mapping[str, Any]) -> set[Any]:
    """Hashes of the images that a card says were learned from; raises whatever an unsound card leads to."""
    entries = card.get("tasks", ())
    return {digest for entry in entries for digest in (entry.get("image_hash"), *entry.get("cut_from", ()))}
