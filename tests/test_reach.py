from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.race import RacePlan
from hyperstar_tune.reach import budget_remark, fitting_max_epochs, predicted, reach


@pytest.mark.parametrize(
    ("plan", "finished", "wasted", "below", "above"),
    [
        (RacePlan(32, 80), 2, 8, 72, 104),
        (RacePlan(32, 72), 2, 0, 72, 104),
        (RacePlan(32, 40), 1, 0, 40, 72),
        (RacePlan(32, 36), 0, 0, 36, 40),  # the only model that there is
        (RacePlan(32, 15), 0, 0, 15, 32),
        (RacePlan(32, 80, race_epochs=0), 2, 16, 64, 96),
        (RacePlan(32, 40 + 32 * 10**9 + 5), 1 + 10**9, 5, 40 + 32 * 10**9, 72 + 32 * 10**9),
        # 9 x 1 -> 3 x 3 -> 1 x 9, then 5 x 3 -> 1 x 9, then 3 x 9
        (HyperBandPlan(9, 3, 9), 0, 0, 9, 15),
        (HyperBandPlan(9, 3, 12), 0, 3, 9, 15),
        (HyperBandPlan(9, 3, 18), 0, 0, 18, 21),
        (HyperBandPlan(9, 3, 22), 1, 1, 21, 36),
        (HyperBandPlan(9, 3, 42), 2, 0, 42, 51),
        (HyperBandPlan(9, 3, 59), 3, 8, 51, 60),  # whole trainings decide one by one
        (HyperBandPlan(9, 3, 69 + 12), 5, 3, 78, 84),
        (HyperBandPlan(9, 3, 12, longest_first=True), 1, 3, 9, 18),
    ],
)
def test_what_a_budget_reaches_and_the_nearest_ones_that_waste_nothing(plan, finished, wasted, below, above):
    found = reach(plan)
    assert (found.n_finished, found.n_wasted, found.below, found.above) == (finished, wasted, below, above)


@settings(deadline=None)
@given(
    st.builds(RacePlan, st.integers(1, 40), st.integers(1, 500))
    | st.builds(HyperBandPlan, st.integers(1, 20), st.integers(2, 4), st.integers(30, 500))
)
def test_a_budget_that_is_named_wastes_nothing(plan):
    found = reach(plan)
    assert found.below <= plan.epoch_budget < found.above
    assert reach(replace(plan, epoch_budget=found.above)).n_wasted == 0
    assert reach(replace(plan, epoch_budget=found.below)).n_wasted == 0


def test_a_remark_is_one_line_and_only_there_if_something_is_wrong():
    assert budget_remark(RacePlan(32, 72)) == budget_remark(RacePlan(32, seconds_budget=9)) == ""
    said = budget_remark(RacePlan(32, 80))
    assert said.startswith("8 of the 80 epochs decide nothing: they train a configuration that cannot finish")
    assert said.endswith("a budget of 72 or 104 wastes none")
    said = budget_remark(HyperBandPlan(9, 3, 12))
    assert "3 of the 12 epochs decide nothing: they end inside a rung" in said
    assert "No configuration is trained to the end: for that 21 epochs are needed" in said
    assert "\n" not in said


def test_r_leaves_room_for_a_race_and_one_more_configuration():
    assert fitting_max_epochs(epochs=144) == 32
    assert fitting_max_epochs(epochs=36) == 16
    assert fitting_max_epochs(epochs=1) == 1
    assert fitting_max_epochs(seconds=90, costs=[1, 4, 100]) == 10
    assert fitting_max_epochs(seconds=90) == 32


@pytest.mark.parametrize(
    ("plan", "costs", "said"),
    [
        (RacePlan(32, 144), [1, 2, 3, 4, 5, 6], "144 epochs of 6 configurations, 4 of them to the end, in 8 min"),
        (RacePlan(32, 16), [1, 2, 3], "16 epochs of 2 configurations, 0 of them to the end, in 24 s"),
        (RacePlan(32, 15), [1, 2, 3], "15 epochs of 1 configuration, 0 of them to the end, in 15 s"),
        (RacePlan(32, seconds_budget=23), [1, 2, 3], "23 epochs of 1 configuration, 0 of them to the end, in 23 s"),
        (RacePlan(32, seconds_budget=25), [1, 2, 3], "17 epochs of 2 configurations, 0 of them to the end, in 26 s"),
        (
            RacePlan(32, race_epochs=0, seconds_budget=33),
            [1, 2],
            "33 epochs of 2 configurations, 1 of them to the end, in 34 s; "
            "the last 1 epochs train a configuration that cannot finish: 32 s or 2 min waste none",
        ),
        (RacePlan(32, 500), [1, 2], "40 epochs of 2 configurations, 1 of them to the end, in 72 s"),
        (
            RacePlan(4, seconds_budget=30),
            [2, 4, 5],
            "8 epochs of 3 configurations, 1 of them to the end, in 33 s; the last 3 epochs train a configuration that "
            "cannot finish: 18 s or 38 s waste none",
        ),
    ],
)
def test_it_predicts_what_a_race_takes_from_what_epochs_cost(plan, costs, said):
    assert f"predicted: {said}; this holds" in predicted(plan, costs)
