import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperstar_tune.errors import PlanError
from hyperstar_tune.plan import HyperBandPlan, Rung
from hyperstar_tune.race import RacePlan

STRAIGHT = (Rung(1, 32),)
RACE = (Rung(2, 8), Rung(1, 32))


def test_two_race_for_a_quarter_of_r_and_each_further_one_trains_straight_to_r():
    plan = RacePlan(max_epochs=32, epoch_budget=144)
    assert [plan.bracket(number).rungs for number in range(4)] == [RACE, STRAIGHT, STRAIGHT, STRAIGHT]
    assert plan.bracket(0).rung_costs == (16, 24)
    assert plan.widest_rung == 2


@pytest.mark.parametrize(("max_epochs", "race"), [(1, 0), (2, 1), (4, 1), (7, 1), (9, 2), (32, 8), (100, 25)])
def test_a_quarter_is_rounded_down_to_whole_epochs_but_at_least_one_before_r(max_epochs, race):
    assert RacePlan(max_epochs).race_epochs == race


def test_a_budget_below_the_race_is_for_the_first_configuration_alone():
    assert RacePlan(32, 16).bracket(0).rungs == RACE
    assert RacePlan(32, 15).bracket(0).rungs == STRAIGHT
    assert not RacePlan(32, 15).has_race


def test_without_a_race_the_ranking_is_followed_from_its_first_configuration_on():
    plan = RacePlan(32, race_epochs=0)
    assert (plan.bracket(0).rungs, plan.epoch_budget) == (STRAIGHT, 32)


@given(max_epochs=st.integers(2, 500))
def test_the_budget_defaults_to_one_pass(max_epochs):
    plan = RacePlan(max_epochs)
    assert plan.epoch_budget == 2 * plan.race_epochs + (max_epochs - plan.race_epochs) + max_epochs


@pytest.mark.parametrize(
    ("arguments", "offender"),
    [
        ({"max_epochs": 0}, "0"),
        ({"max_epochs": 9.0}, "9.0"),
        ({"max_epochs": 9, "epoch_budget": -1}, "-1"),
        ({"max_epochs": 9, "epoch_budget": True}, "True"),
        ({"max_epochs": 9, "race_epochs": 9}, "9"),
        ({"max_epochs": 9, "race_epochs": 2.5}, "2.5"),
        ({"max_epochs": 9, "race_epochs": -2}, "-2"),
    ],
)
def test_an_impossible_race_names_the_offending_value(arguments, offender):
    with pytest.raises(PlanError, match=rf"but got {offender}") as caught:
        RacePlan(**arguments)
    assert "\n" not in str(caught.value)


def test_the_table_says_what_the_budget_reaches_and_what_free_workers_do():
    lines = str(RacePlan(32, 144)).splitlines()
    assert lines[0] == "Race of 2 x 8 epochs: R=32 epochs, budget 144 epochs"
    assert "2 x 8 -> 1 x 32" in lines[1]
    assert "40 epochs, epoch 0 to 40" in lines[1]
    assert "3 x 32 and 1 x 8 (the budget ends inside it)   epoch 40 to 144" in lines[2]
    assert "the same epochs in another order" in lines[3]
    assert "the budget ends 8 epochs before the better one is at 32" in str(RacePlan(32, 32))
    assert "two configurations take 16 epochs; the first trains alone" in str(RacePlan(32, 15))
    assert str(RacePlan(32, 96, race_epochs=0)).splitlines()[1] == "  down the ranking: 3 x 32   epoch 0 to 96"


def test_plans_of_different_kinds_differ():
    assert RacePlan(9, 69) != HyperBandPlan(9, 3, 69)
    assert RacePlan(9, 69) == RacePlan(9, 69, race_epochs=2) != RacePlan(9, 69, race_epochs=3)
