"""Runs a plan on Ray Tune exactly as it is printed: Hyperband's brackets, or a race and then the ranking.

Ray's own ``HyperBandScheduler`` rounds differently, becomes random search with a searcher, hangs after an error and
forgets its rungs when a run is restored. This one shares a gate with its searcher, and the gate is saved in the
searcher's checkpoint: after ``make_restorable`` and ``Tuner.restore`` or ``tune.run(resume=...)`` the run goes on with
every score it had.

It is not for trainables that cannot be paused: a trial without checkpoints starts anew whenever it is resumed.
"""

from collections import deque
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.result import TIME_THIS_ITER_S
from ray.tune.schedulers import TrialScheduler

from hyperstar_tune.cluster import Waiting, check_request
from hyperstar_tune.errors import HyperStarError, SearchError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.plan import Plan
from hyperstar_tune.race import RacePlan
from hyperstar_tune.reach import budget_remark
from hyperstar_tune.search.brackets import PAUSE, Gate, RungRecord
from hyperstar_tune.search.checks import begins_anew, find_gated, reason_of_failure
from hyperstar_tune.search.comeback import put_back, take_up
from hyperstar_tune.search.live_trials import first_ready, notice_lost
from hyperstar_tune.search.restore import SnapshotKeeper
from hyperstar_tune.search.results import agreed, is_lenient, missing_metric, reported_number
from hyperstar_tune.search.searcher import GatedSearcher
from hyperstar_tune.search.takeover import lift_stop, take_over
from hyperstar_tune.search.trainables import fitting_plan, told_plan

__all__ = ["PlanScheduler"]

_EPOCH = "training_iteration"
_DONE = (Trial.TERMINATED, Trial.ERROR)


class PlanScheduler(TrialScheduler):
    """Runs a ``RacePlan`` or a ``HyperBandPlan`` to exactly its epoch budget, whatever searcher fills its brackets.

    A trial trains to the end of its rung, is paused there, and is resumed if it is promoted. Nothing stays paused at
    the end. A trial that diverges (a metric that is not finite) or fails keeps its place with the worst score, and the
    epochs it did not run return to the budget. Epochs trained again after a fault are counted in ``redone_epochs`` and
    not charged. The run also ends when passes over the brackets train nothing any more because all configurations are
    trained to the end, or when ``num_samples`` is used up (so pass ``num_samples=-1``).

    One epoch is one ``training_iteration``. A trainable should go on as long as it is asked to. A trial that reports
    ``done`` keeps its last score.

    The searcher is a ``HyperStarSearcher``, a ``RandomSearcher`` or another subclass of ``GatedSearcher``, or any other
    Ray searcher as ``Gated(searcher)``. Without a searcher (Ray's variant generator) all ``num_samples`` trials are
    made at once and held back until their turn; such a run cannot be restored.

    Args:
        plan: Brackets and budget. None: the plan of the searcher, or the one that it takes by default, which for a
            ``HyperStarSearcher`` is a race with the budget of one pass. A race is left out if the learning rate of the
            trainable falls too early for it, and this is logged.
        metric: Reported metric to optimize; usually given to ``tune.run`` instead.
        mode: "max" or "min".

    Raises:
        SearchError: During the run, if it is combined with something that it cannot work with.
    """

    _supports_buffered_results = False

    def __init__(self, plan: Plan | None = None, *, metric: str | None = None, mode: str | None = None) -> None:
        super().__init__()
        if plan is not None and not isinstance(plan, Plan):
            raise SearchError(f"PlanScheduler needs a HyperBandPlan or a RacePlan, but got {plan!r}")
        self._asked = plan
        self._metric = metric
        self._mode = mode
        self._sign = 1.0
        self._samples = 1
        self._begin()

    def _begin(self) -> None:
        self._gate = Gate(self._asked or RacePlan(1), repeats=False)  # until it meets a searcher, which brings its own
        self._searcher: GatedSearcher | None = None
        self._is_bound = False  # whether the run has its first trial
        self._live: dict[str, Trial] = {}  # trials of this process without an end
        self._unknown: list[Trial] = []  # trials of a restored run whose ids its searcher does not know
        self._goes_on = False  # the restored run was stopped from outside, and its stopped trials go on
        self._held: deque[str] = deque()  # trials of Ray's variant generator that have no slot yet
        self._error: HyperStarError | None = None  # raised at the next step, where Ray lets it through as it is
        self._snapshot: SnapshotKeeper | None = None  # none in a replay
        self._requests: set[Any] = set()  # what trials ask for, as far as the cluster was asked whether it has it
        self._waiting = Waiting()
        self._is_summed_up = False
        self._has_begun_anew = False  # a trial that should have gone on, which is said once

    # -- to be read by users -------------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan | None:
        """The plan that runs; before the run the one that was asked for."""
        return self._gate.plan if self._is_bound else self._asked

    @property
    def spent_epochs(self) -> int:
        """Epochs charged to the budget so far."""
        return self._gate.spent

    @property
    def redone_epochs(self) -> int:
        """Epochs that were trained again after a fault; not in ``spent_epochs``."""
        return self._gate.redone_epochs

    @property
    def finished(self) -> bool:
        """Whether the run has ended: its budget is spent, or nothing is left to train."""
        return self._gate.finished

    @property
    def faults(self) -> dict[str, str]:
        """Trials that diverged or failed, and why."""
        return dict(self._gate.faults)

    @property
    def rungs(self) -> list[RungRecord]:
        """The rungs that have ended, in order."""
        return list(self._gate.records)

    def summary(self) -> str:
        """What the run spent and the faults it met, one per line; logged at the run's end."""
        return self._gate.summary() if self._is_bound else "not started"

    def debug_string(self) -> str:
        """One line for Ray's status table."""
        gate = self._gate
        if not self._is_bound:
            return "PlanScheduler: not started"
        return f"PlanScheduler: {gate.place}, {gate.account}"

    # -- Ray's side ----------------------------------------------------------------------------------------------------

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Takes the metric of ``tune.run`` and forgets an earlier run.

        Raises:
            SearchError: If it contradicts the scheduler's own.
        """
        self._metric, self._mode = agreed(self, self._metric, self._mode, metric, mode)
        if not self._metric or self._mode not in ("max", "min"):
            raise SearchError(
                "PlanScheduler needs a metric and a mode, but got "
                f"metric={self._metric!r}, mode={self._mode!r}; pass e.g. metric='val_accuracy', mode='max'"
            )
        self._sign = 1.0 if self._mode == "max" else -1.0
        self._samples = spec.get("num_samples", 1)
        self._begin()
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Takes a new trial, one that recovers, or one of a restored run."""
        if self._error is not None:  # of an earlier trial: it ends the run
            return
        try:
            if not self._is_bound:
                take_over(tune_controller, self._at_end)
                self._bind(tune_controller, trial)
            self._hold_against_cluster(trial)
            self._take(tune_controller, trial)
        except HyperStarError as error:
            self._error = error

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decides whether the trial goes on; takes constant time, unless the result ends a rung."""
        epoch = result[_EPOCH]
        gate, trial_id = self._gate, trial.trial_id
        if self._error is not None:
            return PAUSE
        score = self._score(result)
        if score is None and self._error is None and not (epoch < gate.next_level(trial_id) and is_lenient()):
            self._error = missing_metric(str(self._metric), result)
        if self._error is not None:
            return PAUSE
        if not self._has_begun_anew and not gate.restores:
            remark = begins_anew(trial, result, gate.trials[trial_id].epochs)
            self._has_begun_anew = bool(remark)
            if remark:
                LOGGER.warning(remark)
        self._tell(trial_id, result)
        steps = result.get("iterations_since_restore", 1)
        return gate.result(trial_id, epoch, score, steps, result.get(TIME_THIS_ITER_S))

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Gives a failed trial the worst score; a trial that Ray is about to start again keeps its slot."""
        if trial.status == Trial.ERROR:  # it will be added again at once
            self._gate.retries += 1
            return
        gate, trial_id = self._gate, trial.trial_id
        self._live.pop(trial_id, None)
        if trial_id in gate.trials:
            if self._searcher is not None:
                self._searcher.tell(trial_id, gate.trials[trial_id].epochs, None)
            gate.fail(trial_id, reason_of_failure(trial))
        self._notice_end(tune_controller)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Lets a trial that was stopped, or that ended by itself, keep its last score."""
        self._live.pop(trial.trial_id, None)
        if trial.trial_id in self._gate.trials:
            result = result or {}
            score = self._score(result)
            if self._error is None:
                self._tell(trial.trial_id, result)
            self._gate.end(trial.trial_id, result.get(_EPOCH, 0), score, result.get(TIME_THIS_ITER_S))
            self._notice_end(tune_controller)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Ends a paused or pending trial that was stopped."""
        self._live.pop(trial.trial_id, None)
        if trial.trial_id in self._gate.trials:
            self._gate.end(trial.trial_id)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The promoted trial to resume next; Ray starts new ones by itself. An error of the run is raised here."""
        if self._error is not None:
            raise self._error
        if self._snapshot is not None:
            self._snapshot.look()
            self._waiting.look(self._live.values())
        if not self._is_bound:
            searcher = getattr(tune_controller.search_alg, "searcher", None)
            if isinstance(searcher, GatedSearcher):
                searcher.refuse_second_run()  # a used one may never suggest anything
            return None
        gate = self._gate
        if self._unknown:
            assert self._searcher is not None  # noqa: S101
            self._live.update(put_back(tune_controller, self._unknown, gate, self._searcher))
            self._unknown = []
        if gate.is_out_of_seconds:  # what was permitted but has not begun
            for trial_id in sorted(gate.running):
                if trial_id in self._live and self._live[trial_id].status in (Trial.PENDING, Trial.PAUSED):
                    self._stop(tune_controller, trial_id)
        if gate.finished:
            self._wind_up(tune_controller)
            return None
        if gate.free_slots:
            while self._held and gate.has_free_slot():
                trial_id = self._held.popleft()
                if trial_id in self._live:
                    gate.admit(trial_id)
                    gate.ready[trial_id] = None
            if not self._held and tune_controller.search_alg.is_finished():
                gate.close_slots(self._used_up())
        if gate.losers:
            gate.losers = [trial_id for trial_id in gate.losers if not self._stop(tune_controller, trial_id)]
        trial = first_ready(gate, self._live)
        if trial is None:
            notice_lost(gate, self._live, self._searcher)
            self._notice_end(tune_controller)
        return trial

    # -- inside --------------------------------------------------------------------------------------------------------

    def _bind(self, tune_controller: Any, trial: Trial) -> None:
        """Meets the searcher, at the first trial of a run or of a restored run."""
        searcher = find_gated(tune_controller.search_alg, self._samples)
        storage = getattr(trial, "storage", None)
        self._snapshot = SnapshotKeeper(storage) if storage is not None else None
        if searcher is not None:
            is_going_on = isinstance(searcher.gate, Gate)
            self._join(searcher, trial)
            self._goes_on = is_going_on and not self._gate.finished and lift_stop(tune_controller)
            searcher.take_trainable(trial.get_trainable_cls(), trial.config)
            remark = searcher.remark(trial, self._gate.plan)
            if remark:
                LOGGER.info(remark)
        elif self._asked is None:
            raise SearchError("PlanScheduler without a plan needs a searcher that has one; pass e.g. a HyperBandPlan")
        else:
            self._gate = Gate(told_plan(fitting_plan(self._asked, trial), self._asked), repeats=False)
        self._is_bound = True
        if self._snapshot is not None and not self._gate.restores and budget_remark(self._gate.plan):
            LOGGER.warning(budget_remark(self._gate.plan))

    def _hold_against_cluster(self, trial: Trial) -> None:
        """Refuses a trial that could never start, for which Ray would wait in silence."""
        request: Any = getattr(trial, "placement_group_factory", None)  # a replayed trial has none
        if request is None or trial.status in _DONE:
            return
        if request not in self._requests:
            check_request(request.bundles, request.strategy)
            self._requests.add(request)

    def _join(self, searcher: GatedSearcher, trial: Trial) -> None:
        searcher.refuse_second_run()
        gate, name = searcher.gate, type(searcher).__name__
        asked = self._asked or searcher.plan or searcher.default_plan(trial)
        if asked is None:
            raise SearchError(f"PlanScheduler needs a plan, as {name} has none by default; pass e.g. HyperBandPlan(32)")
        plan = told_plan(searcher.fitting(asked, trial), asked)
        if self._asked is None and searcher.plan is None:
            LOGGER.info("no plan was given, so this one runs:\n%s", plan)
        own, saved = searcher.plan or asked, gate.plan if isinstance(gate, Gate) else plan
        for wanted, other, owner in ((asked, own, name), (plan, saved, "saved run")):
            if wanted != other:
                raise SearchError(
                    f"PlanScheduler and the {owner} must have the same plan, but have {wanted.brief} and {other.brief}"
                )
        searcher.take_metric(self._metric, self._mode)
        self._searcher = searcher
        if isinstance(gate, Gate):
            gate.restores += 1
        else:
            gate = Gate(plan, searcher.repeats, searcher.max_concurrent)
            searcher.join(gate)
        searcher.is_restored = False
        self._gate = gate

    def _take(self, controller: Any, trial: Trial) -> None:
        gate, trial_id = self._gate, trial.trial_id
        if trial_id in self._live:  # it recovers: it has its slot, and waits if it is not its turn
            if trial_id not in gate.running:
                controller._set_trial_status(trial, Trial.PAUSED)
        elif trial_id in gate.trials:
            take_up(trial, gate, self._goes_on)
        elif self._searcher is not None:
            if trial.status not in _DONE:
                trial.set_status(Trial.PAUSED)  # until all trials are here
            self._unknown.append(trial)
            return
        elif trial.status in _DONE or (trial.last_result or {}).get(_EPOCH):
            raise SearchError(
                "a run of PlanScheduler without a searcher cannot be restored; pass e.g. RandomSearcher(space)"
            )
        else:
            trial.set_status(Trial.PAUSED)  # held back; Ray files it after this call
            self._held.append(trial_id)
        if trial.status not in _DONE:
            self._live[trial_id] = trial

    def _tell(self, trial_id: str, result: dict[str, Any]) -> None:
        """Lets the searcher learn from a result that has the metric."""
        if self._searcher is not None and result.get(self._metric or "") is not None:
            self._searcher.hear(trial_id, result)

    def _score(self, result: dict[str, Any]) -> float | None:
        """The metric, higher is better; None if it is missing, or no number, which is an error of the run."""
        try:
            value = reported_number(self._metric, result)
        except SearchError as error:
            self._error = self._error or error
            return None
        return None if value is None else self._sign * value

    def _notice_end(self, controller: Any) -> None:
        """Ends the run once no trial is left and none will come, as Ray does not ask the scheduler again then."""
        gate = self._gate
        if self._is_bound and not self._live and controller.search_alg.is_finished():
            if not gate.finished:
                gate.end_early(self._used_up())
            self._wind_up(controller)

    def _used_up(self) -> str:
        return f"num_samples={self._samples} is used up; it cannot go on, so begin a new run with num_samples=-1"

    def _stop(self, controller: Any, trial_id: str) -> bool:
        """Stops a trial that is not needed any more; False while it is being saved."""
        trial = self._live.get(trial_id)
        if trial is None or trial.status in _DONE:
            self._live.pop(trial_id, None)
            return True
        if trial.is_saving:
            return False
        controller.stop_trial(trial)
        return True

    def _wind_up(self, controller: Any) -> None:
        if not controller.search_alg.is_finished():
            controller.search_alg.set_finished()
        for trial_id in list(self._live):
            self._stop(controller, trial_id)
        self._sum_up()

    def _at_end(self, why: str) -> None:
        """Sums up a run that ends before its budget is spent, also one that Ray ends without telling its scheduler."""
        if self._searcher is not None:
            self._searcher.is_over = True
        if self._is_bound and why:
            if self._error is not None:  # of the last trial, after which Ray asks for no other
                LOGGER.error("%s", self._error)
            if not self._gate.finished:
                self._gate.early_end = why
            self._sum_up()

    def _sum_up(self) -> None:
        if not self._is_summed_up:
            self._is_summed_up = True
            if self._snapshot is not None:
                LOGGER.info(self.summary())
