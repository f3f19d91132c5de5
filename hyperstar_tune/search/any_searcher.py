"""Puts any other Ray searcher behind the gate of a `PlanScheduler`."""

from typing import Any

from ray.tune.search import ConcurrencyLimiter, Searcher

from hyperstar_tune.errors import SearchError
from hyperstar_tune.search.searcher import GatedSearcher
from hyperstar_tune.space import Config

__all__ = ["Gated", "limit_of_ray"]


class Gated(GatedSearcher):
    """Lets another searcher fill the brackets of ``PlanScheduler``: ``search_alg=Gated(OptunaSearch())``.

    The other searcher is asked only when a bracket has a free slot, sees every result, and learns of each trial's end
    with its last result. A configuration that it repeats is a new trial. It is saved and restored with the run if it
    can save itself.

    Args:
        searcher: An instance of another ``ray.tune.search.Searcher``.
        max_concurrent: Trials that may run at a time.

    Raises:
        SearchError: If ``searcher`` is no Ray searcher, needs no gate or counts paused trials as running.
    """

    transient = ("searcher",)  # Ray saves the inner one in a file of its own

    def __init__(self, searcher: Searcher, *, max_concurrent: int | None = None) -> None:
        if not isinstance(searcher, Searcher) or isinstance(searcher, GatedSearcher):
            raise SearchError(f"Gated takes a Ray searcher without a gate, but got a {type(searcher).__name__}")
        if (limit := limit_of_ray(searcher)) is not None:
            raise SearchError(
                f"Gated got a ConcurrencyLimiter of {limit}, which counts paused trials as running; pass "
                f"Gated(searcher, max_concurrent={limit}) instead"
            )
        super().__init__(metric=searcher.metric, mode=searcher.mode, max_concurrent=max_concurrent)
        self.searcher = searcher
        self._next: Config | None = None
        self._last: dict[str, dict[str, Any]] = {}  # trial id -> last result

    def next_config(self) -> Config | None:
        """What the other searcher suggested."""
        config, self._next = self._next, None
        return config

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Passes a result on to the other searcher."""
        if result is not None:
            self._last[trial_id] = result
            self.searcher.on_trial_result(trial_id, result)

    def suggest(self, trial_id: str) -> Any:
        """What the other searcher suggests, once a slot is free."""
        self.refuse_this_run()
        if self.gate.has_free_slot():
            suggestion = self.searcher.suggest(trial_id)
            if suggestion is None:
                return None
            self._next = None if suggestion == Searcher.FINISHED else suggestion
        return super().suggest(trial_id)

    def suggest_again(self, trial_id: str) -> None:
        """Reports a lost trial as failed, because the other searcher knows its suggestions by their trials."""
        if self.configs.pop(trial_id, None) is not None:
            self.searcher.on_trial_complete(trial_id, error=True)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the other searcher of a trial's end, with the last result even if Ray has none."""
        super().on_trial_complete(trial_id, result, error)
        self.searcher.on_trial_complete(trial_id, result=result or self._last.pop(trial_id, None), error=error)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tells the other searcher of a point that was evaluated before the run, if it can take one."""
        self.searcher.add_evaluated_point(parameters, value, error, pruned, intermediate_values)

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the state of ``get_state``, as Ray does before a run goes on."""
        super().set_state(state)
        self.is_restored = not self.gate.is_open

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Hands the properties of the search on to the other searcher."""
        taken: bool = self.searcher.set_search_properties(metric, mode, config, **spec)
        self._metric, self._mode = self.searcher.metric, self.searcher.mode
        return taken

    def take_metric(self, metric: str | None, mode: str | None) -> None:
        """Does nothing: the other searcher has its own metric, or was told with the run's config."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def save(self, checkpoint_path: str) -> None:
        """Writes the other searcher's state; this one's goes with Ray's search generator."""
        self.searcher.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Reads the other searcher's state."""
        self.searcher.restore(checkpoint_path)


def limit_of_ray(searcher: Searcher) -> int | None:
    """The limit of a ``ConcurrencyLimiter`` that a searcher is or has inside; None without one."""
    inside: Any = searcher
    while inside is not None:
        if isinstance(inside, ConcurrencyLimiter):
            return int(inside.max_concurrent)
        inside = getattr(inside, "searcher", None)
    return None
