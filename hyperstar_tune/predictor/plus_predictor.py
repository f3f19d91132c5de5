"""HyperSTAR+ as a predictor that can be fitted, saved, shipped and loaded.

It says which known tasks are nearest, and whether any is near. If none is, it returns the average ranking. It looks at
labels, so a folder of unsorted images is not enough.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor.kept import OTHER_NETWORK
from hyperstar_tune.predictor.plus import PlusModel, PlusSettings, fit_plus, interpolated, leave_out_error
from hyperstar_tune.predictor.predictor import (
    DEFAULT_IMAGE_SIZE,
    Predictor,
    TraitEffect,
    card_entry,
    check_images,
    remark_few,
)
from hyperstar_tune.predictor.targets import default_curve, plus_targets
from hyperstar_tune.predictor.traits import MEANINGS, SHIPPED_TRAITS, TRAITS, traits_of, trust_in
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tasks.task import ImageTask

if TYPE_CHECKING:
    from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["PlusPredictor", "about_learning", "checked_card", "checked_tensors", "train_plus"]

Floats = npt.NDArray[np.float64]

_N_NEAREST = 3  # known tasks that a ranking names


class PlusPredictor(Predictor):
    """The average ranking and how traits of a task change it.

    Args:
        model: What was learned.
        error: Error of each configuration's score on families it was not learned from, shape [H].
        encoded: The encoded configurations it was learned on, shape [H, d].
        traits: Names of the model's traits.
        space: The search space.
        fingerprint: The circumstances of the table.
        card: The model card. Its entry ``tasks`` describes the model's known tasks, in order. An entry ``kept`` says
            which share of what images say is kept on new families; without it all of it is.
    """

    method = "hyperstar_plus"

    def __init__(
        self,
        model: PlusModel,
        error: Floats,
        encoded: npt.NDArray[np.floating],
        traits: Sequence[str],
        space: SearchSpace,
        fingerprint: Fingerprint,
        card: Mapping[str, Any],
    ) -> None:
        self.model = model
        self._error, self._encoded, self._traits = error, np.asarray(encoded, dtype=np.float64), tuple(traits)
        about = {"method": self.method, "traits": list(traits), "reach": model.reach}
        super().__init__(space, fingerprint, dict(card) | about)
        self.kept = checked_share(self.card.get("kept", 1.0))

    @classmethod
    def fit(
        cls, metadataset: "MetaDataset", traits_by_name: Callable[[str], Floats], settings: PlusSettings
    ) -> "PlusPredictor":
        """Learns from the complete tasks of a table, or from all of them where too few are complete.

        ``traits_by_name`` gives the traits [D] of a task of the table.

        Raises:
            PredictorError: If the table is too small.
        """
        curve = settings.curve or default_curve(metadataset)
        rows, encoded, targets = plus_targets(metadataset, curve, settings.readings, settings.incomplete)
        known = metadataset.tasks.iloc[rows][["name", "family"]].astype(str)
        families = known["family"].tolist()
        traits = np.stack([traits_by_name(name) for name in known["name"]])
        card = about_learning(settings, curve) | {"tasks": known.to_dict("records")}
        model = fit_plus(targets, traits, families, settings.penalty)
        error = leave_out_error(targets, traits, families, settings.penalty)
        predictor = cls(model, error, encoded, settings.traits, metadataset.space, metadataset.fingerprint, card)
        predictor.learn_known(metadataset)
        return predictor

    @classmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "PlusPredictor":
        """The predictor of a card and its tensors; raises whatever a damaged one leads to."""
        (traits, reach), space = checked_card(card), SearchSpace.from_json(card["space"])
        tasks, dims, configs = len(card["tasks"]), len(traits), len(tensors["mean"])
        shapes = {"mean": (configs,), "slopes": (dims, configs), "shift": (dims,), "scale": (dims,)}
        shapes |= {"known": (tasks, dims), "error": (configs,), "encoded": (configs, space.dim)}
        arrays = checked_tensors(tensors, shapes)
        error, encoded = arrays.pop("error"), arrays.pop("encoded")
        model, fingerprint = PlusModel(**arrays, reach=reach), Fingerprint.from_json(card["fingerprint"])
        return cls(model, error, encoded, traits, space, fingerprint, card)

    def known_traits(self) -> dict[str, dict[str, float]]:
        """The traits of each known task by name, as its images gave them; by the hash of the images of the task."""
        values = self.model.known * self.model.scale + self.model.shift  # [T, D]
        rows = zip(self.card["tasks"], values.tolist(), strict=True)
        return {
            task["image_hash"]: dict(zip(self._traits, row, strict=True)) for task, row in rows if "image_hash" in task
        }

    def tensors(self) -> dict[str, Tensor]:
        """What was learned, but for the reach, which is on the card."""
        arrays = {**asdict(self.model), "error": self._error, "encoded": self._encoded}
        del arrays["reach"]
        return {name: torch.tensor(array, dtype=torch.float64) for name, array in arrays.items()}

    def rank(self, task: str | Path | ImageTask, configs: Sequence[Config] | None = None, seed: int = 0) -> Ranking:
        """Ranks configurations for a task by traits of its labelled training images, as ``Predictor.rank`` says.

        The images it looks at are the same for every seed. ``spread`` is the error that a score of this configuration
        had on families it was not learned from.
        """
        del seed
        task, configs = ImageTask.of(task), self._configs(configs)
        traits, trust, doubt = self._look(task)
        scores, spread = self.scores(traits, configs, trust)
        nearest: dict[str, str] = {}  # the nearest task of each family
        for place in np.argsort(self.model.distances(traits), kind="stable"):
            known = self.card["tasks"][place]
            name = str(known.get("name", "unnamed"))
            nearest.setdefault(str(known.get("family", name)), name)
        share, names = trust * self.model.share(traits), tuple(nearest.values())[:_N_NEAREST]
        return self._ranked(task, configs, scores, spread=spread, nearest=names, share=share, doubt=doubt)

    def explain(self, task: ImageTask, configs: Sequence[Config]) -> tuple[TraitEffect, ...]:
        """What each trait of a task adds to the average score of n configurations, in the order of the traits."""
        traits, trust, _ = self._look(task)
        moved = self._at(self.model.moves(traits, trust), [self.known_part(config) for config in configs])  # [D, n]
        rows = zip(self._traits, traits, self.model.shift, self.model.scale, moved, strict=True)
        return tuple(
            TraitEffect(name, MEANINGS.get(name, ""), float(value), float(mean), float(deviation), tuple(own.tolist()))
            for name, value, mean, deviation, own in rows
        )

    def _look(self, task: ImageTask) -> tuple[Floats, float, str]:
        """The traits [D] of a task, how far they are trusted, and if not fully, why."""
        traits = traits_of(task, self.image_size, self._traits)
        share, why = self._carries_over()
        if set(SHIPPED_TRAITS).isdisjoint(self._traits):  # they do not look at labels
            return traits, share, why
        trust, doubt = trust_in(task, self.image_size)
        return traits, share * trust, why if share == 0 else doubt or why

    def _carries_over(self) -> tuple[float, str]:
        """How much of what images say is kept on new families and under the run's circumstances; if not all, why."""
        if self.fingerprint.has_other_network(self.run):
            why = f"what images say of {self.fingerprint.model} was not seen to hold for another network"
            return min(self.kept, OTHER_NETWORK.share), why
        if self.kept == 1:
            return 1.0, ""
        told = "nothing" if self.kept == 0 else "only a part"
        return self.kept, f"on families that were left out, images told {told} of what they seemed to"

    def scores(self, traits: Floats, configs: Sequence[Config], trust: float = 1.0) -> tuple[Floats, Floats]:
        """Predicted scores [n] of configurations, known or not, and their spread [n], from the traits [D] of a task."""
        scores, spread = self._at(np.stack([self.model.scores(traits, trust), self._error]), configs)
        return scores, np.maximum(spread, 0)

    def _at(self, values: Floats, configs: Sequence[Config]) -> Floats:
        """What the model has of its H configurations, [..., H], at other ones, [..., n]."""
        return interpolated(values, self._encoded, self.encode(configs))


def checked_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Floats]:
    """The tensors of a predictor as arrays of doubles; raises unless they are sound and have the right shapes."""
    if tensors.keys() != shapes.keys():
        raise KeyError(f"tensor {sorted(tensors.keys() ^ shapes.keys())[0]} is missing or unknown")
    if not shapes["error"][0] or not shapes["known"][0]:
        raise RuntimeError("a predictor knows at least one configuration and one task")
    for name, shape in shapes.items():
        stored = tensors[name]
        if stored.shape != shape or stored.dtype != torch.float64 or not torch.isfinite(stored).all():
            raise RuntimeError(f"tensor {name} must be finite float64 of shape {[*shape]}, not {[*stored.shape]}")
    if (tensors["scale"] <= 0).any() or (tensors["error"] < 0).any():
        raise RuntimeError("scales must be positive and errors not negative")
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def about_learning(settings: PlusSettings, curve: str) -> dict[str, Any]:
    """Entries of a card: the settings, with what was read off learning curves, and the versions of libraries."""
    told = json.loads(json.dumps(asdict(settings) | {"curve": curve}))  # with lists instead of tuples
    return {"settings": told, "versions": {"torch": torch.__version__, "numpy": np.__version__}}


def checked_share(kept: Any) -> float:
    """The share of what images say that is kept on new families; raises unless it is sound."""
    if isinstance(kept, bool) or not isinstance(kept, int | float) or not 0 <= kept <= 1:
        raise RuntimeError(f"the share that is kept must be a number from 0 to 1, but is {kept!r:.40}")
    return float(kept)


def checked_card(card: Mapping[str, Any]) -> tuple[list[str], float]:
    """Traits and reach of a card; raises unless they are sound."""
    traits, reach = card["traits"], card["reach"]
    if not isinstance(traits, list) or not traits or any(name not in TRAITS for name in traits):
        raise RuntimeError(f"traits must be some of {', '.join(TRAITS)}")
    if not isinstance(reach, float) or not 0 < reach < np.inf:
        raise RuntimeError(f"the reach must be a positive number, but is {reach!r:.40}")
    return traits, reach


def train_plus(
    metadataset: "MetaDataset",
    tasks: Mapping[str, ImageTask],
    settings: PlusSettings | None = None,
    *,
    name: str = "unnamed",
    about: Mapping[str, Any] | None = None,
) -> PlusPredictor:
    """Learns HyperSTAR+ from every task of a table.

    Args:
        metadataset: The table; cells that were not trained are estimated from the others.
        tasks: The images of each of its tasks, by name. More may be given.
        settings: What is learned from and how.
        name: Name of the predictor.
        about: Further entries of its card, e.g. ``licence`` or ``limits``.

    Raises:
        PredictorError: If a task has no images here or others than the curves, or the table is too small.
    """
    check_images(metadataset, tasks)
    remark_few(metadataset)
    settings = settings or PlusSettings()
    size = metadataset.fingerprint.image_size or DEFAULT_IMAGE_SIZE
    predictor = PlusPredictor.fit(metadataset, lambda task: traits_of(tasks[task], size, settings.traits), settings)
    entries = [card_entry(tasks[entry["name"]], entry["family"]) for entry in predictor.card["tasks"]]
    predictor.card = {"name": name, **(about or {}), **predictor.card, "tasks": entries}
    return predictor
