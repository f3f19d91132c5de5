"""Expected seconds of cells, from those that were measured.

A rough cost (images x epochs x layers x pixels) is corrected by what cells have taken: all of them, those of like cost,
those of the task, those of the configuration. So a collection that begins with its dear cells does not promise that the
others take as long.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperstar_tune.finetune.knobs import KNOBS
from hyperstar_tune.space import Config, config_key
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["ExpectedSeconds", "rough_cost"]

_LAYERS_COST = {"head": 1, "last_stage": 10, "all": 30}  # EfficientNet-Lite0 on a CPU, seconds at 64 px


def rough_cost(config: Config) -> float:
    """Rough cost of a configuration, to be compared with those of other configurations of one space."""
    layers = config.get("layers", KNOBS["layers"].default)
    return float(_LAYERS_COST[layers] * (config.get("image_size") or 1))


# Groups of cells that share a factor, from coarse to fine, and how many cells of a group its factor of 1 is worth.
_GROUPS: tuple[tuple[Callable[[str, Config], Any], float], ...] = (
    (lambda task, config: None, 0.0),  # all cells, as the unit of the rough cost means nothing
    (lambda task, config: rough_cost(config), 0.1),
    (lambda task, config: task, 0.5),
    (lambda task, config: config_key(config), 1.0),
)


class ExpectedSeconds:
    """What cells of some tasks may take.

    Args:
        tasks: The tasks of the collection.
        max_epochs: Epochs of a cell.
    """

    def __init__(self, tasks: Iterable[ImageTask], max_epochs: int) -> None:
        self._work = {task.name: task.n_train * max_epochs + task.n_val for task in tasks}
        self._seen: list[tuple[str, Config, float]] = []  # task, configuration, seconds
        self._factors: list[dict[Any, float]] = []  # of the groups, as far as they are fitted

    def learn(self, task: str, cells: Iterable[Mapping[str, Any]]) -> None:
        """Takes finished cells of a task, as the journal has them; failed ones say nothing."""
        self._seen += [
            (task, cell["config"], cell["seconds"]) for cell in cells if cell["error"] is None and cell["seconds"]
        ]
        self._factors = []

    def of(self, task: str, config: Config) -> float | None:
        """Expected seconds of a cell; None as long as nothing is known."""
        if not self._seen:
            return None
        if not self._factors:
            self._fit()
        return self._expected(task, config)

    def _fit(self) -> None:
        """Finds the factor of each group of cells, given those of coarser groups."""
        for group, doubt in _GROUPS:
            cells: dict[Any, list[tuple[float, float]]] = {}
            for task, config, seconds in self._seen:
                cells.setdefault(group(task, config), []).append((seconds, self._expected(task, config)))
            factors = {}
            for key, pairs in cells.items():
                taken, expected = map(sum, zip(*pairs, strict=True))
                own = expected / len(pairs) * doubt
                factors[key] = (taken + own) / (expected + own)
            self._factors.append(factors)

    def _expected(self, task: str, config: Config) -> float:
        seconds = self._work[task] * rough_cost(config)
        for (group, _), factors in zip(_GROUPS, self._factors, strict=False):
            seconds *= factors.get(group(task, config), 1.0)
        return seconds
