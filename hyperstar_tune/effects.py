"""What each parameter of a space does to scores: their mean over the configurations that have a value of it.

Plain means of a grid. Where configurations were chosen, by a search or by hand, a mean also carries what else was
chosen with the value; importance (``report/importance.py``) asks the harder question.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hyperstar_tune.space import Config, config_key

__all__ = ["effects_text", "parameter_effects"]

_MOST_VALUES = 12  # of numbers; beyond that a parameter is cut into ranges
_N_RANGES = 3


def parameter_effects(configs: Sequence[Config], scores: Sequence[float]) -> dict[str, list[tuple[str, float]]]:
    """Mean score by value of each parameter that has more than one.

    Args:
        configs: H configurations.
        scores: Their scores, shape [H].

    Returns:
        For each parameter its values as text with their mean score, the best first. The values of a range are cut into
        thirds. The parameter whose means differ most comes first.
    """
    found = {}
    for name in dict.fromkeys(name for config in configs for name in config):
        pairs = [(config[name], score) for config, score in zip(configs, scores, strict=True) if name in config]
        by_value: dict[str, list[float]] = {}
        for label, (_, score) in zip(_labels([value for value, _ in pairs]), pairs, strict=True):
            by_value.setdefault(label, []).append(score)
        if len(by_value) > 1:
            means = {label: float(np.mean(own)) for label, own in by_value.items()}
            found[name] = sorted(means.items(), key=lambda item: -item[1])
    return dict(sorted(found.items(), key=lambda item: item[1][-1][1] - item[1][0][1]))


def effects_text(effects: Mapping[str, Sequence[tuple[str, float]]]) -> list[str]:
    """One line for each parameter: its values with their mean scores, the best first."""
    width = max(map(len, effects), default=0)
    return [
        f"{name:<{width}}  " + ", ".join(f"{label} {round(mean, 2) + 0.0:+.2f}" for label, mean in means)
        for name, means in effects.items()
    ]


def _labels(values: Sequence[Any]) -> list[str]:
    """A text for each value; many different numbers share that of their range."""
    distinct = {config_key({"": value}) for value in values}
    is_range = len(distinct) > _MOST_VALUES and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )
    if not is_range:
        return [str(value) for value in values]
    numbers = np.asarray(values, dtype=np.float64)
    edges = np.quantile(numbers, np.linspace(0, 1, _N_RANGES + 1))
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, _N_RANGES - 1)
    return [f"{edges[place]:.3g} to {edges[place + 1]:.3g}" for place in places]
