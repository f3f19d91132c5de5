"""A saved run is not gone on with on other data than it was begun with."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from ray import cloudpickle
from virtual_run import VirtualRun, choices

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher, Ranking, SearchSpace
from hyperstar_tune.errors import TaskError
from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.search import KeepRestorable
from hyperstar_tune.simulation.trial import ReplayTrial
from hyperstar_tune.tasks.task import ImageTask

PLAN = HyperBandPlan(9, 3)
IMAGES = np.random.default_rng(0).integers(0, 255, (20, 4, 4, 3), dtype=np.uint8)
LABELS = np.arange(20) % 2
RIGHT, EXCHANGED = (ImageTask.from_arrays("t", IMAGES, labels, IMAGES, labels) for labels in (LABELS, 1 - LABELS))
OTHER_LABELS = "may not change under a saved run, but since then: training and validation images have other labels"


def trained_on(monkeypatch, task, accept=False):
    """Lets trials be those of ``finetune.trainable`` on a task."""
    made = type("FineTune", (), {"task_identity": task.identity(), "accept_changed_data": accept})
    monkeypatch.setattr(ReplayTrial, "get_trainable_cls", lambda _: made)


def searcher():
    return RandomSearcher({"x": choices(50)})


def test_the_scheduler_refuses_a_restored_run_whose_labels_were_exchanged(monkeypatch):
    trained_on(monkeypatch, RIGHT)
    run = VirtualRun(PlanScheduler(PLAN), searcher()).play(20)
    saved = run.save()
    run.restored(copy.deepcopy(saved), PlanScheduler(PLAN), searcher()).run()
    trained_on(monkeypatch, EXCHANGED)
    with pytest.raises(TaskError, match=OTHER_LABELS) as error:
        run.restored(copy.deepcopy(saved), PlanScheduler(PLAN), searcher()).run()
    assert "\n" not in str(error.value)
    trained_on(monkeypatch, EXCHANGED, accept=True)
    assert run.restored(copy.deepcopy(saved), PlanScheduler(PLAN), searcher()).run().scheduler.finished


def test_a_trainable_that_tells_no_identity_is_not_judged(monkeypatch):
    run = VirtualRun(PlanScheduler(PLAN), searcher()).play(20)
    trained_on(monkeypatch, RIGHT)
    run.restored(run.save(), PlanScheduler(PLAN), searcher()).run()


class Ranker(Predictor):
    """A predictor of a space."""

    def __init__(self):
        super().__init__(SearchSpace.from_values({"x": [1, 2, 3]}), Fingerprint(), {})

    def tensors(self):
        return {}

    def rank(self, task, configs=None, seed=0):
        return Ranking.of(configs, [config["x"] for config in configs], task=task.name, source="ranker")


def test_a_searcher_is_not_restored_for_images_that_it_was_not_ranked_for(tmp_path):
    first = HyperStarSearcher(RIGHT, predictor=Ranker())
    first.suggest("a")
    first.save(str(tmp_path / "state"))
    for again in (HyperStarSearcher(RIGHT, predictor=Ranker()), HyperStarSearcher(ranking=first.ranking)):
        again.restore(str(tmp_path / "state"))
        assert again.suggest("b") == {"x": 2}
    with pytest.raises(TaskError, match=OTHER_LABELS):
        HyperStarSearcher(EXCHANGED, predictor=Ranker()).restore(str(tmp_path / "state"))
    HyperStarSearcher(EXCHANGED, predictor=Ranker(), accept_changed_data=True).restore(str(tmp_path / "state"))


@pytest.mark.parametrize("travel", [lambda c: pickle.loads(cloudpickle.dumps(c)), None])
def test_under_other_schedulers_the_callback_refuses(travel):
    def trials(task):
        return [SimpleNamespace(get_trainable_cls=lambda: SimpleNamespace(task_identity=task.identity()))]

    kept = KeepRestorable()
    kept.on_step_begin(0, [])
    kept.on_step_begin(1, trials(RIGHT))
    if travel is None:  # as Ray saves callbacks beside a run
        again = KeepRestorable()
        again.set_state(kept.get_state())
    else:  # as it does in tuner.pkl
        again = travel(kept)
    with pytest.raises(TaskError, match=OTHER_LABELS):
        again.on_step_begin(1, trials(EXCHANGED))
