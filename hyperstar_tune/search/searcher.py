"""Searchers that hold trials back until there is a place for them.

``GatedSearcher`` has what all methods share: the slots of a bracket, stored trials that come again, saving, restoring.
A method only says where the next configuration comes from, so that methods under comparison differ in one part.
``PlanScheduler`` puts its own gate in place; with any other scheduler the gate is open, and the searcher hands out
one configuration after another until there are none left.
"""

import copy
import os
import pickle
from abc import ABC, abstractmethod
from typing import Any, TypedDict

from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from hyperstar_tune.errors import SearchError
from hyperstar_tune.plan import Plan
from hyperstar_tune.search.brackets import Gate
from hyperstar_tune.search.ledger import Ledger
from hyperstar_tune.search.ray_space import RaySpace, from_ray, nest
from hyperstar_tune.search.results import agreed, reported_number
from hyperstar_tune.search.trainables import data_of_run, fitting_plan
from hyperstar_tune.space import Config, config_key

__all__ = ["GatedSearcher", "RunOptions"]


class RunOptions(TypedDict, total=False):
    """Keyword arguments of ``GatedSearcher``, which all searchers take."""

    metric: str | None
    mode: str | None
    plan: Plan | None
    max_concurrent: int | None


class GatedSearcher(Searcher, ABC):
    """Base of the searchers that fill the brackets of ``PlanScheduler``.

    A subclass overrides ``next_config``, and where it needs to ``observe``, ``start_over``, ``start_bracket``,
    ``repeats``, ``price``, ``default_plan`` and ``remark``. Its attributes are saved with it: plain, picklable values
    only, except those in ``transient``.

    Args:
        metric: Reported metric to optimize; usually given to ``tune.run`` instead.
        mode: "max" or "min".
        plan: The run's plan; makes sure that the scheduler is a ``PlanScheduler`` with the same one.
        max_concurrent: Trials that may run at a time. Use this, not ``max_concurrent_trials`` of ``tune.run``.
    """

    transient: tuple[str, ...] = ()  # attributes that are not saved
    trained_on: dict[str, Any] | None = None  # the identity of the run's data, if its trainable tells it
    learns = False  # whether the method learns from the metric, and so has to know its name
    remedy = "make a new one"  # for a searcher that is used in a second run
    _unfit: SearchError | None = None  # says of a result, under another scheduler, that no method can learn from it

    def __init__(
        self,
        *,
        metric: str | None = None,
        mode: str | None = None,
        plan: Plan | None = None,
        max_concurrent: int | None = None,
    ) -> None:
        if mode not in (None, "max", "min"):
            raise SearchError(f"mode must be 'max' or 'min', but got {mode!r}")
        super().__init__(metric=metric, mode=mode)
        if max_concurrent is not None and max_concurrent < 1:
            raise SearchError(f"max_concurrent must be at least 1, but got {max_concurrent}")
        self.plan = plan
        self.max_concurrent = max_concurrent
        self.is_restored = False  # it comes from a saved state, and no run has taken it up yet
        self.is_over = False  # its run has ended
        self.gate = Ledger(max_concurrent=max_concurrent)  # later the one that it shares with the scheduler
        self.configs: dict[str, Config] = {}  # trial id -> flat configuration
        self.paths: dict[str, tuple[str, ...]] = {}  # parameter -> place in a trial's config; empty: at the top
        self._bracket = 0  # the bracket of the last suggestion
        self._again: list[Config] = []  # configurations of lost trials, to be suggested again

    # -- what a method overrides ---------------------------------------------------------------------------------------

    @abstractmethod
    def next_config(self) -> Config | None:
        """The next configuration, flat and of plain Python values; None if there is none before it starts over."""

    def observe(self, config: Config, epoch: int, result: dict[str, Any] | None) -> None:
        """Learns from a result, if the method does: called once for every epoch a trial reports.

        Args:
            config: The trial's configuration.
            epoch: Epochs that the trial has trained.
            result: The reported result; None: the trial failed.
        """

    def price(self, config: Config) -> float:
        """Predicted seconds per epoch of a configuration, for a budget in seconds; 0: nothing is predicted."""
        return 0.0

    def start_over(self) -> None:
        """Called when ``next_config`` gave None and a bracket still has a free slot."""

    def start_bracket(self) -> None:
        """Called before the first configuration of every bracket but the first."""

    @property
    def repeats(self) -> bool:
        """Whether the same configuration may come again, so that paused trials are kept for it."""
        return False

    def default_plan(self, trial: Trial) -> Plan | None:
        """The plan of a run for which none was chosen, by its first trial; None if the method has no default."""
        return None

    def fitting(self, plan: Plan, trial: Trial) -> Plan:
        """The plan as it fits the trainable of the first trial: no race where the learning rate falls too early."""
        return fitting_plan(plan, trial)

    def remark(self, trial: Trial, plan: Plan) -> str:
        """What the user should know about this run before it starts; an empty text if nothing."""
        return ""

    def take_config(self, config: RaySpace) -> None:
        """Takes what the run's config searches and fixes; by default a method has a space of its own.

        Raises:
            SearchError: If config and searcher both search something, naming the parameters.
            SpaceError: If the config fixes a value that is not in the space, naming the parameter.
        """
        if config.space is not None:
            raise SearchError(
                f"either {type(self).__name__} or the run's config may have a search space, but both have: the config "
                f"searches {', '.join(config.space.parameters)}; leave out one of them"
            )

    def tell(self, trial_id: str, epoch: int, result: dict[str, Any] | None) -> None:
        """Passes a result on to ``observe``; None: the trial failed."""
        if trial_id in self.configs:
            self.observe(self.configs[trial_id], epoch, result)

    # -- Ray's side ----------------------------------------------------------------------------------------------------

    def suggest(self, trial_id: str) -> Any:
        """The next configuration in its places; None while no slot is free; FINISHED at the end.

        Raises:
            SearchError: If ``plan`` was given but the scheduler is another one, if this is its second run, or if it
                cannot learn from what is reported.
        """
        self.refuse_this_run()
        gate = self.gate
        while gate.has_free_slot():
            if gate.bracket != self._bracket:
                self._bracket = gate.bracket
                self.start_bracket()
            config = self._again.pop() if self._again else self.next_config()
            if config is None and not gate.is_open:
                self.start_over()
                config = self.next_config()
            if config is None:
                gate.close_slots()
                continue
            key = _key(config, gate)
            if gate.is_busy(key):  # all configurations have come, and this one is not decided yet
                self._again.append(config)
                return None
            if gate.claim(key):
                continue
            gate.admit(trial_id, key, self.price(config))
            self.configs[trial_id] = config
            return nest(config, self.paths) if self.paths else dict(config)
        return Searcher.FINISHED if gate.finished else None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Learns from a result; behind Hyperband's gate the scheduler has passed on all of them already."""
        gate = self.gate
        if gate.is_open and trial_id in gate.trials:
            self.hear(trial_id, result)
            trial = gate.trials[trial_id]
            trial.epochs = max(trial.epochs, result.get("training_iteration", 0))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Learns from the last result, which Ray may not have passed on before."""
        gate = self.gate
        if gate.is_open and trial_id in gate.running:
            if error:
                self.tell(trial_id, gate.trials[trial_id].epochs, None)
            elif result:
                self.on_trial_result(trial_id, result)
            gate.release(gate.trials[trial_id])

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Takes the metric and the config of ``tune.run``.

        Raises:
            SearchError: If they contradict what the searcher was given, or this is its second run.
            SpaceError: If the config cannot be searched.
        """
        if self.is_restored:
            raise self._second_run()
        self.take_metric(metric, mode)
        self.take_config(from_ray(config))
        return True

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Refuses to be wrapped in Ray's ``ConcurrencyLimiter``, which counts paused trials as running."""
        raise SearchError(
            f"max_concurrent_trials={max_concurrent} would wrap {type(self).__name__} in a ConcurrencyLimiter, which "
            f"counts paused trials as running; pass max_concurrent={max_concurrent} to the searcher instead"
        )

    def get_state(self) -> dict[str, Any]:
        """Everything that is needed to go on, the scheduler's state included."""
        return copy.deepcopy(self._state())

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the state of ``get_state``."""
        self.__dict__.update(state)
        self.is_restored, self._unfit = True, None

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Reads the newest state of a run, as Ray does before the run goes on."""
        super().restore_from_dir(checkpoint_dir)
        self.is_restored = not self.gate.is_open  # a scheduler of ours will take it up; others take up none

    def save(self, checkpoint_path: str) -> None:
        """Writes the state to a file."""
        with open(checkpoint_path, "wb") as file:
            pickle.dump(self._state(), file)

    def restore(self, checkpoint_path: str) -> None:
        """Reads the state that ``save`` wrote.

        Raises:
            SearchError: If the file is not one of this class.
        """
        name = os.path.basename(checkpoint_path)
        try:
            with open(checkpoint_path, "rb") as file:
                state = pickle.load(file)  # noqa: S301  Ray's own searchers keep their state so
        except (pickle.UnpicklingError, EOFError, AttributeError) as error:
            raise SearchError(f"{name} must be a saved searcher, but: {error!r}") from error
        saved_by = state.get("saved_by") if isinstance(state, dict) else type(state).__name__
        if saved_by != type(self).__name__:
            raise SearchError(f"{name} must be a saved {type(self).__name__}, but is of {saved_by}")
        self.set_state(state)

    def __getstate__(self) -> dict[str, Any]:
        return self._state()

    def _state(self) -> dict[str, Any]:
        left_out = (*self.transient, "_unfit")
        state = {name: value for name, value in self.__dict__.items() if name not in left_out}
        return {**state, "saved_by": type(self).__name__}

    def anew(self, config: RaySpace) -> "GatedSearcher":
        """A searcher like this one that has suggested nothing yet, and searches what a config searches and fixes.

        Raises:
            SpaceError: If it cannot search that.
        """
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.gate, other.configs, other._again, other._bracket = Ledger(), {}, [], 0
        other._renew(config)
        return other

    def _renew(self, config: RaySpace) -> None:
        """Begins again in a copy, which still shares its other attributes with the original."""
        self.take_config(config)

    def adopt(self, trial_id: str, config: Config) -> None:
        """Takes a trial that another one suggested, to learn from it."""
        self.configs[trial_id] = config
        self.gate.admit(trial_id)

    # -- the scheduler's side ------------------------------------------------------------------------------------------

    def join(self, gate: Gate) -> None:
        """Puts the searcher behind a gate; the trial suggested before takes its first slot."""
        self.gate = gate
        for trial_id, config in self.configs.items():
            gate.admit(trial_id, _key(config, gate), self.price(config))

    def refuse_second_run(self) -> None:
        """Makes sure that the searcher serves one run only, or goes on with a restored one.

        Raises:
            SearchError: If it has filled brackets and was not restored since.
        """
        if not self.gate.is_open and not self.is_restored:
            raise self._second_run()

    def refuse_this_run(self) -> None:
        """Makes sure that it may suggest something: Ray waits in silence for a searcher that cannot.

        Raises:
            SearchError: As ``suggest``.
        """
        gate, name = self.gate, type(self).__name__
        if self._unfit is not None:
            raise self._unfit
        # In a run that goes on, a scheduler of ours has taken the gate up before it asks for a trial.
        if self.is_over or (self.is_restored and not (gate.is_open and gate.has_free_slot())):
            raise self._second_run()
        if gate.is_open:
            self.is_restored = False
        if not (gate.is_open and self.configs):
            return  # it has its first trial yet to meet a scheduler with
        if self.plan is not None:
            raise SearchError(
                f"{name} was given a plan, but the scheduler is not a PlanScheduler; "
                "pass scheduler=PlanScheduler(plan) or leave the searcher's plan out"
            )
        if self.learns and not (self._metric and self._mode):
            raise SearchError(
                f"{name} learns from a metric, but Ray tells it none, because the run's config is empty; "
                f"pass metric=..., mode=... to {name} too"
            )

    def _second_run(self) -> SearchError:
        how = "was restored for another" if self.is_restored else "is used for a second"
        return SearchError(f"a {type(self).__name__} belongs to one run, but {how}; {self.remedy}")

    def searched_values(self, parameter: str) -> list[Any]:
        """Values of a parameter that may be suggested, of a range its ends; empty where none are known."""
        return []

    def take_trainable(self, trainable: Any, config: Config) -> None:
        """Notes on which data the run trains, and lets its trainable refuse image sizes, as far as it can.

        Args:
            trainable: The class; it may have the attributes ``task_identity`` and ``accept_changed_data`` and the
                method ``check_image_sizes``, as that of ``finetune.trainable`` has.
            config: Configuration of a trial, with what the run fixes.

        Raises:
            TaskError: If this goes on with a saved run, and labels or images have changed since.
            ModelError: If the network cannot be trained on images of a size that is searched.
        """
        self.trained_on = data_of_run(trainable, self.trained_on)
        check = getattr(trainable, "check_image_sizes", None)
        if check is not None:
            check([*self.searched_values("image_size"), config.get("image_size")])

    def suggest_again(self, trial_id: str) -> None:
        """Gives the configuration of a lost trial to the next one."""
        if trial_id in self.configs:
            self._again.append(self.configs.pop(trial_id))

    def hear(self, trial_id: str, result: dict[str, Any]) -> None:
        """Passes on the result of a new epoch, if it has the metric: methods may count on that."""
        epoch = result.get("training_iteration", 0)
        try:
            has_metric = self._metric is None or result.get(self._metric) is not None
            if self.learns:
                has_metric = reported_number(self._metric, result) is not None
        except SearchError as error:  # raised at the next suggestion, where Ray lets it through as it is
            self._unfit = error
            return
        if has_metric and epoch > self.gate.trials[trial_id].epochs:
            self.tell(trial_id, epoch, result)

    def take_metric(self, metric: str | None, mode: str | None) -> None:
        """Takes the run's metric; ``PlanScheduler`` hands it over where Ray does not, as ``config`` is empty.

        Raises:
            SearchError: If it contradicts what the searcher was given.
        """
        self._metric, self._mode = agreed(self, self._metric, self._mode, metric, mode)

    def next_report(self, trial_id: str, epoch: int, *, every_level: bool) -> int:
        """The next epoch of a trial whose result decides something; a replay may leave out the others.

        Args:
            trial_id: A trial that is running.
            epoch: Epochs it has trained.
            every_level: Whether the ends of all rungs of the plan count, as they do for a method that learns or may
                suggest a configuration again; else only the end of the trial's own rung counts.
        """
        if not isinstance(self.gate, Gate) or self.gate.needs_every_epoch(trial_id):
            return epoch + 1
        target = self.gate.trials[trial_id].target
        return min(target, self.gate.next_level(trial_id)) if every_level else target


def _key(config: Config, gate: Ledger) -> Any:
    """The same key for equal configurations; None if none may come again, as suggestions of others may have no key."""
    if not gate.repeats:
        return None
    try:
        return frozenset(config.items())
    except TypeError:  # a value that is a list
        return config_key(config)
