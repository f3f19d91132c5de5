"""What HyperSTAR+ learns from a predictor's tasks and further ones together, without the curves of the former.

The sums that a ridge regression needs of its tasks can be had back from what it has learned. So the joint model is the
very one that all tasks together would have given, although neither images nor curves of the known tasks are at hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.predictor.plus import PlusModel, interpolated, reach_of
from hyperstar_tune.predictor.plus_predictor import PlusPredictor
from hyperstar_tune.predictor.predictor import Predictor, card_entry, check_images
from hyperstar_tune.predictor.targets import CURVES, READINGS, completed, default_curve, robust_scores
from hyperstar_tune.predictor.traits import traits_of
from hyperstar_tune.tasks.task import ImageTask

if TYPE_CHECKING:
    from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["extend_plus", "joined_model"]

Floats = npt.NDArray[np.float64]


def joined_model(
    model: PlusModel, targets: Floats, traits: Floats, families: Sequence[str], penalty: float
) -> PlusModel:
    """The model of the tasks of ``model`` and of t further ones.

    Args:
        model: What was learned of T tasks with D traits and H configurations, with the same penalty.
        targets: Scores [t, H] of the further tasks, without NaN.
        traits: Their traits [t, D].
        families: Families of all T + t tasks, the known ones first.
        penalty: As in ``PlusSettings``.
    """
    n_known, n_traits = model.known.shape
    ridge = penalty * n_traits * np.eye(n_traits)
    # With standardized traits Z and centred targets C, the slopes solve (Z'Z + ridge) slopes = Z'C; and Z'C = Z'Y.
    products = (model.known.T @ model.known + ridge) @ model.slopes  # Z'Y, [D, H]
    total = n_known * model.mean  # sum of targets, [H]
    raw = model.known * model.scale + model.shift  # [T, D]
    products = model.scale[:, None] * products + np.outer(model.shift, total)  # X'Y
    both = np.concatenate([raw, traits])
    products, total = products + traits.T @ targets, total + targets.sum(axis=0)
    shift, scale = both.mean(axis=0), both.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    known = (both - shift) / scale
    products = (products - np.outer(shift, total)) / scale[:, None]
    slopes = np.linalg.solve(known.T @ known + ridge, products)
    return PlusModel(total / len(both), slopes, shift, scale, known, reach_of(known, families))


def extend_plus(
    base: Predictor, metadataset: "MetaDataset", tasks: Mapping[str, ImageTask], *, name: str = "unnamed"
) -> PlusPredictor:
    """A predictor that knows the tasks of another one and those of a table of one's own.

    A task of the table may lack any configurations: ``base`` says what is expected of those. Configurations that
    ``base`` does not know must lie in its space.

    Args:
        base: A HyperSTAR+ predictor, such as a shipped one.
        metadataset: The table of further tasks.
        tasks: The images of each of them, by name.
        name: Name of the new predictor.

    Raises:
        PredictorError: If ``base`` is of another method, or a task has no images here or others than the curves.
        SpaceError: If a configuration is not in the space of ``base``.
    """
    if not isinstance(base, PlusPredictor) or base.card["method"] != PlusPredictor.method:
        kind = type(base).__name__
        raise PredictorError(f"only a HyperSTAR+ predictor can be extended, but {base.name!r} is a {kind}")
    check_images(metadataset, tasks)
    if differences := base.fingerprint.differences(metadataset.fingerprint, "in the predictor", "in the table"):
        LOGGER.info(
            "predictor %s and the table differ, but are learned from together:\n  %s",
            base.name,
            "\n  ".join(line for line in differences if not line.startswith("space")),
        )
    settings, own = base.card["settings"], {key: value.numpy() for key, value in base.tensors().items()}
    ours = base.space.encode(metadataset.configs).astype(np.float64)
    gaps = ((ours[:, None] - own["encoded"][None]) ** 2).sum(axis=2)  # [h, H]
    is_new = gaps.min(axis=1) > 1e-9
    encoded = np.concatenate([own["encoded"], ours[is_new]])
    places = np.where(is_new, len(own["encoded"]) + np.cumsum(is_new) - 1, gaps.argmin(axis=1))
    values = interpolated(np.vstack([base.model.mean, base.model.slopes, own["error"]]), own["encoded"], encoded)
    model = replace(base.model, mean=values[0], slopes=values[1:-1])

    rows = metadataset.tasks.to_dict("records")
    traits = np.stack([traits_of(tasks[row["name"]], base.image_size, base.card["traits"]) for row in rows])
    scores = robust_scores(
        CURVES[default_curve(metadataset)](metadataset), [READINGS[reading] for reading in settings["readings"]]
    )
    expected = np.stack([model.scores(row) for row in traits])  # [t, H]
    targets = np.stack([_target(*pair, places, encoded) for pair in zip(expected, scores, strict=True)])

    known = [str(task.get("family", task.get("name"))) for task in base.card["tasks"]]
    families = known + [str(row["family"]) for row in rows]
    joint = joined_model(model, targets, traits, families, settings["penalty"])
    squares = len(known) * np.square(values[-1]) + np.square(targets - expected).sum(axis=0)
    entries = [card_entry(tasks[row["name"]], str(row["family"])) for row in rows]
    card = {
        **{key: value for key, value in base.card.items() if key not in ("measured", "sha256", "weights", "schema")},
        "name": name,
        "origin": f"learned from the tasks of {base.name} and {len(rows)} tasks of a table of one's own",
        "tasks": [*base.card["tasks"], *entries],
    }
    error = np.sqrt(squares / len(families))
    extended = PlusPredictor(joint, error, encoded, base.card["traits"], base.space, base.fingerprint, card)
    extended.known = base.known
    return extended


def _target(expected: Floats, scores: Floats, places: npt.NDArray[np.intp], encoded: Floats) -> Floats:
    """Target [H] of a task from its scores [h], in the unit of what is expected of it [H], which fills the gaps."""
    target = np.full(len(expected), np.nan)
    has = np.isfinite(scores)
    here = expected[places[has]]
    target[places[has]] = scores[has] * here.std() + here.mean()
    if has.sum() == len(expected):  # it has all: the unit is its own
        target[places] = scores
    return np.asarray(completed(np.stack([expected, target]), encoded)[1])
