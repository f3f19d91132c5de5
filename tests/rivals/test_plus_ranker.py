from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.rivals.plus import PlusAverageRanker, PlusRanker
from hyperstar_tune.tables.metadataset import MetaDataset

SETTINGS = PlusSettings(traits=("sharpness", "probe_deep"), penalty=1.0)


def order_correlation(ranking, truth, configs):
    places = {str(config): score for config, score in zip(ranking.configs, ranking.scores, strict=True)}
    return np.corrcoef([places[str(config)] for config in configs], truth)[0, 1]


def test_what_images_show_turns_the_average_ranking_to_their_kind(world):
    table, rows = world.table, world.table.scores()
    ranker = PlusRanker(world.tasks, settings=SETTINGS).fit(table.subset(range(2, 10)))
    for place, name in enumerate(("striped0", "smooth1")):
        ranking = ranker.rank(world.tasks[name], table.configs)
        assert order_correlation(ranking, rows[place], table.configs) > 0.8
        assert (ranking.task, ranking.source) == (name, "hyperstar_plus")


def test_traits_computed_before_serve_instead_of_images(world):
    ranker = PlusRanker(world.tasks, settings=SETTINGS).fit(world.table)
    known = pd.DataFrame(
        [ranker.traits_of(name) for name in world.tasks], index=list(world.tasks), columns=list(SETTINGS.traits)
    )
    again = PlusRanker(settings=SETTINGS, traits=known).fit(world.table)
    row = world.table.tasks.iloc[0]
    assert again.rank(row, world.table.configs) == ranker.rank(row, world.table.configs)


def test_tasks_that_lack_configurations_are_learned_from(worlds):
    world = worlds(n_each=5, seed=0, missing=0.3)
    whole = worlds(n_each=5, seed=0).table.scores()
    ranker = PlusRanker(world.tasks, settings=SETTINGS).fit(world.table.subset(range(2, 10)))
    ranking = ranker.rank(world.tasks["striped0"], world.table.configs)
    assert len(ranking) == len(world.table.configs)
    assert order_correlation(ranking, whole[0], world.table.configs) > 0.7


def test_a_configuration_between_known_ones_scores_between_them(world):
    ranker = PlusRanker(world.tasks, settings=SETTINGS).fit(world.table)
    configs = [{"lr": lr, "layers": "all", "augmentation": "none"} for lr in (0.001, 0.01, 0.1)]
    table = world.table
    rest = [place for place, config in enumerate(table.configs) if config not in configs[1:2]]
    part = MetaDataset(
        table.space,
        [table.configs[i] for i in rest],
        table.epochs,
        table.evaluations[:, rest],
        table.tasks,
        table.fingerprint,
    )
    fewer = PlusRanker(world.tasks, settings=SETTINGS).fit(part)
    scores = dict(zip(*_scores(fewer.rank(world.tasks["striped0"], configs)), strict=True))
    assert scores[0.001] < scores[0.01] < scores[0.1]
    assert len(ranker.rank(world.tasks["striped0"], configs)) == 3


def _scores(ranking):
    return [config["lr"] for config in ranking.configs], ranking.scores


def test_an_unfitted_ranker_and_a_task_without_images_are_errors(world):
    with pytest.raises(PredictorError, match="must be fitted"):
        PlusRanker().rank(world.tasks["striped0"], world.table.configs)
    with pytest.raises(PredictorError, match="'striped0' has none"):
        PlusRanker().fit(world.table)
    with pytest.raises(PredictorError, match="traits are some of"):
        PlusSettings(traits=("weather",))


@pytest.mark.parametrize(("schedule", "curve"), [("constant, one warm-up epoch", "steady"), ("cosine", "last")])
def test_curves_of_a_constant_learning_rate_are_read_steadily(world, schedule, curve):
    table = replace(world.table, fingerprint=replace(world.table.fingerprint, schedule=schedule))
    ranker = PlusRanker(world.tasks, settings=SETTINGS).fit(table)
    assert ranker.predictor.card["settings"]["curve"] == curve
    last = PlusRanker(world.tasks, settings=replace(SETTINGS, curve="last")).fit(table)
    assert last.predictor.card["settings"]["curve"] == "last"


def test_without_images_it_is_the_average_of_what_is_learned(world):
    average = PlusAverageRanker().fit(world.table)
    plus = PlusRanker(world.tasks, settings=SETTINGS).fit(world.table)
    ranking = average.rank(world.tasks["striped0"], world.table.configs)
    assert ranking.scores == pytest.approx(sorted(plus.predictor.model.mean, reverse=True))
    assert ranking.configs == average.rank(world.tasks["smooth1"], world.table.configs).configs
    with pytest.raises(PredictorError, match="must be fitted"):
        PlusAverageRanker().rank(world.tasks["striped0"], world.table.configs)
