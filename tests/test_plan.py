import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperstar_tune.errors import HyperStarError, PlanError
from hyperstar_tune.plan import HyperBandPlan, Rung
from hyperstar_tune.race import RacePlan


def test_brackets_are_those_of_li_et_al():
    sizes = [bracket.n_configs for bracket in HyperBandPlan(81, 3).brackets]
    assert sizes == [81, 34, 15, 8, 5]  # JMLR 18 (2018), Table 1
    assert HyperBandPlan(81, 3).brackets[1].rungs == (Rung(34, 3), Rung(11, 9), Rung(3, 27), Rung(1, 81))


def test_fractions_of_an_epoch_are_rounded_down():
    first = HyperBandPlan(100, 2).brackets[0]
    assert [rung.epochs for rung in first.rungs] == [1, 3, 6, 12, 25, 50, 100]


def test_the_protocols_rungs_end_where_it_says():
    costs = HyperBandPlan(32, 2).brackets[0].rung_costs
    assert [sum(costs[: i + 1]) for i in range(len(costs))] == [32, 48, 64, 80, 96, 112]


@given(max_epochs=st.integers(1, 2000), eta=st.integers(2, 8))
def test_every_bracket_halves_and_ends_at_max_epochs(max_epochs, eta):
    brackets = HyperBandPlan(max_epochs, eta).brackets
    assert len(brackets) == len({len(b.rungs) for b in brackets})
    for bracket in brackets:
        assert bracket.rungs[-1].epochs == max_epochs
        for rung, following in zip(bracket.rungs, bracket.rungs[1:], strict=False):
            assert 1 <= following.n_configs == rung.n_configs // eta
            assert 1 <= rung.epochs < following.epochs
        direct = sum(
            rung.n_configs * (rung.epochs - (bracket.rungs[i - 1].epochs if i else 0))
            for i, rung in enumerate(bracket.rungs)
        )
        assert bracket.epochs == direct


def test_the_budget_defaults_to_one_pass():
    plan = HyperBandPlan(9, 3)
    assert plan.epoch_budget == sum(bracket.epochs for bracket in plan.brackets) == 69


@pytest.mark.parametrize(
    ("arguments", "offender"),
    [
        ({"max_epochs": 0}, "0"),
        ({"max_epochs": 9.5}, "9.5"),
        ({"max_epochs": True}, "True"),
        ({"max_epochs": 9, "eta": 1}, "1"),
        ({"max_epochs": 9, "epoch_budget": -1}, "-1"),
        ({"max_epochs": 100, "eta": 2, "epoch_budget": 63}, "63"),
    ],
)
def test_an_impossible_plan_names_the_offending_value(arguments, offender):
    with pytest.raises(PlanError, match=rf"but got {offender}") as caught:
        HyperBandPlan(**arguments)
    assert isinstance(caught.value, HyperStarError)
    assert "\n" not in str(caught.value)


def test_the_table_says_what_the_budget_reaches():
    text = str(HyperBandPlan(100, 2, 450))
    assert "64 x 1 -> 32 x 3 -> 16 x 6 -> 8 x 12 -> 4 x 25 -> 2 x 50 -> 1 x 100" in text
    assert "epoch 0 to 376" in text
    assert "budget ends inside (epoch 376 to 450)" in text
    assert text.count("not reached") == 5
    assert "then again from bracket 1" in str(HyperBandPlan(9, 3, 100))


@given(max_epochs=st.integers(1, 200), eta=st.integers(2, 5))
def test_the_opposite_order_has_the_same_brackets_and_begins_with_whole_trainings(max_epochs, eta):
    plan = HyperBandPlan(max_epochs, eta, longest_first=True)
    assert plan.brackets == HyperBandPlan(max_epochs, eta).brackets[::-1]
    assert [rung.epochs for rung in plan.brackets[0].rungs] == [max_epochs]
    assert HyperBandPlan(max_epochs, eta, max_epochs, longest_first=True).epoch_budget == max_epochs


def test_the_opposite_order_is_told_apart():
    plan = HyperBandPlan(9, 3, longest_first=True)
    assert plan != HyperBandPlan(9, 3)
    assert str(plan).splitlines()[0].endswith("budget 69 epochs, longest trials first")
    assert "bracket 1: 3 x 9" in str(plan)
    with pytest.raises(PlanError, match=r"must cover one configuration \(9 epochs\), but got 8"):
        HyperBandPlan(9, 3, 8, longest_first=True)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), True, "7"])
@pytest.mark.parametrize("make", [RacePlan, HyperBandPlan])
def test_seconds_that_are_no_budget_are_refused(make, seconds):
    with pytest.raises(PlanError, match="seconds_budget must be a number of seconds"):
        make(9, seconds_budget=seconds)


@pytest.mark.parametrize("make", [RacePlan, HyperBandPlan])
def test_a_budget_in_seconds_alone_limits_no_epochs(make):
    plan = make(9, seconds_budget=90.0)
    assert plan.epoch_budget == 0
    assert plan.budget_text == "90 s"
    assert "as far as the seconds reach" in str(plan)
    assert make(9, epoch_budget=20, seconds_budget=90).budget_text == "20 epochs or 90 s"
    assert make(9, epoch_budget=20).budget_text == "20 epochs"
