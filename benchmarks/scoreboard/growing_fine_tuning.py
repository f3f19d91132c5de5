"""Growing image sizes where a pretrained network is fine-tuned: do rankings hold, and what does a ranking add.

The network is ``efficientnet-lite0``, the ranking that of HyperSTAR+ on the table ``mobilenet-v2-64px``, of which it
never saw the task's family. So it ranks from another network's curves, at one image size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import ROOT, scores_path
from collect_image_sizes import PARTS

from hyperstar_tune.comparison import LooScores
from hyperstar_tune.space import config_key
from hyperstar_tune.tables import MetaDataset
from scoreboard.growing import (
    Measured,
    OfSize,
    Reached,
    between_sizes,
    between_sizes_and_seeds,
    complete,
    interval,
    noise_ceiling,
    read_measured,
)
from scoreboard.tables import OURS

__all__ = ["fine_tuning", "funnel"]

_TABLE = "mobilenet-v2-64px"
_RANKED_SHARE, _KEPT_SHARE = 3, 2  # one in three of a ranking is trained; one in two goes on to the next size


def fine_tuning(folder: Path) -> dict[str, Any]:
    """What was collected of fine-tuning: correlations between sizes, and ways to search with time and accuracy."""
    part = PARTS["fine-tuning"]
    measured, again = read_measured(folder), read_measured(folder, seed=1)
    begun = {task: of for task, of in measured.tasks.items() if set(of) == set(part.sizes)}
    measured = Measured(begun, measured.configs)
    whole = complete(measured, part.sizes)
    ways: dict[str, dict[str, tuple[float, Reached]]] = {}
    for task, of in whole.tasks.items():
        keys, ranked = list(whole.configs), _ranking(task, list(whole.configs))
        first = ranked[: max(1, len(keys) // _RANKED_SHARE)]
        for name, start, sizes in (
            ("all, largest size", keys, part.sizes[-1:]),
            ("all, growing sizes", keys, part.sizes),
            ("first third of the ranking, largest size", first, part.sizes[-1:]),
            ("first third of the ranking, growing sizes", first, part.sizes),
        ):
            ways.setdefault(name, {})[task] = funnel(start, [of[size] for size in sizes])
    usual = next(iter(ways.values()))
    return {
        "network": part.settings.model,
        "tasks": list(whole.tasks),
        "configurations": len(whole.configs),
        "wanted_configurations": part.n_configs,
        "epochs": part.settings.max_epochs,
        "sizes": list(part.sizes),
        "rank_correlation_between_sizes": between_sizes(whole.tasks, part.sizes),
        "rank_correlation_between_sizes_and_seeds": between_sizes_and_seeds(measured, again, part.sizes),
        "noise_ceiling": noise_ceiling(measured, again, part.sizes),
        "ways": {
            name: {
                "time_saved_percent": interval({t: [100 * (1 - s / usual[t][0])] for t, (s, _) in found.items()}),
                "test_accuracy": interval({t: [100 * best.test] for t, (_, best) in found.items()}),
                "accuracy_change_points": interval(
                    {t: [100 * (best.test - usual[t][1].test)] for t, (_, best) in found.items()}
                ),
            }
            for name, found in ways.items()
        },
    }


def funnel(keys: Sequence[str], sizes: Sequence[OfSize]) -> tuple[float, Reached]:
    """Trains configurations at each size in turn, of which the best half by half A goes on to the next.

    Returns:
        Seconds of all trainings, and what the best configuration reached at the last size.
    """
    seconds = 0.0
    for number, of_size in enumerate(sizes):
        seconds += sum(of_size[key].seconds for key in keys)
        keys = sorted(keys, key=lambda key, of_size=of_size: of_size[key].half_a, reverse=True)
        if number < len(sizes) - 1:
            keys = keys[: max(1, len(keys) // _KEPT_SHARE)]
    return seconds, sizes[-1][keys[0]]


def _ranking(task: str, keys: Sequence[str]) -> list[str]:
    """Those configurations, in the order of the ranking that did not know the task."""
    configs = MetaDataset.load(ROOT / "metadata" / _TABLE).configs
    ranking = LooScores.load(scores_path(_TABLE), configs).ranking(OURS, f"{task}@small", 0)
    return [key for key in map(config_key, ranking.configs) if key in set(keys)]
