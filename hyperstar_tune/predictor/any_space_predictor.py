"""HyperSTAR+ for any space: it learns from tables of one or several spaces and networks, and ranks any other space.

Parameters are the same if they have the same name. What it does with one that it does not know, or that a space does
not have, is said in the ranking's notes. The measured grid is ranked as HyperSTAR+ ranks it; what this adds is all that
lies between and beside. Where only the grid is searched, take HyperSTAR+, which is simpler.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor.any_space import Measured, basis_of, cross_error, fast_scores, fit_any_space, kernel_for
from hyperstar_tune.predictor.encoding import SharedEncoding
from hyperstar_tune.predictor.kept import left_out_factor
from hyperstar_tune.predictor.known import KNOWN_TASKS, KnownTasks
from hyperstar_tune.predictor.own_space import N_CANDIDATES, listed_or_drawn, order_of_draws
from hyperstar_tune.predictor.plus import PlusModel, PlusSettings, interpolated
from hyperstar_tune.predictor.plus_predictor import PlusPredictor, about_learning, checked_card, checked_tensors
from hyperstar_tune.predictor.predictor import DEFAULT_IMAGE_SIZE, card_entry, check_images, remark_few
from hyperstar_tune.predictor.targets import CURVES, default_curve, plus_targets, usable_cells
from hyperstar_tune.predictor.task_scores import TaskScores
from hyperstar_tune.predictor.traits import traits_of
from hyperstar_tune.predictor.weighted_kernel import Kernel
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import Config, SearchSpace, config_key
from hyperstar_tune.tasks.task import ImageTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["AnySpacePredictor", "train_any_space"]

Floats = npt.NDArray[np.float64]

_N_DRAWN = 200_000  # configurations of a space that cannot be listed, of which the best 1000 are ranked
_CHUNK = 16_384  # configurations that are encoded and scored at a time


class AnySpacePredictor(PlusPredictor):
    """The average ranking and how traits of a task change it, for configurations of any space.

    Args:
        model: What was learned: weights of a constant and of kernel values with H configurations.
        kernel: The kernel.
        error: Error of a score on families and configurations that it was not learned from, shape [H].
        encoded: The encoded configurations it was learned on, shape [H, p].
        traits: Names of the model's traits.
        encoding: How configurations are encoded.
        spaces: The spaces of the tables. The first one is searched where no other is given.
        fingerprint: The circumstances of the first table.
        card: The model card. Its entry ``tasks`` describes the model's known tasks, in order.
    """

    method = "any_space"

    def __init__(
        self,
        model: PlusModel,
        kernel: Kernel,
        error: Floats,
        encoded: npt.NDArray[np.floating],
        traits: Sequence[str],
        encoding: SharedEncoding,
        spaces: Sequence[SearchSpace],
        fingerprint: Fingerprint,
        card: Mapping[str, Any],
    ) -> None:
        self.kernel, self.encoding = kernel, encoding
        about = {
            "kernel": asdict(kernel),
            "spaces": [space.to_json() for space in spaces],
            "held": dict(encoding.held),
        }
        super().__init__(model, error, encoded, traits, spaces[0], fingerprint, dict(card) | about)

    @classmethod
    def fit_tables(
        cls,
        tables: Sequence["MetaDataset"],
        traits_by_name: "Callable[[str], Floats]",
        settings: PlusSettings,
        held: Mapping[str, Any],
    ) -> "AnySpacePredictor":
        """Learns from some tables, as ``train_any_space`` says.

        ``traits_by_name`` gives the traits [D] of a task of a table.

        Raises:
            PredictorError: If there is no table, or one is too small.
        """
        if not tables:
            raise PredictorError("a predictor of any space needs a table to learn from, but got none")
        # Without their lists, since what lies between the listed configurations can be ranked too.
        spaces = [SearchSpace(table.space.configuration_space, table.space.name) for table in tables]
        encoding = SharedEncoding(spaces, held)
        measured, known, tasks = [], [], []
        for table in tables:
            curve = settings.curve or default_curve(table)
            rows, _, targets = plus_targets(table, curve, settings.readings, settings.incomplete)
            columns = usable_cells(table, CURVES[curve](table), settings.incomplete)[1]
            about = table.fingerprint
            own = {name: getattr(about, name) for name in ("batch_size", "image_size") if getattr(about, name)}
            encoded = encoding.encode(table.configs, own)
            named = table.tasks.iloc[rows][["name", "family"]].astype(str)
            traits = np.stack([traits_by_name(name) for name in named["name"]])
            measured.append(Measured(targets, traits, tuple(named["family"]), encoded[columns], encoding.widths))
            known.append(KnownTasks.of(table, lambda configs, own=own: encoding.encode(configs, own)))  # type: ignore[misc]
            tasks += named.to_dict("records")
        together = np.concatenate([part.encoded for part in measured])
        kernel = kernel_for(measured, settings.penalty)
        model = fit_any_space(measured, settings.penalty, kernel)
        error = cross_error(measured, settings.penalty, kernel)
        card = about_learning(settings, settings.curve or default_curve(tables[0])) | {"tasks": tasks}
        first = measured[0]
        card["kept"] = left_out_factor(first.targets, first.traits, first.families, settings.penalty).kept
        about = tables[0].fingerprint
        predictor = cls(model, kernel, error, together, settings.traits, encoding, spaces, about, card)
        predictor.known = KnownTasks.joined(known)
        predictor.card[KNOWN_TASKS] = list(predictor.known.names)
        return predictor

    @classmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "AnySpacePredictor":
        """The predictor of a card and its tensors; raises whatever a damaged one leads to."""
        traits, reach = checked_card(card)
        spaces = [SearchSpace.from_json(space) for space in card["spaces"]]
        encoding = SharedEncoding(spaces, dict(card["held"]))
        told = dict(card["kernel"])
        weights = tuple(told.pop("weights", ()))  # older cards have none, as all parameters weighed alike
        kernel = Kernel(**told, weights=weights)
        factors = (kernel.pairs, kernel.near, *kernel.weights)
        if not all(isinstance(value, float) and 0 < value < np.inf for value in factors):
            raise RuntimeError(f"the factors of a kernel must be positive numbers, but are {kernel}")
        if kernel.weights and len(kernel.weights) != encoding.dim:
            raise RuntimeError(
                f"a kernel must have a weight for each of {encoding.dim} numbers, but has {len(kernel.weights)}"
            )
        if spaces[0].fingerprint != SearchSpace.from_json(card["space"]).fingerprint:
            raise RuntimeError("the first of its spaces must be the predictor's own, but is another")
        tasks, dims, configs = len(card["tasks"]), len(traits), len(tensors["error"])
        shapes = {"mean": (1 + configs,), "slopes": (dims, 1 + configs), "shift": (dims,), "scale": (dims,)}
        shapes |= {"known": (tasks, dims), "error": (configs,), "encoded": (configs, encoding.dim)}
        arrays = checked_tensors(tensors, shapes)
        error, encoded = arrays.pop("error"), arrays.pop("encoded")
        model, fingerprint = PlusModel(**arrays, reach=reach), Fingerprint.from_json(card["fingerprint"])
        return cls(model, kernel, error, encoded, traits, encoding, spaces, fingerprint, card)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters of all tables."""
        return self.encoding.parameters

    def rank(self, task: str | Path | ImageTask, configs: Sequence[Config] | None = None, seed: int = 0) -> Ranking:
        """Ranks configurations of any space, as ``Predictor.rank`` says; without any those of its space.

        Parameters that it does not know are ignored, and those that a configuration does not have are held.
        """
        if configs is None:
            return self.rank_space(task, self.space, seed=seed)
        return super().rank(task, configs)

    def candidates(self, task: ImageTask, space: SearchSpace, fixed: Mapping[str, Any], seed: int) -> list[Config]:
        """All configurations of a space that can be listed, or the best 1000 of 200,000 drawn ones."""
        given = {name: fixed[name] for name in self.parameters if name in fixed and name not in space.parameters}
        if space.is_short:
            configs = listed_or_drawn(space, self.parameters, seed)
        else:
            traits, trust, _ = self._look(task)
            configs = self.best_of_draws(traits, space, given, _N_DRAWN, seed, trust)
        full = [{**given, **config} for config in configs]
        return list({config_key(config): config for config in full}.values())

    def best_of_draws(
        self, traits: Floats, space: SearchSpace, given: Mapping[str, Any], n: int, seed: int, trust: float = 1.0
    ) -> list[Config]:
        """The best 1000 of ``n`` drawn configurations of a space, best first.

        Args:
            traits: Traits [D] of the task.
            space: The space to draw from.
            given: Values of parameters that it does not have.
            n: Draws; a million take about a second.
            seed: Random seed of the draws.
            trust: How far the traits are trusted, from 0 to 1.
        """
        weights = self.model.scores(traits, trust)
        columns = space.draw_columns(n, seed)
        scores = np.concatenate(
            [self._score_rows(columns, weights, given, start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]
        )
        # Draws that differ in unknown parameters only have the same score.
        alike = np.round(scores * 1e5).astype(np.int64)
        best = order_of_draws(scores, float(self._error.mean()), alike)[:N_CANDIDATES]
        return [
            {name: column.value(row) for name, column in columns.items() if column.present[row]}
            for row in best.tolist()
        ]

    def for_task(self, task: ImageTask, space: SearchSpace, fixed: Mapping[str, Any]) -> TaskScores:
        """What it says of a task and a space, as ``Predictor.for_task`` says."""
        traits, trust, _ = self._look(task)
        return self.with_traits(traits, space, fixed, task.n_train + task.n_val, trust)

    def with_traits(
        self, traits: Floats, space: SearchSpace, fixed: Mapping[str, Any], n_images: int, trust: float = 1.0
    ) -> TaskScores:
        """The same for a task with traits [D] and so many images, where the images are not at hand."""
        given = {name: fixed[name] for name in self.parameters if name in fixed and name not in space.parameters}
        weights = self.model.scores(traits, trust)
        return TaskScores(space, given, weights, self.kernel, self._encoded, self.encoding, self.known, n_images)

    def known_part(self, config: Config) -> Config:
        """Those parameters of a configuration that it knows."""
        return {name: value for name, value in config.items() if name in self.parameters}

    def notes(self, space: SearchSpace, fixed: Mapping[str, Any]) -> list[str]:
        """Where a space goes beyond what was measured, and what it leaves to be held, one line each."""
        return self.encoding.notes(space, fixed)

    def encode(self, configs: Sequence[Config]) -> Floats:
        """Configurations of any space as numbers, [n, p]."""
        return self.encoding.encode(configs)

    def scores(self, traits: Floats, configs: Sequence[Config], trust: float = 1.0) -> tuple[Floats, Floats]:
        """Predicted scores [n] of configurations of any space, and their spread [n], from the traits [D] of a task."""
        spread = interpolated(self._error, self._encoded, self.encode(configs))
        return self._at(self.model.scores(traits, trust), configs), np.maximum(spread, 0)

    def _at(self, values: Floats, configs: Sequence[Config]) -> Floats:
        """Weights [..., 1 + H] as what they give configurations, [..., n]."""
        return np.asarray(values @ basis_of(self.kernel, self.encode(configs), self._encoded).T)

    def _score_rows(
        self, columns: Mapping[str, Any], weights: Floats, given: Mapping[str, Any], start: int, stop: int
    ) -> npt.NDArray[np.float32]:
        part = {name: column.rows(start, stop) for name, column in columns.items()}
        encoded = self.encoding.encode_columns(part, stop - start, given).astype(np.float32)
        return fast_scores(self.kernel, weights, encoded, self._encoded)


def train_any_space(
    tables: Sequence["MetaDataset"],
    tasks: Mapping[str, ImageTask],
    settings: PlusSettings | None = None,
    *,
    held: Mapping[str, Any] | None = None,
    name: str = "unnamed",
    about: Mapping[str, Any] | None = None,
) -> AnySpacePredictor:
    """Learns to rank any space from every task of some tables.

    Args:
        tables: The tables. The first one says for which network and circumstances the predictor is; what the others
            tell of the same parameters counts too.
        tasks: The images of each of their tasks, by name. More may be given.
        settings: What is learned from and how.
        held: What a trainable does where a configuration does not have a parameter; missing or None: not known.
        name: Name of the predictor.
        about: Further entries of its card, e.g. ``licence`` or ``limits``.

    Raises:
        PredictorError: If a task has no images here or others than the curves, or a table is too small.
    """
    for table in tables:
        check_images(table, tasks)
    if len(tables) == 1:
        remark_few(tables[0])
    settings = settings or PlusSettings()
    size = (tables[0].fingerprint.image_size if tables else None) or DEFAULT_IMAGE_SIZE
    predictor = AnySpacePredictor.fit_tables(
        tables, lambda task: traits_of(tasks[task], size, settings.traits), settings, held or {}
    )
    entries = [card_entry(tasks[entry["name"]], entry["family"]) for entry in predictor.card["tasks"]]
    predictor.card = {"name": name, **(about or {}), **predictor.card, "tasks": entries}
    return predictor
