"""What the searchers suggest, and what they refuse."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from ray import tune
from ray.tune.search import Searcher, create_searcher
from virtual_run import VirtualRun, choices

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher, Ranking, SearchSpace
from hyperstar_tune.errors import SearchError, SpaceError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.search import GatedSearcher
from hyperstar_tune.simulation import faults
from hyperstar_tune.tasks.task import ImageTask

SPACE = SearchSpace.from_values({"lr": [0.001, 0.01, 0.1], "kind": ["a", "b", "c"]})


TASK = ImageTask.from_arrays("task", np.zeros((8, 4, 4, 3), np.uint8), np.arange(8) % 2)


class TablePredictor(Predictor):
    """Ranks by learning rate, then by kind; counts how often it is asked."""

    def __init__(self, space=SPACE):
        super().__init__(space, Fingerprint(model="net", max_epochs=9), {"name": "table"})
        self.asked = 0

    def tensors(self):
        return {}

    def rank(self, task, configs=None, seed=0):
        self.asked += 1
        self.space.encode(configs)  # refuses what is not in the space
        scores = [config["lr"] * 10 - ord(config["kind"]) / 1000 for config in configs]
        return Ranking.of(configs, scores, task=task.name, source="table")


def drawn(searcher, n=100):
    configs = []
    while len(configs) < n and (config := searcher.suggest(f"t{len(configs)}")) != Searcher.FINISHED:
        configs.append(config)
    return configs


def order(searcher):
    return [SPACE.grid().index(config) for config in drawn(searcher)]


RANKING = TablePredictor().rank(TASK, SPACE.grid())
TOP = [SPACE.grid().index(config) for config in RANKING.configs]


def test_top_goes_down_the_ranking_to_its_end():
    assert order(HyperStarSearcher(ranking=RANKING)) == TOP
    assert order(HyperStarSearcher(task=TASK, predictor=TablePredictor())) == TOP


def test_mixed_fills_its_share_of_places_at_random_and_repeats_nothing():
    places = [
        order(HyperStarSearcher(ranking=RANKING, use="mixed", random_share=1 / 3, seed=seed)) for seed in range(20)
    ]
    assert all(sorted(place) == list(range(9)) for place in places)
    assert all(place[:2] == TOP[:2] for place in places if place[0] == TOP[0])
    assert len({place[2] for place in places}) > 3  # every third place is random
    assert order(HyperStarSearcher(ranking=RANKING, use="mixed", random_share=0)) == TOP


def test_sampled_prefers_the_top_more_the_colder_it_is():
    def first(temperature):
        return [
            order(HyperStarSearcher(ranking=RANKING, use="sampled", temperature=temperature, seed=seed))[0]
            for seed in range(60)
        ]

    assert set(first(1e-6)) == {TOP[0]}
    cold, warm = first(0.3).count(TOP[0]), first(100).count(TOP[0])
    assert cold > warm > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"use": "best"}, "use.*'best'"),
        ({"use": "mixed", "random_share": 1.5}, "random_share.*1.5"),
        ({"use": "sampled", "temperature": 0}, "temperature.*0"),
        ({"unknown_space": "ignore"}, "unknown_space.*'ignore'"),
        ({"mode": "most"}, "mode.*'most'"),
        ({"max_concurrent": 0}, "max_concurrent.*0"),
        ({"task": "folder"}, "either a task or a ranking"),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(arguments, message):
    with pytest.raises(SearchError, match=message) as caught:
        HyperStarSearcher(ranking=RANKING, **arguments)
    assert "\n" not in str(caught.value)


def test_an_average_ranking_is_said(caplog):
    predictor = TablePredictor()
    predictor.rank_space = lambda task, space, fixed, seed: replace(RANKING, share=0.0, doubt="labels say nothing")
    HyperStarSearcher(task=TASK, predictor=predictor)
    assert caplog.messages == ["Warning: labels say nothing; this is the ranking that holds on average."]


def test_it_is_made_by_name():
    searcher = create_searcher("hyperstar", task=TASK, predictor=TablePredictor(), use="top")
    assert isinstance(searcher, HyperStarSearcher)
    assert order(searcher) == TOP


def test_the_predictor_is_asked_once_and_does_not_travel():
    predictor = TablePredictor()
    searcher = HyperStarSearcher(task=TASK, predictor=predictor)
    searcher.set_search_properties("acc", "max", {"lr": tune.choice([0.01, 0.1]), "kind": "b"})
    assert drawn(searcher) == [{"lr": 0.1}, {"lr": 0.01}]
    assert predictor.asked == 1
    assert b"TablePredictor" not in pickle.dumps(searcher)


def test_a_value_between_known_ones_is_ranked_anew():
    predictor = TablePredictor()
    searcher = HyperStarSearcher(task=TASK, predictor=predictor)
    searcher.set_search_properties("acc", "max", {"lr": tune.choice([0.05, 0.02]), "kind": tune.choice(["a"])})
    assert [config["lr"] for config in drawn(searcher)] == [0.05, 0.02]
    continuous = HyperStarSearcher(
        task=TASK, predictor=predictor, space={"lr": tune.loguniform(0.001, 0.1), "kind": tune.choice(["a", "b"])}
    )
    rates = [config["lr"] for config in drawn(continuous, 5)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.09


@pytest.mark.parametrize(
    ("config", "parameter"),
    [
        ({"depth": tune.choice([1, 2])}, "none of the parameters depth.*random search.*it knows kind, lr"),
        ({"lr": tune.choice([0.1, 0.01])}, "'kind'"),
        ({"lr": tune.choice([0.1]), "kind": tune.choice(["a", "z"])}, "'kind'.*'z'"),
    ],
)
def test_a_space_the_predictor_does_not_know_is_an_error_or_plain_hyperband(config, parameter, caplog):
    searcher = HyperStarSearcher(task=TASK, predictor=TablePredictor())
    with pytest.raises(SpaceError, match=parameter):
        searcher.set_search_properties("acc", "max", config)
    plain = HyperStarSearcher(task=TASK, predictor=TablePredictor(), unknown_space="random")
    assert plain.set_search_properties("acc", "max", config)
    (message,) = caplog.messages
    assert "plain Hyperband" in message
    assert "\n" not in message
    assert plain.ranking is None
    blind = RandomSearcher()
    blind.set_search_properties("acc", "max", config)
    assert drawn(plain) == drawn(blind)


def test_a_fixed_entry_of_the_config_keeps_its_value():
    for searcher in (HyperStarSearcher(ranking=RANKING), RandomSearcher(SPACE)):
        searcher.set_search_properties("acc", "max", {"lr": 0.01, "data": "folder"})
        assert {config["lr"] for config in drawn(searcher)} == {0.01}
    with pytest.raises(SpaceError, match=r"lr.*0\.5"):
        HyperStarSearcher(ranking=RANKING).set_search_properties("acc", "max", {"lr": 0.5})


@pytest.mark.parametrize("make", [lambda: RandomSearcher(SPACE), lambda: HyperStarSearcher(ranking=RANKING)])
def test_a_config_that_fixes_nothing_of_the_space_leaves_a_searcher_where_it_was(make):
    searcher, untouched = make(), make()
    for number in range(3):
        assert searcher.suggest(f"t{number}") == untouched.suggest(f"t{number}")
    searcher.set_search_properties("acc", "max", {"data": "folder"})
    assert searcher.suggest("next") == untouched.suggest("next")


@pytest.mark.parametrize(
    "make", [lambda: RandomSearcher(SPACE), lambda: HyperStarSearcher(ranking=RANKING, space=SPACE)]
)
def test_two_spaces_are_refused(make):
    with pytest.raises(SearchError, match="config searches lr"):
        make().set_search_properties("acc", "max", {"lr": tune.choice([0.1])})


def test_a_random_searcher_without_any_space_says_so():
    with pytest.raises(SearchError, match="pass space="):
        RandomSearcher().suggest("t")


def test_without_a_gate_max_concurrent_limits_the_live_trials():
    searcher = RandomSearcher(SPACE, max_concurrent=2)
    assert searcher.suggest("a")
    assert searcher.suggest("b")
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a", error=True)
    assert searcher.suggest("d")


def test_a_plan_without_its_scheduler_is_noticed():
    searcher = RandomSearcher(SPACE, plan=HyperBandPlan(9))
    searcher.suggest("a")
    with pytest.raises(SearchError, match="scheduler=PlanScheduler"):
        searcher.suggest("b")


def test_a_file_of_another_searcher_is_not_restored(tmp_path):
    RandomSearcher(SPACE).save(str(tmp_path / "state"))
    with pytest.raises(SearchError, match="must be a saved HyperStarSearcher, but is of RandomSearcher"):
        HyperStarSearcher(ranking=RANKING).restore(str(tmp_path / "state"))
    (tmp_path / "noise").write_bytes(b"noise")
    with pytest.raises(SearchError, match="noise must be a saved searcher"):
        RandomSearcher(SPACE).restore(str(tmp_path / "noise"))


class Learner(GatedSearcher):
    """Asks for the configuration next to the best one observed, as a model-based method would."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def next_config(self):
        best = max(self.seen, default=(0, {"x": 50}), key=lambda pair: pair[0])[1]
        return {"x": best["x"] + 1 + len(self.seen) % 7}

    def observe(self, config, epoch, result):
        self.seen.append((result["acc"] if result else -1, config, epoch))


def test_a_method_that_learns_fits_on_the_same_base():
    searcher = Learner()
    run = VirtualRun(PlanScheduler(HyperBandPlan(9, 3)), searcher, faults={30: faults.error, 40: faults.crash}).run()
    assert run.scheduler.spent_epochs == 69
    observed = [(config["x"], epoch) for score, config, epoch in searcher.seen if score >= 0]
    assert len(observed) == 69  # every epoch once, those redone after the fault not again
    assert sum(score < 0 for score, _, _ in searcher.seen) == 1


def test_a_learner_is_told_only_of_epochs_that_have_the_metric(monkeypatch):
    monkeypatch.setenv("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    searcher = Learner()
    plan = HyperBandPlan(9, 3)
    run = VirtualRun(
        PlanScheduler(plan), searcher, curve=lambda config, epoch: config["x"] if epoch in (1, 3, 9) else None
    ).run()
    assert run.scheduler.spent_epochs == 69
    assert {epoch for _, _, epoch in searcher.seen} == {1, 3, 9}


def test_a_learner_observes_without_a_gate_too():
    searcher = Learner()
    searcher.suggest("a")
    searcher.on_trial_result("a", {"training_iteration": 1, "acc": 0.1})
    searcher.on_trial_complete("a", {"training_iteration": 2, "acc": 0.2})
    searcher.on_trial_complete("a", {"training_iteration": 2, "acc": 0.2})
    assert [epoch for _, _, epoch in searcher.seen] == [1, 2]


def test_without_a_gate_a_learner_is_told_only_of_epochs_that_have_the_metric_too():
    searcher = Learner()
    searcher.take_metric("acc", "max")
    searcher.suggest("a")
    searcher.on_trial_result("a", {"training_iteration": 1})
    searcher.on_trial_result("a", {"training_iteration": 2, "acc": 0.1})
    searcher.on_trial_complete("a", {"training_iteration": 3})
    assert [epoch for _, _, epoch in searcher.seen] == [2]


def test_choices_are_drawn_without_replacement_and_the_order_depends_on_the_seed():
    orders = {
        tuple(config["x"] for config in drawn(RandomSearcher({"x": choices(20)}, seed=seed))) for seed in range(5)
    }
    assert len(orders) == 5
    assert all(sorted(order) == list(range(20)) for order in orders)
