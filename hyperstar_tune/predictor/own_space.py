"""Ranks a user's own space, which need not be the one that a predictor has learned.

A parameter that the predictor does not know is drawn from its prior, and does not count in the ranking. Of draws that
differ only in such parameters the first one stands where its score belongs. Each further one counts as worse by one
spread of that score, so that other configurations come in between. A number outside of what was measured counts as the
nearest that was. Whatever of this happens is said in ``Ranking.notes``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune._axes import Axis
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import Config, SearchSpace, config_key

if TYPE_CHECKING:
    from hyperstar_tune.predictor.predictor import Predictor
    from hyperstar_tune.tasks.task import ImageTask

__all__ = [
    "N_CANDIDATES",
    "bounds_of",
    "configs_of",
    "is_number",
    "listed_or_drawn",
    "order_of_draws",
    "outside",
    "rank_space",
    "unknown_parameters",
    "within",
]

N_CANDIDATES = 1000  # configurations that are ranked of a space that cannot be listed


def rank_space(
    predictor: "Predictor", task: "ImageTask", space: SearchSpace, fixed: Mapping[str, Any] | None = None, seed: int = 0
) -> Ranking:
    """Ranks the configurations of any space for a task: all of them, or 1000 of a space that cannot be listed.

    Args:
        predictor: A predictor, which may know other parameters than the space has.
        task: The images.
        space: The space to be searched.
        fixed: Values of parameters that are not searched.
        seed: Random seed of the draws.

    Returns:
        A ranking whose configurations have the parameters of the space, and the values in ``fixed`` that the predictor
        knows. ``notes`` say what does not count in it.

    Raises:
        SpaceError: If the predictor knows no parameter of the space, needs another one, or cannot rank a value.
    """
    fixed = fixed or {}
    unknown = unknown_parameters(space, predictor.parameters)
    configs = predictor.candidates(task, space, fixed, seed)
    parts = [predictor.known_part(config) for config in configs]
    distinct = {config_key(part): part for part in parts}
    ranking = predictor.rank(task, list(distinct.values()))
    places = {config_key(config): place for place, config in enumerate(ranking.configs)}
    rows = np.array([places[config_key(part)] for part in parts])
    order = order_of_draws(np.array(ranking.scores)[rows], np.array(ranking.spread)[rows], rows)
    notes = list(predictor.notes(space, fixed))
    if unknown:
        notes.insert(0, f"Drawn at random, because {predictor.name} does not know them: {', '.join(unknown)}")
    return replace(
        ranking.at(rows[order].tolist()),
        configs=tuple(dict(configs[place]) for place in order),
        notes=tuple(notes),
    )


def unknown_parameters(space: SearchSpace, known: Sequence[str]) -> list[str]:
    """The parameters of a space that a predictor does not know.

    Raises:
        SpaceError: If all parameters that have more than one value are among them, so that nothing can be ranked.
    """
    unknown = [name for name in space.parameters if name not in known]
    searched = [name for name in space.parameters if len(space.values_or_ends(name)) > 1]
    if unknown and set(searched) <= set(unknown):
        raise SpaceError(
            f"the predictor knows none of the parameters {', '.join(unknown)}, so that there is nothing but random "
            f"search (unknown_space='random'); it knows {', '.join(known)}"
        )
    return unknown


def configs_of(space: SearchSpace, known: SearchSpace, fixed: Mapping[str, Any], seed: int) -> list[Config]:
    """The configurations of a space, with those values in ``fixed`` that belong to another space.

    Raises:
        SpaceError: If that other space has a parameter that is neither searched nor fixed, naming it.
    """
    for name in known.configuration_space.unconditional_hyperparameters:
        if name not in space.parameters and name not in fixed:
            raise SpaceError(f"the predictor needs parameter {name!r} too; search it or fix it in the run's config")
    given = {name: fixed[name] for name in known.parameters if name in fixed}
    full = [
        {**known.active({**given, **config}), **config} for config in listed_or_drawn(space, known.parameters, seed)
    ]
    return list({config_key(config): config for config in full}.values())


def listed_or_drawn(space: SearchSpace, known: Sequence[str], seed: int) -> list[Config]:
    """All configurations of a space that is short, in random order if not all parameters are known; else 1000 draws."""
    if not space.is_short:
        return space.draw(N_CANDIDATES, seed)
    return space.grid() if set(space.parameters) <= set(known) else space.sample(len(space), seed)


def within(space: SearchSpace, bounds: Mapping[str, tuple[float, float]], config: Config) -> Config:
    """What counts of a configuration in another space: its parameters, a number out of bounds as the nearest inside."""
    kept = {name: value for name, value in config.items() if name in space.parameters}
    for name, (low, high) in bounds.items():
        if is_number(kept.get(name)):
            kept[name] = min(max(kept[name], low), high)
    return space.active(kept)


def outside(space: SearchSpace, bounds: Mapping[str, tuple[float, float]]) -> list[str]:
    """The parameters of a space whose numbers go beyond bounds, as texts: ``lr outside 0.001 to 0.1``."""
    texts = []
    for name, (low, high) in bounds.items():
        numbers = [value for value in space.values_or_ends(name) if is_number(value)]
        if numbers and (min(numbers) < low or max(numbers) > high):
            texts.append(f"{name} outside {low:g} to {high:g}")
    return texts


def bounds_of(space: SearchSpace) -> dict[str, tuple[float, float]]:
    """The lowest and the highest value of each parameter whose values are increasing numbers."""
    axes = [Axis(hp) for hp in space.configuration_space.values()]
    return {axis.name: (axis.lower, axis.upper) for axis in axes if axis.is_numeric}


def is_number(value: Any) -> bool:
    """Whether a plain value is a number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def order_of_draws(
    scores: npt.NDArray[np.floating], spread: npt.NDArray[np.floating] | float, parts: npt.NDArray[np.integer]
) -> npt.NDArray[np.intp]:
    """The order of draws by score, in which one that repeats a known part counts as worse by a spread each time.

    Args:
        scores: Predicted score of each of n draws.
        spread: Spread of each one, or of all.
        parts: A number that stands for the known part of each one.
    """
    together = np.argsort(parts, kind="stable")
    begins = np.flatnonzero(np.diff(parts[together], prepend=parts[together[0]] - 1))
    times = np.empty(len(parts), dtype=np.intp)
    times[together] = np.arange(len(parts)) - np.repeat(begins, np.diff(begins, append=len(parts)))
    return np.argsort(times * spread - scores, kind="stable")
