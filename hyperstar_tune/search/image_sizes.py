"""Increasing Image Sizes: most of a search runs on small images, and only its end on large ones.

What is good at a low resolution is mostly good at a high one, whatever the optimizer. So a run is divided into stages
of growing images. Between two stages the best configurations are handed on as the first ones of the next, and the space
is narrowed to where the good ones lie. It needs a trainable that knows ``image_size`` as a parameter. It is not for
images that are small themselves: enlarged ones cost time and show nothing more.

Source: Hinz et al., "Speeding up the Hyperparameter Optimization of Deep Convolutional Neural Networks", 2018.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ConfigSpace.hyperparameters import Constant
from ray.tune.search import Searcher

from hyperstar_tune.errors import SearchError, SpaceError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.search.any_searcher import Gated, limit_of_ray
from hyperstar_tune.search.brackets import Gate
from hyperstar_tune.search.narrowing import Narrowing, narrowed_text
from hyperstar_tune.search.parts import part_of, restrict
from hyperstar_tune.search.ray_space import RaySpace, as_space, from_ray
from hyperstar_tune.search.searcher import GatedSearcher, RunOptions
from hyperstar_tune.search.stage_searcher import StageSearcher
from hyperstar_tune.search.stages import brackets_per_stage, check_sizes, check_trials
from hyperstar_tune.space import Config, SearchSpace, config_key, values_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["IncreasingImageSizes", "Stage"]


@dataclass(frozen=True)
class Stage:
    """A stage that has ended."""

    image_size: int  # pixels
    trial_ids: tuple[str, ...]  # best first; failed and diverged ones are missing
    space: SearchSpace | None  # what it searched


class IncreasingImageSizes(GatedSearcher):
    """Lets any searcher of Ray Tune search on small images first: ``IncreasingImageSizes(OptunaSearch())``.

    Every stage has a fresh copy of the searcher, and puts its image size into each configuration. A stage ends when its
    trials have ended; workers wait for this only if something is handed on or narrowed. The best trials are those with
    the best value of the metric at any epoch; failed and diverged ones never count as good.

    Without a scheduler or with ASHA a stage has its number of trials. (ASHA compares trials of all stages with each
    other.) With ``PlanScheduler`` a stage consists of whole brackets, at least one, until it has its number; with a
    ``RacePlan`` it begins with a race of its own. The last stage has all that the budget still allows. A searcher that
    has no further configuration ends its stage early.

    Handed-on configurations are taught to the searcher if it belongs to this library, or if it implements Ray's
    ``add_evaluated_point`` (as ``OptunaSearch`` does). Searchers of this library are also told the conditions of a
    space; for others all parameters are searched, and those that mean nothing in a configuration are left out of it.

    Args:
        searcher: An unused searcher. One of this library may bring its space, any other is given it here.
        space: A search space, its name or a Ray dict space. None: that of the searcher, or what the run's config
            searches. A parameter of the image size is replaced by that of the stage.
        sizes: Sides of the images in pixels, growing.
        trials: Trials of every stage, or of all together, divided as 3 : 2 : 1 (and 4 : 3 : 2 : 1 for four). None: the
            run's ``num_samples``, or with ``PlanScheduler`` what its budget reaches.
        hand_on: Configurations that are handed on; 0: none.
        narrow: The rule by which the space is narrowed; None: it stays as it is.
        parameter: Name of the image size in a configuration.
        options: ``metric``, ``mode``, ``plan`` and ``max_concurrent`` of ``GatedSearcher``.

    Raises:
        SearchError: If sizes do not grow, there are more stages than trials, there is nothing to narrow, or the
            searcher cannot be given a space.
        SpaceError: If the space is unknown or cannot be searched.

    Example:
        >>> search = IncreasingImageSizes(RandomSearcher("mobilenet-v2"), sizes=(32, 64), trials=(10, 5))
        >>> search.suggest("some trial")["image_size"]
        32
    """

    transient = ("_template", "_inner")
    learns = True

    def __init__(
        self,
        searcher: Searcher,
        *,
        space: SearchSpace | str | dict[str, Any] | None = None,
        sizes: Sequence[int] = (32, 64, 128),
        trials: int | Sequence[int] | None = None,
        hand_on: int = 5,
        narrow: Narrowing | None = Narrowing(),  # noqa: B008  frozen
        parameter: str = "image_size",
        **options: "Unpack[RunOptions]",
    ) -> None:
        if not isinstance(searcher, Searcher) or isinstance(searcher, IncreasingImageSizes | Gated):
            raise SearchError(f"IncreasingImageSizes takes a bare Ray searcher, but got a {type(searcher).__name__}")
        if (limit := limit_of_ray(searcher)) is not None:
            raise SearchError(
                f"IncreasingImageSizes got a ConcurrencyLimiter of {limit}, which counts paused trials as running; "
                f"pass its searcher and max_concurrent={limit} instead"
            )
        if isinstance(searcher, GatedSearcher) and searcher.configs:
            raise SearchError(f"IncreasingImageSizes needs an unused {type(searcher).__name__}; make a new one")
        if isinstance(hand_on, bool) or not isinstance(hand_on, int) or hand_on < 0:
            raise SearchError(f"hand_on must be a whole number of configurations from 0, but got {hand_on!r}")
        if not (narrow is None or isinstance(narrow, Narrowing)):
            raise SearchError(f"narrow must be a Narrowing, or None to narrow nothing, but got {narrow!r}")
        options.setdefault("metric", searcher.metric)
        options.setdefault("mode", searcher.mode)
        super().__init__(**options)
        self.sizes = check_sizes(sizes)
        self.trials = None if trials is None else check_trials(trials, len(self.sizes))
        self.stages: list[Stage] = []  # that have ended
        self.space: SearchSpace | None = None  # what the search began with
        self._template = searcher
        self._inner: Any = None  # the StageSearcher of this stage; None before the first suggestion
        self._hand_on, self._parameter = hand_on, parameter
        self._narrow = narrow if len(self.sizes) > 1 else None
        self._fixed: dict[str, Any] = {}  # by the run's config
        self._searched: SearchSpace | None = None  # in this stage
        self._has_one_trial = False  # by the run's num_samples
        self._ends: tuple[int, ...] = ()  # with brackets: number of the first one after each stage
        self._mine: dict[str, Config] = {}  # trials of this stage -> configuration without the image size
        self._handed: list[Config] = []  # configurations to be suggested first in this stage
        self._known: set[str] = set()  # keys of all that were handed on to it
        self._untold: set[str] = set()  # trials of such configurations of which the searcher is told when they end
        self._used_up_in: int | None = None  # bracket in which the searcher had no further configuration for this stage
        self._values: dict[str, float] = {}  # trial id -> best value, higher is better; -inf: failed or diverged
        self._last: dict[str, dict[str, Any]] = {}  # trial id -> last result of a trial that has not ended
        self._next: Config | None = None
        own = getattr(searcher, "space", None) if isinstance(searcher, GatedSearcher) else None
        if space is not None:
            self._take_space(*as_space(space))
        elif isinstance(own, SearchSpace):
            self._take_space(*as_space(own))

    # -- suggestions ---------------------------------------------------------------------------------------------------

    @property
    def stage(self) -> int:
        """Number of the stage that runs, counted from 0."""
        return len(self.stages)

    def searched_values(self, parameter: str) -> list[Any]:
        """The image sizes; other parameters are the searcher's."""
        return list(self.sizes) if parameter == self._parameter else []

    def next_config(self) -> Config | None:
        """What the searcher of this stage suggested, with the image size."""
        config, self._next = self._next, None
        return config

    def suggest(self, trial_id: str) -> Any:
        """The next configuration of the stage; None while no slot is free or the stage waits for its last trials.

        Raises:
            SearchError: If the number of trials or the space is unknown, or the searcher suggests nothing at all.
        """
        gate = self.gate
        self.refuse_this_run()
        if not gate.has_free_slot():
            return super().suggest(trial_id)
        if self._inner is None:
            if self._has_one_trial and self.trials is None:
                self.trials = check_trials(1, len(self.sizes))
            self._begin_stage()
        while self._is_full():
            if self.stage == len(self.sizes) - 1 or (not gate.is_open and self._used_up_in == gate.bracket):
                gate.close_slots()
                return Searcher.FINISHED if gate.finished else None
            if (self._hand_on or self._narrow is not None) and gate.running & self._mine.keys():
                return None
            self._end_stage()
            self._begin_stage()
        is_handed_on = bool(self._handed)
        config = self._handed.pop(0) if is_handed_on else self._inner.suggest(trial_id, self._known)
        if config == Searcher.FINISHED:
            self._notice_used_up()
            return self.suggest(trial_id)
        if config is None:
            return None
        config.pop(self._parameter, None)
        self._next = {**config, self._parameter: self.sizes[self.stage]}
        suggestion = super().suggest(trial_id)
        self._mine[trial_id] = config
        if is_handed_on and not self._inner.adopt(trial_id, config):
            self._untold.add(trial_id)
        return suggestion

    def _is_full(self) -> bool:
        """Whether the stage gets no further trial."""
        if self._used_up_in is not None:
            return True
        if not self.gate.is_open:
            return self.stage < len(self.sizes) - 1 and self.gate.bracket >= self._ends[self.stage]
        if self.trials is not None:
            return len(self._mine) >= self.trials[self.stage]
        if self.configs:  # the first suggestion comes before a PlanScheduler tells of itself
            raise SearchError(
                "IncreasingImageSizes must know the number of trials, but the run's num_samples is endless and its "
                "scheduler no PlanScheduler; pass e.g. trials=60"
            )
        return False

    def _notice_used_up(self) -> None:
        name, size = type(self._template).__name__, self.sizes[self.stage]
        if not self._mine and self.stage == 0:
            raise SearchError(f"{name} is used up: it has no configuration for {size} pixels at all; pass a new one")
        self._used_up_in = self.gate.bracket
        LOGGER.info("%s has no further configuration for %d pixels after %d trials", name, size, len(self._mine))

    # -- stages --------------------------------------------------------------------------------------------------------

    def _begin_stage(self) -> None:
        if self.stage == 0:
            self._searched = self.space
            if self.space is None and self._narrow is not None:
                raise SearchError(
                    "IncreasingImageSizes needs a space, but neither it nor the run's config has one; pass space="
                )
        self._inner = self._copy()
        self._known = {config_key(config) for config in self._handed}

    def _copy(self) -> StageSearcher:
        """A copy of the searcher that has suggested nothing yet, with the space of this stage."""
        space = self._space_of_stage()
        paths = {} if space is None else {name: self.paths[name] for name in space.parameters}
        taken = RaySpace(space, paths, {**self._fixed, self._parameter: self.sizes[self.stage]})
        return StageSearcher.copy(self._template, taken, self.metric, self.mode)

    def _space_of_stage(self) -> SearchSpace | None:
        """What the stage searches; a parameter of the image size has the stage's."""
        space = self._searched
        if space is None or self._parameter not in space.parameters:
            return space
        return part_of(space, {self._parameter: Constant(self._parameter, self.sizes[self.stage])})

    def _end_stage(self) -> None:
        """Chooses what is handed on and narrows the space."""
        reached = [trial_id for trial_id in self._mine if math.isfinite(self._values.get(trial_id, -math.inf))]
        best = sorted(reached, key=lambda trial_id: self._values[trial_id], reverse=True)
        ranked, before = [self._mine[trial_id] for trial_id in best], self._searched
        self.stages.append(Stage(self.sizes[self.stage], tuple(best), before))
        text = ""
        if self._narrow is not None and before is not None and self.space is not None:
            self._searched = self._narrow.narrow(before, ranked, self.space)
            text = narrowed_text(self._searched, before) or "nothing"
        self._handed = [config for config in ranked if self._lies_in_space(config)][: self._hand_on]
        LOGGER.info(
            "%d pixels: %d trials, best %s; handed on: %d%s",
            self.stages[-1].image_size,
            len(self._mine),
            f"{self._reported(best[0]):.4g}" if best else "none",
            len(self._handed),
            f"; narrowed: {text}" if text else "",
        )
        self._mine, self._untold, self._used_up_in = {}, set(), None

    def _lies_in_space(self, config: Config) -> bool:
        space = self._space_of_stage()
        if space is None:
            return True
        size = {self._parameter: self.sizes[self.stage]} if self._parameter in space.parameters else {}
        try:
            space.check({**config, **size})
        except SpaceError:
            return False
        return True

    # -- results -------------------------------------------------------------------------------------------------------

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Notes a result, and passes it on to the searcher of the stage if the trial is its own."""
        if trial_id not in self.configs:
            return
        value = math.nan if result is None else float(result[self.metric])
        value = value if self.mode == "max" else -value
        best = self._values.get(trial_id, value)
        self._values[trial_id] = max(value, best) if math.isfinite(value) and math.isfinite(best) else -math.inf
        if result is not None:
            self._last[trial_id] = result
            if trial_id in self._mine and trial_id not in self._untold:
                self._inner.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the searcher of the stage of a trial's end, with the last result even if Ray has none."""
        super().on_trial_complete(trial_id, result, error)
        last = self._last.pop(trial_id, None)
        if trial_id in self._untold:
            self._untold.remove(trial_id)
            if math.isfinite(self._values.get(trial_id, -math.inf)):
                self._inner.teach(self._mine[trial_id], self._reported(trial_id))
        elif trial_id in self._mine:
            self._inner.searcher.on_trial_complete(trial_id, result=result or last, error=error)

    def _reported(self, trial_id: str) -> float:
        """The best value of a trial as it was reported."""
        return self._values[trial_id] if self.mode == "max" else -self._values[trial_id]

    def suggest_again(self, trial_id: str) -> None:
        """Gives the configuration of a lost trial to the next one; its searcher hears that the trial failed."""
        if self.configs.pop(trial_id, None) is None or trial_id not in self._mine:
            return
        if trial_id in self._untold:
            self._untold.remove(trial_id)
        else:
            self._inner.searcher.on_trial_complete(trial_id, error=True)
        self._handed.insert(0, self._mine.pop(trial_id))

    # -- the run -------------------------------------------------------------------------------------------------------

    def join(self, gate: Gate) -> None:
        """Puts the searcher behind a gate, and divides its brackets into stages."""
        self._ends = brackets_per_stage(gate.plan, len(self.sizes), self.trials)
        gate.starts = self._ends[:-1] if gate.plan.starts_over else ()
        super().join(gate)

    def take_metric(self, metric: str | None, mode: str | None) -> None:
        """Takes the run's metric, also for the searcher of the stage."""
        super().take_metric(metric, mode)
        if self._inner is not None and isinstance(self._inner.searcher, GatedSearcher):
            self._inner.searcher.take_metric(self.metric, self.mode)

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Takes the metric, the config and the number of trials of ``tune.run``."""
        self.take_metric(metric, mode)
        self.take_config(from_ray(config))
        n_samples = spec.get("num_samples", -1)
        self._has_one_trial = n_samples == 1  # as Tune also says of a restored run, which knows its trials
        if self.trials is None and 1 < n_samples < sys.maxsize:
            self.trials = check_trials(n_samples, len(self.sizes))
        return True

    def take_config(self, config: RaySpace) -> None:
        """Takes what the run's config searches and fixes.

        Raises:
            SearchError: If it fixes the image size, or searches something although there is a space.
            SpaceError: If it fixes a value that is not in the space.
        """
        if self._parameter in config.fixed:
            raise SearchError(
                f"{self._parameter} grows from stage to stage, but the run's config fixes it at "
                f"{config.fixed[self._parameter]!r}; leave it out there"
            )
        self._fixed = dict(config.fixed)
        if config.space is not None:
            if self.space is not None:
                super().take_config(config)
            self._take_space(config.space, config.paths)
        elif self.space is not None:
            self._take_space(restrict(self.space, config.fixed), self.paths)

    def _take_space(self, space: SearchSpace, paths: dict[str, tuple[str, ...]]) -> None:
        others = [hp for hp in space.configuration_space.values() if hp.name != self._parameter]
        if self._narrow is not None and all(len(values_of(hp) or (0, 1)) == 1 for hp in others):
            raise SearchError(
                f"narrow needs a parameter with more than one value, but {space.name!r} has none besides "
                f"{self._parameter}; pass narrow=None"
            )
        self.space, self.paths = space, {self._parameter: (self._parameter,), **paths}

    # -- saving --------------------------------------------------------------------------------------------------------

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the state of ``get_state``."""
        super().set_state({name: value for name, value in state.items() if name != "inner_state"})
        self._restore_inner(state["inner_state"])

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "inner_state": self._inner and self._inner.save()}

    def __getstate__(self) -> dict[str, Any]:
        return {**self._state(), "_template": self._template}

    def __setstate__(self, state: dict[str, Any]) -> None:
        inner = state.pop("inner_state")
        self.__dict__.update(state)
        self._restore_inner(inner)

    def _restore_inner(self, saved: bytes | None) -> None:
        self._inner = None
        if saved is not None:
            self._inner = self._copy()
            self._inner.restore(saved)
