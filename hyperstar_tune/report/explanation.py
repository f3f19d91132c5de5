"""What a ranking means, in words: under which circumstances, in which unit, and what moved it (``rank --explain``)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hyperstar_tune.effects import effects_text, parameter_effects
from hyperstar_tune.predictor.predictor import Predictor, TraitEffect
from hyperstar_tune.ranking import Ranking

__all__ = ["UNIT", "about_traits", "circumstances", "explanation"]

UNIT = (
    "A score compares configurations on one task: 0 is the average configuration, and 1 is one standard deviation "
    "better. It is no accuracy: that is not predicted."
)
_OPEN = ("space", "protocol")  # fields of a fingerprint that say nothing to a person


def circumstances(predictor: Predictor) -> dict[str, str]:
    """What the scores of a predictor hold for, by name; what it does not state is left out."""
    about, tasks = predictor.fingerprint, predictor.card.get("tasks", ())
    named = {"model": "network", "max_epochs": "R", "image_size": "image size"}
    units = {"image_size": " px", "max_epochs": " epochs"}
    found = {
        named.get(name, name.replace("_", " ")): f"{value}{units.get(name, '')}"
        for name, value in about.to_json().items()
        if name not in _OPEN and value not in ("", None)
    }
    families = {str(task.get("family", task.get("name"))) for task in tasks}
    found["space"] = f"{predictor.space.name}: {', '.join(predictor.space.parameters)}"
    found["learned from"] = f"{len(tasks)} tasks of {len(families)} families"
    return found


def about_traits(effects: Sequence[TraitEffect], configs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Traits as plain values: how far each moves scores, and what it favours.

    Returns:
        For each trait ``name``, ``meaning``, ``value``, ``known_mean`` and ``known_deviation`` of the known tasks,
        ``moved_first`` (the first configuration's score), ``moved`` (root mean square over all), and ``favours``: the
        parameter that it moves most, with the mean change of each value.
    """
    return [
        {
            "name": effect.name,
            "meaning": effect.meaning,
            "value": effect.value,
            "known_mean": effect.known_mean,
            "known_deviation": effect.known_deviation,
            "moved_first": effect.moved[0],
            "moved": float(np.sqrt(np.mean(np.square(effect.moved)))),
            "favours": dict(list(parameter_effects(configs, effect.moved).items())[:1]),
        }
        for effect in effects
    ]


def explanation(ranking: Ranking, predictor: Predictor, effects: Sequence[TraitEffect]) -> str:
    """All that a ranking means, as text for a terminal.

    Args:
        ranking: A ranking by the predictor.
        predictor: The predictor.
        effects: What ``predictor.explain`` says of the ranking's task and configurations.
    """
    parts = [("Circumstances", [f"{name}: {text}" for name, text in circumstances(predictor).items()])]
    parts.append(("Unit", [UNIT, *_spread_lines(ranking)]))
    if ranking.costs:
        low, middle, high = np.quantile(ranking.costs, [0, 0.5, 1])
        parts.append(
            (
                "Seconds per epoch, on the machine where the known tasks were trained",
                [f"place 1: {ranking.costs[0]:.2g}; all: {low:.2g} to {high:.2g}, half of them below {middle:.2g}"],
            )
        )
    if effects:
        parts.append(
            ("What the images changed, compared with the average over known tasks", _trait_lines(ranking, effects))
        )
    parts.append(
        (
            "Effect of each parameter: mean predicted score by value",
            effects_text(parameter_effects(ranking.configs, ranking.scores)),
        )
    )
    return "\n".join(line for title, lines in parts for line in ["", title, *(f"  {line}" for line in lines)])


def _spread_lines(ranking: Ranking) -> list[str]:
    if not any(ranking.deviations()):
        return ["How far a score may be off is not known."]
    alike, others = sum(ranking.alike()), len(ranking) - 1
    told = f"By it, {alike} of {others} other places cannot be told from place 1."
    return [f"The spread says how far a score may be off. {told}"]


def _trait_lines(ranking: Ranking, effects: Sequence[TraitEffect]) -> list[str]:
    lines = []
    for trait in about_traits(effects, ranking.configs):
        usual = f"known tasks: {trait['known_mean']:.2f} with deviation {trait['known_deviation']:.2f}"
        lines.append(f"{trait['name']} {trait['value']:.2f} ({usual}): {trait['meaning']}")
        favours = "".join(f"; most by {text}" for text in effects_text(trait["favours"]))
        lines.append(f"  moved scores by {trait['moved']:.2f}, that of place 1 by {trait['moved_first']:+.2f}{favours}")
    if ranking.share < 1:
        why = ranking.doubt or "no known task is near these images"
        lines.append(f"These are {ranking.share:.0%} of what the images say; more is not trusted: {why}.")
    return lines
