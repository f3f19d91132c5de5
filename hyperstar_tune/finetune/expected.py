"""Expected seconds of cells, from those that were measured.

A rough cost (images x epochs x layers x pixels) is corrected by what cells have taken: all of them, those of like cost,
those of the task, those of the configuration. So a collection that begins with its dear cells does not promise that the
others take as long.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperstar_tune.finetune.knobs import check_config
from hyperstar_tune.space import Config, config_key
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["ExpectedSeconds", "rough_cost"]

_LAYERS_COST = {"head": 1, "last_stage": 10, "all": 30}  # EfficientNet-Lite0 on a CPU, seconds at 64 px


def rough_cost(config: Config) -> float:
    """Rough cost of a configuration, to be compared with those of other configurations of one space."""
    full = check_config(config)
    return float(_LAYERS_COST[full["layers"]] * (full["image_size"] or 1))


_GROUPS: tuple[Callable[[str, Config], Any], ...] = (  # of cells that share a factor, from coarse to fine
    lambda task, config: None,  # all cells
    lambda task, config: rough_cost(config),
    lambda task, config: task,
    lambda task, config: config_key(config),
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
        """Finds the factor of each group of cells, given those of coarser groups.

        The evidence of a group stands against one typical cell that says its factor is 1.
        """
        typical = sum(seconds for _, _, seconds in self._seen) / len(self._seen)
        for group in _GROUPS:
            doubt = typical if self._factors else 0.0  # the unit of the rough cost means nothing
            taken: dict[Any, float] = {}
            expected: dict[Any, float] = {}
            for task, config, seconds in self._seen:
                key = group(task, config)
                taken[key] = taken.get(key, doubt) + seconds
                expected[key] = expected.get(key, doubt) + self._expected(task, config)
            self._factors.append({key: taken[key] / expected[key] for key in taken})

    def _expected(self, task: str, config: Config) -> float:
        seconds = self._work[task] * rough_cost(config)
        for group, factors in zip(_GROUPS, self._factors, strict=False):
            seconds *= factors.get(group(task, config), 1.0)
        return seconds
