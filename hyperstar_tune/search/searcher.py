"""Searchers that hold trials back until the scheduler has a place for them.

``GatedSearcher`` is what all methods share: the slots of a bracket, stored trials that come again, saving, restoring. A
method overrides where the next configuration comes from, and nothing else, so that a comparison differs in one part.
With another scheduler than ``TaskAwareHyperBand`` there is no gate: the searcher hands out one configuration after
another until they are exhausted.
"""

import copy
import os
import pickle
from abc import ABC, abstractmethod
from typing import Any

from ray.tune.search import Searcher

from hyperstar_tune.errors import SearchError
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.search.brackets import Gate
from hyperstar_tune.search.decks import RandomDeck
from hyperstar_tune.search.ray_space import RaySpace, as_space, from_ray, nest, restrict
from hyperstar_tune.space import Config, SearchSpace, config_key

__all__ = ["GatedSearcher", "OwnSpaceSearcher", "RandomSearcher"]

Paths = dict[str, tuple[str, ...]]


class GatedSearcher(Searcher, ABC):
    """Base of the searchers that fill the brackets of ``TaskAwareHyperBand``.

    A subclass overrides ``next_config``, and where it needs to ``observe``, ``start_over``, ``start_bracket`` and
    ``repeats``. Its attributes are saved with it: plain, picklable values only, except those in ``transient``.

    Args:
        metric: Reported metric to optimize; usually given to ``tune.run`` instead.
        mode: "max" or "min".
        plan: Given to make sure that the run has a ``TaskAwareHyperBand`` of the same plan.
        max_concurrent: Trials that may run at a time. Use this, not ``max_concurrent_trials`` of ``tune.run``.
    """

    transient: tuple[str, ...] = ()  # attributes that are not saved

    def __init__(
        self,
        *,
        metric: str | None = None,
        mode: str | None = None,
        plan: HyperBandPlan | None = None,
        max_concurrent: int | None = None,
    ) -> None:
        if mode not in (None, "max", "min"):
            raise SearchError(f"mode must be 'max' or 'min', but got {mode!r}")
        super().__init__(metric=metric, mode=mode)
        if max_concurrent is not None and max_concurrent < 1:
            raise SearchError(f"max_concurrent must be at least 1, but got {max_concurrent}")
        self.plan = plan
        self.max_concurrent = max_concurrent
        self.is_restored = False  # its gate comes from a saved state, for the run that goes on from there
        self._gate: Gate | None = None
        self._bracket = 1  # brackets begun
        self._configs: dict[str, Config] = {}  # trial id -> flat configuration
        self._again: list[Config] = []  # suggested to trials that got lost
        self._paths: Paths = {}  # places of the parameters in a trial's config; empty: all on top
        self._live: set[str] = set()  # trials without an end, where there is no gate
        self._seen: dict[str, int] = {}  # trial id -> last epoch observed, where there is no gate
        self._observes = type(self).observe is not GatedSearcher.observe

    # -- what a method overrides ---------------------------------------------------------------------------------------

    @abstractmethod
    def next_config(self) -> Config | None:
        """The next configuration, flat and of plain Python values; None: there is none, unless it starts over."""

    def observe(self, config: Config, epoch: int, result: dict[str, Any] | None) -> None:
        """Learns from a result, if the method does: called once for every epoch a trial reports.

        Args:
            config: The trial's configuration.
            epoch: Epochs behind the trial.
            result: What it reported; None: it failed.
        """

    def start_over(self) -> None:
        """Called when ``next_config`` gave None and a bracket still has a free slot."""

    def start_bracket(self) -> None:
        """Called before the first configuration of every bracket but the first."""

    @property
    def repeats(self) -> bool:
        """Whether the same configuration may come again, so that paused trials are kept for it."""
        return False

    # -- Ray's side ----------------------------------------------------------------------------------------------------

    def suggest(self, trial_id: str) -> Any:
        """The next configuration in its places; None while no slot is free; FINISHED at the end.

        Raises:
            SearchError: If ``plan`` was given but the scheduler is another one.
        """
        gate = self._gate
        if gate is None:
            return self._suggest_freely(trial_id)
        while gate.has_free_slot():
            if gate.n_brackets_started != self._bracket:
                self._bracket = gate.n_brackets_started
                self.start_bracket()
            config = self._again.pop() if self._again else self.next_config()
            if config is None:
                self.start_over()
                config = self.next_config()
            if config is None:
                gate.close_slots()
                continue
            key = _key(config, gate)
            if gate.claim(key):
                continue
            gate.admit(trial_id, key)
            self._configs[trial_id] = config
            return self._placed(config)
        return Searcher.FINISHED if gate.finished else None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Learns from a result where there is no gate; behind a gate the scheduler passes on all of them."""
        if self._gate is None:
            self._observe_freely(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Learns from the last result, which Ray may not have passed on before."""
        if self._gate is None and trial_id in self._live:
            self._live.remove(trial_id)
            if error:
                self.tell(trial_id, self._seen.get(trial_id, 0), None)
            elif result:
                self._observe_freely(trial_id, result)

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Takes the metric and the config of ``tune.run``.

        Raises:
            SearchError: If they contradict what the searcher was given.
            SpaceError: If the config cannot be searched.
        """
        self.take_metric(metric, mode)
        self.take_config(from_ray(config))
        return True

    def take_metric(self, metric: str | None, mode: str | None) -> None:
        """Takes the run's metric; ``TaskAwareHyperBand`` hands it over where Ray does not, as ``config`` is empty.

        Raises:
            SearchError: If it contradicts what the searcher was given.
        """
        for name, mine, theirs in (("metric", self._metric, metric), ("mode", self._mode, mode)):
            if mine and theirs and mine != theirs:
                raise SearchError(
                    f"{name} is {mine!r} in {type(self).__name__} but {theirs!r} in the run; give it once"
                )
        self._metric, self._mode = metric or self._metric, mode or self._mode

    def take_config(self, config: RaySpace) -> None:
        """Takes what the run's config searches and fixes; by default a method has a space of its own.

        Raises:
            SearchError: If the config searches something.
        """
        if config.space is not None:
            raise_two_spaces(self, config.space)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Refuses to be wrapped in Ray's ``ConcurrencyLimiter``, which counts paused trials as running.

        Raises:
            SearchError: Always, naming the right way.
        """
        raise SearchError(
            f"max_concurrent_trials={max_concurrent} would wrap {type(self).__name__} in a ConcurrencyLimiter, which "
            f"counts paused trials as running; pass max_concurrent={max_concurrent} to the searcher instead"
        )

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on, the scheduler's state included."""
        return copy.deepcopy(self._state())

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the state of ``get_state``."""
        self.__dict__.update(state)
        self.is_restored = True

    def save(self, checkpoint_path: str) -> None:
        """Writes the state to a file."""
        with open(checkpoint_path, "wb") as file:
            pickle.dump(self._state(), file)

    def restore(self, checkpoint_path: str) -> None:
        """Reads the state that ``save`` wrote.

        Raises:
            SearchError: If the file is not one of this class.
        """
        try:
            with open(checkpoint_path, "rb") as file:
                state = pickle.load(file)  # noqa: S301  Ray's own searchers keep their state so
        except (pickle.UnpicklingError, EOFError, AttributeError) as error:
            raise SearchError(
                f"{os.path.basename(checkpoint_path)} must be a saved searcher, but: {error!r}"
            ) from error
        if not isinstance(state, dict) or state.get("saved_by") != type(self).__name__:
            raise SearchError(
                f"{os.path.basename(checkpoint_path)} must be a saved {type(self).__name__}, but is of "
                f"{state.get('saved_by') if isinstance(state, dict) else type(state).__name__}"
            )
        self.set_state(state)

    def __getstate__(self) -> dict[str, Any]:
        return self._state()

    def _state(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name not in self.transient}
        return {**state, "saved_by": type(self).__name__}

    # -- the scheduler's side ------------------------------------------------------------------------------------------

    @property
    def gate(self) -> Gate | None:
        """What searcher and scheduler share; None before the first trial or with another scheduler."""
        return self._gate

    def next_report(self, trial_id: str, epoch: int, *, every_level: bool) -> int:
        """The next epoch whose result decides something: the end of the trial's rung, or of any (``every_level``).

        A method that learns, or may suggest a configuration again, needs the ends of all rungs.
        """
        if self._gate is None:
            return epoch + 1
        trial = self._gate.trials[trial_id]
        return min(trial.target, trial.next_level) if every_level else trial.target

    def join(self, gate: Gate) -> None:
        """Puts the searcher behind a gate; the trial suggested before takes its first slot."""
        self._gate = gate
        for trial_id, config in self._configs.items():
            gate.admit(trial_id, _key(config, gate))
        self._live.clear()

    def refuse_second_run(self) -> None:
        """Its brackets are those of one run, which only a restored state continues.

        Raises:
            SearchError: If it has filled brackets and was not restored since.
        """
        if self._gate is not None and not self.is_restored:
            raise SearchError(f"a {type(self).__name__} belongs to one run, but is used for a second; make a new one")

    def suggest_again(self, trial_id: str) -> None:
        """Gives the configuration of a lost trial to the next one."""
        if trial_id in self._configs:
            self._again.append(self._configs.pop(trial_id))

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Passes a result on to ``observe``."""
        if self._observes and trial_id in self._configs:
            self.observe(self._configs[trial_id], epoch, result)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _suggest_freely(self, trial_id: str) -> Any:
        if self.plan is not None and self._configs:
            raise SearchError(
                f"{type(self).__name__} was given a plan, but the scheduler is not a TaskAwareHyperBand; "
                "pass scheduler=TaskAwareHyperBand(plan) or leave the searcher's plan out"
            )
        if self.max_concurrent is not None and len(self._live) >= self.max_concurrent:
            return None
        config = self.next_config()
        if config is None:
            return Searcher.FINISHED
        self._configs[trial_id] = config
        self._live.add(trial_id)
        return self._placed(config)

    def _observe_freely(self, trial_id: str, result: dict[str, Any]) -> None:
        epoch = result.get("training_iteration", 0)
        has_metric = self._metric is None or self._metric in result  # the user may let results lack it
        if self._observes and has_metric and epoch > self._seen.get(trial_id, 0):
            self._seen[trial_id] = epoch
            self.tell(trial_id, epoch, result)

    def _placed(self, config: Config) -> dict[str, Any]:
        return nest(config, self._paths) if self._paths else dict(config)


class OwnSpaceSearcher(GatedSearcher):
    """Base of the searchers with a space of their own, of which a run's config may fix values."""

    space: SearchSpace

    def take_config(self, config: RaySpace) -> None:
        """Keeps to what the run's config fixes.

        Raises:
            SearchError: If the config searches something.
            SpaceError: If it fixes a value that is not in the space, naming the parameter.
        """
        super().take_config(config)
        part = restrict(self.space, config.fixed)
        if part is not self.space:
            self._search(part, config.fixed)

    @abstractmethod
    def _search(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        """Begins on a space, in which some values may be fixed."""


class RandomSearcher(GatedSearcher):
    """Vanilla Hyperband's searcher: uniformly random configurations, a finite space without replacement.

    Args:
        space: A search space, its name, or a Ray dict space; None: what the run's config searches.
        metric, mode, plan, max_concurrent: See ``GatedSearcher``.
        seed: Random seed of the order.

    Raises:
        SpaceError: If the space is unknown or cannot be drawn from.
    """

    def __init__(
        self,
        space: SearchSpace | str | dict[str, Any] | None = None,
        *,
        metric: str | None = None,
        mode: str | None = None,
        plan: HyperBandPlan | None = None,
        max_concurrent: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(metric=metric, mode=mode, plan=plan, max_concurrent=max_concurrent)
        self.seed = seed
        self.space: SearchSpace | None = None
        self._deck: RandomDeck | None = None
        if space is not None:
            self.space, self._paths = as_space(space)
            self._deck = RandomDeck(self.space, seed)

    def next_config(self) -> Config | None:
        """The next random configuration.

        Raises:
            SearchError: If neither the searcher nor the run has a space.
        """
        if self._deck is None:
            raise SearchError("RandomSearcher needs a space, but neither it nor the run's config has one; pass space=")
        return self._deck.next()

    def start_over(self) -> None:
        """A finite space in a new random order."""
        if self._deck is not None:
            self._deck.rewind()

    def start_bracket(self) -> None:
        """All configurations may come again."""
        if self._deck is not None:
            self._deck.start_bracket()

    @property
    def repeats(self) -> bool:
        """Whether the space is finite."""
        return self._deck is not None and self._deck.is_finite

    def take_config(self, config: RaySpace) -> None:
        """Searches what the config searches, and keeps to what it fixes."""
        if self.space is None:
            if config.space is None:
                return
            self.space, self._paths = config.space, config.paths
        elif config.space is not None:
            raise_two_spaces(self, config.space)
        else:
            self.space = restrict(self.space, config.fixed)
        self._deck = RandomDeck(self.space, self.seed)


def raise_two_spaces(searcher: GatedSearcher, space: SearchSpace) -> None:
    """Complains that both the searcher and the run's config search something."""
    raise SearchError(
        f"either {type(searcher).__name__} or the run's config may have a search space, but both have: the config "
        f"searches {', '.join(space.parameters)}; leave out one of them"
    )


def _key(config: Config, gate: Gate) -> Any:
    """Equal for equal configurations; None where none may come again: other searchers suggest what has no key."""
    if not gate.repeats:
        return None
    try:
        return frozenset(config.items())
    except TypeError:  # a value that is a list
        return config_key(config)
