import numpy as np
import pytest

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.metrics import normalize_scores
from hyperstar_tune.predictor.targets import anchored_scores, make_targets


def test_a_task_that_lacks_its_best_configurations_is_anchored_to_the_complete_ones():
    rng = np.random.default_rng(0)
    quality = rng.normal(size=30)
    scores = quality + rng.normal(0, 0.05, (4, 30))
    complete = normalize_scores(scores)
    best = np.argsort(-quality)[:10]
    scores[3, best] = np.nan
    plain = normalize_scores(scores)
    anchored = anchored_scores(plain)
    rest = np.isfinite(scores[3])
    error = np.abs(anchored[3, rest] - complete[3, rest]).mean()
    assert error < 0.1
    assert np.abs(plain[3, rest] - complete[3, rest]).mean() > 5 * error
    assert np.array_equal(anchored[:3], plain[:3])
    assert np.isnan(anchored[3, best]).all()


def test_without_a_complete_task_scores_stay_as_they_are():
    scores = np.array([[np.nan, 1.0, -1.0], [1.0, np.nan, -1.0]])
    assert np.array_equal(anchored_scores(scores), scores, equal_nan=True)


def test_too_little_to_learn_from_is_refused(small_world):
    with pytest.raises(PredictorError, match="at least 2 tasks"):
        make_targets(small_world.table.subset([0]), 3)
    evaluations = small_world.table.evaluations.copy()
    evaluations[1, 1:] = np.nan
    poor = type(small_world.table)(**{**vars(small_world.table), "evaluations": evaluations})
    with pytest.raises(PredictorError, match="2 trained configurations, but 'smooth1'"):
        make_targets(poor, 3)
