"""The searcher that looks at the images first, and then goes down a predictor's ranking.

The predictor is asked once, when the searcher is made. Afterwards only the ranked list is kept, so that no network
travels with the searcher's state.

Source: HyperSTAR (CVPR 2020), Sec. 3.2 ("Task-Aware HPO").
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial

from hyperstar_tune.errors import SearchError, SpaceError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.log import LOGGER
from hyperstar_tune.plan import HyperBandPlan, Plan
from hyperstar_tune.race import RacePlan
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.search.brackets import Gate
from hyperstar_tune.search.decks import RankedDeck, random_deck
from hyperstar_tune.search.diversity import made_diverse
from hyperstar_tune.search.learning import Learner
from hyperstar_tune.search.ray_space import RaySpace
from hyperstar_tune.search.results import reported_number
from hyperstar_tune.search.selection import part_in_space
from hyperstar_tune.search.space_searcher import DeckSearcher
from hyperstar_tune.search.trainables import trainable_fingerprint
from hyperstar_tune.shipped import DEFAULT_PREDICTOR
from hyperstar_tune.space import Config, SearchSpace
from hyperstar_tune.tasks.identity import refuse_changed_data

if TYPE_CHECKING:
    from hyperstar_tune.predictor import Predictor
    from hyperstar_tune.search.learning import Predicted
    from hyperstar_tune.tasks.task import ImageTask

__all__ = ["HyperStarSearcher"]


class HyperStarSearcher(DeckSearcher):
    """Suggests the configurations that a predictor ranks best for a task.

    With ``PlanScheduler`` a bracket takes the next ones of the ranking. A ``RacePlan`` sets the first one against its
    complement, or against the second one if the ranking knows no complement. With ASHA or no scheduler the searcher
    goes down the ranking until ``num_samples`` or its end.

    In a space that cannot be listed, with a ``RacePlan`` and a predictor of any space, it learns: as soon as a training
    has come to its end, each next configuration comes from the results of the run too (``search/learning.py``).

    Args:
        task: The images: a folder, "torchvision:NAME" or an ``ImageTask``.
        predictor: Name or path of a predictor, or a predictor.
        ranking: A ready ranking instead of task and predictor.
        space: What to search: a space, its name or a Ray dict space. None: what the run's config searches, or the whole
            space of the predictor. A parameter that the predictor does not know is drawn at random, which is logged.
        use: How the ranking is used. "top" goes down the ranking. "mixed" does so too, with a share of random
            configurations in between. "sampled" draws without replacement in proportion to a softmax over the
            predicted scores. Only with "top" a race takes the complement.
        random_share: Share of random configurations of "mixed", in [0, 1].
        temperature: Temperature of the softmax of "sampled"; scores have unit variance.
        restart: Whether every bracket begins at the top of the ranking (the paper's "in each stage") instead of going
            on. What was trained is not trained again. With "top" such a run sees only as many configurations as the
            widest bracket takes, and it ends early, once these are trained as far as the brackets ask.
        learn: False: it goes down the ranking, whatever the results are.
        predicted: What a predictor says of further configurations, beside a ready ranking, such as
            ``AnySpacePredictor.for_task``; without it a ready ranking learns nothing.
        unknown_space: What to do with a space that the predictor cannot rank at all: "error", or "random" for random
            configurations.
        metric: Reported metric to optimize; usually given to ``tune.run``.
        mode: "max" or "min".
        plan: The run's plan; makes sure that the scheduler has the same one. With a budget in seconds it puts what
            takes long further down the ranking.
        max_concurrent: Trials that may run at a time. Tune's own limit counts paused trials too, so pass it here.
        seed: Random seed of "mixed" and "sampled".
        accept_changed_data: A saved run is not gone on with if labels or images have changed since it was ranked for
            them. True does so all the same.

    Raises:
        SearchError: If an argument is missing or out of range.
        SpaceError: If the predictor knows no parameter of the space, needs another one or cannot rank a value.
        PredictorError: If the predictor cannot be loaded.
        TaskError: If the images cannot be read.

    Example:
        >>> ranking = Ranking.of([{"lr": 0.01}, {"lr": 0.1}], scores=[0.5, 1.5])
        >>> HyperStarSearcher(ranking=ranking).suggest("some trial")
        {'lr': 0.1}
    """

    transient = ("_ask", "_describe")
    without_deck = "has no ranking of this run's space any more, as it was copied before; make a new one"
    ranked_for: dict[str, Any] | None = None  # identity of the data that the ranking was made for
    # Asks the predictor about a space, fixed values and a seed; copies do not have it.
    _ask: Callable[[SearchSpace, dict[str, Any], int], Ranking] | None = None
    _describe: "Callable[[SearchSpace, dict[str, Any]], Predicted | None] | None" = None

    def __init__(
        self,
        task: "str | Path | ImageTask | None" = None,
        *,
        predictor: "str | Path | Predictor" = DEFAULT_PREDICTOR,
        ranking: Ranking | None = None,
        space: SearchSpace | str | dict[str, Any] | None = None,
        use: str = "top",
        random_share: float = 0.25,
        temperature: float = 0.5,
        restart: bool = False,
        learn: bool = True,
        predicted: "Predicted | None" = None,
        unknown_space: str = "error",
        metric: str | None = None,
        mode: str | None = None,
        plan: Plan | None = None,
        max_concurrent: int | None = None,
        seed: int = 0,
        accept_changed_data: bool = False,
    ) -> None:
        if unknown_space not in ("error", "random"):
            raise SearchError(f"unknown_space must be 'error' or 'random', but got {unknown_space!r}")
        if (task is None) == (ranking is None):
            raise SearchError("HyperStarSearcher needs either a task or a ranking; pass task=FOLDER or ranking=RANKING")
        self._use = (use, random_share, temperature)
        self._restart = restart
        self._learn = learn
        self.predicted = predicted  # what the predictor says of configurations that are not ranked
        self.learner: Learner | None = None  # proposes configurations once it has learned something
        self._unknown_space = unknown_space
        self._accept_changed_data = accept_changed_data
        self.ranking = ranking  # the ranking that is followed; None: random configurations
        self.fingerprint: Fingerprint | None = None  # circumstances of the predictor's training
        self._known: SearchSpace | None = None  # the space that the predictor can rank
        self._ranked = ranking  # the longest list so far, of which a part may be searched
        if task is not None:
            if isinstance(predictor, str | Path):
                from hyperstar_tune.predictor import Predictor  # torch is only needed here

                predictor = Predictor.load(predictor)
            from hyperstar_tune.tasks.task import ImageTask

            images = ImageTask.of(task)
            self._known, self.fingerprint = predictor.space, predictor.fingerprint
            self._ask, self.ranked_for = partial(predictor.rank_space, images), images.identity()
            self._describe = partial(predictor.for_task, images)
        super().__init__(space, metric=metric, mode=mode, plan=plan, max_concurrent=max_concurrent, seed=seed)
        if space is None and self._known is not None:
            self._begin(self._known, {})
        elif space is None and ranking is not None:
            self._deal(self._ordered(ranking))

    def search(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        """Ranks the configurations of a space."""
        try:
            self._deal(self._rank(space, fixed))
        except SpaceError as error:
            if self._unknown_space == "error":
                raise
            LOGGER.info("%s; plain Hyperband with random configurations instead", error)
            self.ranking, self.deck = None, random_deck(space, self.seed)

    def take_config(self, config: RaySpace) -> None:
        """Searches what the run's config searches, and keeps to what it fixes."""
        super().take_config(config)
        if config.space is None and self.space is None and self.ranking is not None:  # a ready ranking is all there is
            assert self._ranked is not None  # noqa: S101
            part = part_in_space(self._ranked, None, config.fixed)
            if part is not self._ranked:
                self._deal(self._ordered(part))

    def price(self, config: Config) -> float:
        """The predicted seconds per epoch, if the ranking has any."""
        if self.ranking is None or not self.ranking.costs:
            return 0.0
        if config in self.ranking.configs:
            return self.ranking.costs[self.ranking.configs.index(config)]
        costs = self.predicted.costs([config]) if self.learner is not None and self.predicted is not None else None
        return 0.0 if costs is None else float(costs[0])

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the state of ``get_state``.

        Raises:
            TaskError: If labels or images have changed since, unless that is accepted.
        """
        if not self._accept_changed_data:
            refuse_changed_data(state.get("ranked_for"), self.ranked_for, "a saved run")
        super().set_state(state)

    def start_bracket(self) -> None:
        """Begins at the top of the ranking again, if every bracket does."""
        super().start_bracket()
        if self._restart:
            self.start_over()

    def join(self, gate: Gate) -> None:
        """Puts the searcher behind a gate. A race takes the complement of the first configuration next.

        Raises:
            SearchError: If every bracket is to begin at the top of the ranking, as a race has no use for that.
        """
        super().join(gate)
        if gate.counts_seconds and self.plan is None:
            LOGGER.warning(
                "the budget is in seconds, but the order disregards them; pass plan= to HyperStarSearcher too"
            )
        if not isinstance(gate.plan, RacePlan):
            return
        if self._restart:
            raise SearchError("restart=True begins every bracket anew, which a RacePlan cannot; leave restart out")
        self._begin_learning(gate.plan)
        ranking, deck = self.ranking, self.deck
        if ranking is None or deck is None or len(ranking) < 2:
            return
        if gate.plan.has_race and self._use[0] == "top":
            rival = ranking.order()[1]
            deck.bring_forward(rival)
            gate.rival_price = self.price(ranking.configs[rival])

    def next_config(self) -> Config | None:
        """The next configuration of the ranking, or what the results of the run speak for."""
        learner = self.learner
        config = learner.next() if learner is not None and learner.has_learned else super().next_config()
        if learner is not None and config is not None:
            learner.take(config)
        return config

    def observe(self, config: Config, epoch: int, result: dict[str, Any] | None) -> None:
        """Learns from a result, if it learns."""
        if self.learner is None:
            return
        value = None if result is None else reported_number(self._metric, result)
        if result is not None and value is None:
            return
        signed = value if value is None or self._mode == "max" else -value
        self.learner.tell(config, epoch, signed, ended=bool(result and result.get("done")))

    def searched_values(self, parameter: str) -> list[Any]:
        """Values of a parameter in the ranking, or in the space if configurations come from there too."""
        if self.ranking is None or self.learner is not None:
            return super().searched_values(parameter)
        return [config[parameter] for config in self.ranking.configs if parameter in config]

    def default_plan(self, trial: Trial) -> Plan | None:
        """A race for R epochs of the trainable, or else of the predictor; without a ranking Hyperband."""
        stated = (trainable_fingerprint(trial), self.fingerprint)
        max_epochs = next((one.max_epochs for one in stated if one is not None and one.max_epochs), None)
        if max_epochs is None:
            return None
        return HyperBandPlan(max_epochs) if self.ranking is None else RacePlan(max_epochs)

    def fitting(self, plan: Plan, trial: Trial) -> Plan:
        """The plan without a race if the learning rate of the trainable, or of one that would race, falls too early."""
        fits = super().fitting(plan, trial)
        if isinstance(fits, RacePlan) and self.ranking is not None:
            racing = [self.ranking.configs[place] for place in self.ranking.order()[:2]]
            return fits.under(0 if any(config.get("schedule") == "cosine" for config in racing) else math.inf)
        return fits

    def remark(self, trial: Trial, plan: Plan) -> str:
        """Says how the run differs from what the predictor was trained for."""
        if self.fingerprint is None:
            return ""
        theirs = trainable_fingerprint(trial)
        if theirs.max_epochs is None:
            theirs = replace(theirs, max_epochs=plan.max_epochs)
        lines = self.fingerprint.differences(theirs, "in the predictor", "in this run")
        source = self.ranking.source if self.ranking else ""
        if self.fingerprint.has_other_network(theirs) and self.ranking is not None and not self.ranking.elsewhere:
            lines.append(
                "pass predictor=Predictor.load(NAME).under(trainable.fingerprint) for a ranking that minds this"
            )
        head = f"predictor {source} learned from other trainings than those of this run, so its ranking is less sure:"
        return "\n  ".join([head, *lines]) if lines else ""

    def _rank(self, space: SearchSpace, fixed: dict[str, Any]) -> Ranking | None:
        """The ranking of a space.

        A copy for a restored run cannot ask the predictor. It has the part of its list that lies in the space; None if
        there is none, because it is about to get the saved list.
        """
        if self._known is None:
            assert self._ranked is not None  # noqa: S101
            return self._ordered(part_in_space(self._ranked, space, fixed))
        part = self._part_of_list(space, fixed)
        is_whole = part is not None and space.is_finite and len(part) == len(space)
        if self._ask is not None and not is_whole:
            self._ranked = self._ask(space, fixed, self.seed)
            assert self._describe is not None  # noqa: S101
            self.predicted = self._describe(space, fixed)
            for line in [*(self._ranked.doubts() if self._ranked.share == 0 else ()), *self._ranked.notes]:
                LOGGER.warning(line)
            part = self._ranked.reduced(space.parameters)
        return None if part is None else self._ordered(made_diverse(part, space))

    def _begin_learning(self, plan: RacePlan) -> None:
        space, ranking, predicted = self.space, self.ranking, self.predicted
        if space is None or ranking is None or predicted is None or space.is_short:
            return
        if not self._learn or self._use[0] != "top":
            return
        by_cost = bool(plan.seconds_budget)
        self.learner = Learner(space, predicted, ranking.configs, plan.max_epochs, by_cost, self.seed)
        for config in self.configs.values():
            self.learner.take(config)
        LOGGER.info("once a training has ended, each next configuration comes from the run's results too (learn=True)")

    def _part_of_list(self, space: SearchSpace, fixed: dict[str, Any]) -> Ranking | None:
        try:
            return part_in_space(self._ranked, space, fixed) if self._ranked is not None else None
        except SpaceError:
            return None

    def _ordered(self, ranking: Ranking) -> Ranking:
        """A ranking in the order for the plan's budget."""
        return ranking.by_cost() if self.plan is not None and self.plan.seconds_budget else ranking

    def _deal(self, ranking: Ranking | None) -> None:
        self.ranking = ranking
        self.deck = None if ranking is None else RankedDeck(ranking, *self._use, self.seed)
