"""Image sizes that will be searched are held against the network before the first trial."""

import pytest
from ray import tune
from virtual_run import VirtualRun

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RandomSearcher, Ranking, SearchSpace
from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.finetune.trainable import FineTuneTrainable
from hyperstar_tune.search import IncreasingImageSizes
from hyperstar_tune.simulation.trial import ReplayTrial

PLAN = HyperBandPlan(4, 2)
VALUES = {"x": [1, 2, 3], "image_size": [16, 64]}
CONFIGS = SearchSpace.from_values(VALUES).grid()


def fine_tuning(monkeypatch, taken):
    """Lets trials be of a trainable whose network was tried at 64 pixels, and notes which other sizes are tried."""

    def check_image_size(name, size, kwargs):
        taken.append(size)
        if size < 32:
            raise ModelError(f"{name} must train on images of {size} pixels, but: too small; pass image_size=32")

    monkeypatch.setattr("hyperstar_tune.finetune.settings.check_image_size", check_image_size)
    attributes = {"settings": FineTuneSettings(model="resnet18", image_size=64), "checked_sizes": (64,)}
    made = type("FineTune", (FineTuneTrainable,), attributes)
    monkeypatch.setattr(ReplayTrial, "get_trainable_cls", lambda _: made)


@pytest.mark.parametrize(
    "searcher",
    [
        lambda: RandomSearcher(SearchSpace.from_values(VALUES)),
        lambda: RandomSearcher({"x": tune.choice([1, 2]), "image_size": tune.randint(16, 65)}),
        lambda: HyperStarSearcher(ranking=Ranking.of(CONFIGS, range(6))),
        lambda: IncreasingImageSizes(RandomSearcher({"x": tune.choice([1, 2, 3])}), sizes=(16, 64)),
    ],
)
def test_a_size_that_the_network_does_not_take_ends_the_run_before_it_begins(monkeypatch, searcher):
    taken = []
    fine_tuning(monkeypatch, taken)
    run = VirtualRun(PlanScheduler(PLAN), searcher())
    with pytest.raises(ModelError, match="images of 16 pixels, but: too small; pass image_size=32"):
        run.run()
    assert (taken, run.trained) == ([16], [])


def test_sizes_that_were_tried_are_not_tried_again_and_other_spaces_have_none(monkeypatch):
    taken = []
    fine_tuning(monkeypatch, taken)
    for space in ({"x": [1, 2, 3], "image_size": [64]}, {"x": [1, 2, 3]}):
        VirtualRun(PlanScheduler(PLAN), RandomSearcher(SearchSpace.from_values(space))).run()
    assert taken == []


def test_values_of_listed_ranged_and_absent_parameters():
    space = SearchSpace.from_values(VALUES)
    assert space.values_or_ends("image_size") == [16, 64]
    assert space.values_or_ends("lr") == []
    ranged = RandomSearcher({"image_size": tune.randint(16, 65), "x": tune.uniform(0, 1)})
    assert ranged.searched_values("image_size") == [16, 64]
    assert SearchSpace(space.configuration_space, listed=CONFIGS[:1]).values_or_ends("image_size") == [16]
