import numpy as np
import pytest
from made_up_table import make_table

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.predictor.targets import CURVES


def test_a_steady_accuracy_is_known_where_a_score_is():
    table = make_table(diverged=((0, 3), (2, 7)))
    assert np.isfinite(CURVES["steady"](table)).all()
    assert np.array_equal(CURVES["last"](table), table.scores())


def test_a_curve_that_is_not_known_is_an_error():
    with pytest.raises(PredictorError, match="curve is one of last, steady or None, but got 'best'"):
        PlusSettings(curve="best")
