import numpy as np
import pytest

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.ranking import Ranking

CONFIGS = [{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}]


def test_configurations_are_sorted_by_score_and_ties_keep_their_order():
    ranking = Ranking.of(CONFIGS, np.array([0.5, 1.5, 0.5]), [0.1, 0.2, 0.3], task="digits", source="p")
    assert ranking.top(3) == [{"lr": 0.2}, {"lr": 0.1}, {"lr": 0.3}]
    assert ranking.scores == (1.5, 0.5, 0.5)
    assert ranking.spread == (0.2, 0.1, 0.3)
    assert {type(score) for score in ranking.scores} == {float}


def test_a_ranking_does_not_share_its_configurations():
    config = {"lr": 0.1}
    ranking = Ranking.of([config], [1.0])
    config["lr"] = 9
    ranking.top(1)[0]["lr"] = 8
    assert ranking.configs == ({"lr": 0.1},)


def test_the_table_shows_the_head_only():
    lines = Ranking.of(CONFIGS, [3, 2, 1]).table(2).splitlines()
    assert len(lines) == 4
    assert "+3.00" in lines[1]
    assert "lr=0.1" in lines[1]
    assert lines[3].startswith("score: deviations above the mean")


def test_places_that_cannot_be_told_from_the_first_are_marked():
    lines = Ranking.of(CONFIGS, [3, 2.9, 1], [0.5, 0.5, 0.5]).table(3).splitlines()
    assert [line[:5].strip() for line in lines[1:4]] == ["1", "~2", "3"]
    assert lines[-1] == "~: the score differs from that of place 1 by less than the larger of their spreads"


@pytest.mark.parametrize(
    ("spread", "alike"),
    [
        ([0, 0, 0], [False, False, False]),  # not known
        ([0.5, 0.5, 0.5], [False, False, False]),
        ([1.5, 0.1, 0.1], [False, True, False]),  # that of the first is not sure
        ([0.1, 0.1, 2.5], [False, False, True]),
    ],
)
def test_places_are_alike_where_a_spread_is_larger_than_the_difference(spread, alike):
    assert Ranking.of(CONFIGS, [3, 2, 1], spread).alike() == alike


def test_a_deviation_elsewhere_widens_every_spread_but_not_the_order():
    ranking = Ranking.of(CONFIGS, [3, 2.2, 1], [0.3, 0.4, 0.0], elsewhere=1.0)
    assert ranking.spread == (0.3, 0.4, 0.0)
    assert ranking.deviations() == pytest.approx((1.09**0.5, 1.16**0.5, 1.0))
    assert ranking.alike() == [False, True, False]
    assert "+2.20 (1.08)" in ranking.table(2).splitlines()[2]
    assert ranking.at([1, 0]).elsewhere == 1.0


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({}, []),
        ({"seen": True}, ["p has seen these images"]),
        ({"share": 0.25, "nearest": ("a", "b")}, ["25%", "what the images show: a, b"]),
        ({"share": 0.0}, ["Warning: no known task is near"]),
        ({"elsewhere": 1.0}, ["Nothing was measured of this network: a deviation of 1 is added to every spread."]),
        ({"share": 0.5, "doubt": "labels say little"}, ["Labels say little: 50% of what they say is trusted."]),
        (
            {"share": 0.0, "doubt": "labels say nothing"},
            ["Warning: labels say nothing; this is the ranking that holds"],
        ),
    ],
)
def test_remarks_say_what_to_know_before_trusting_it(about, said):
    remarks = Ranking.of(CONFIGS, [3, 2, 1], source="p", **about).remarks()
    assert len(remarks) == len(said)
    assert all(part in remark for part, remark in zip(said, remarks, strict=True))


@pytest.mark.parametrize(("configs", "scores"), [([], []), (CONFIGS, [1, 2]), (CONFIGS, [1, np.nan, 2])])
def test_a_ranking_without_one_finite_score_each_is_refused(configs, scores):
    with pytest.raises(SpaceError, match="but"):
        Ranking.of(configs, scores)


def test_a_part_keeps_places_scores_and_order():
    ranking = Ranking.of([{"lr": lr, "kind": "a"} for lr in (1, 2, 3)], [0.1, 0.3, 0.2], [1, 3, 2], source="p")
    part = ranking.part([{"kind": "a", "lr": 3}, {"kind": "a", "lr": 2}, {"kind": "b", "lr": 1}])
    assert part == Ranking(({"lr": 2, "kind": "a"}, {"lr": 3, "kind": "a"}), (0.3, 0.2), (3.0, 2.0), source="p")
    assert part.reduced(["lr"]).configs == ({"lr": 2}, {"lr": 3})


FALLS = np.array([[-0.1, 0.0, 0.0], [0.0, 0.0, -0.1], [-0.01, 0.0, -0.1]])  # of three tasks


def test_a_race_takes_the_complement_second_and_then_the_others_in_order():
    ranking = Ranking.of(CONFIGS, [1, 2, 3], falls=FALLS, known_tasks=("a", "b", "c"))
    assert ranking.configs[0] == {"lr": 0.3}
    assert ranking.configs[ranking.complement] == {"lr": 0.2}
    assert ranking.order() == [0, 1, 2]
    swapped = Ranking.of(CONFIGS, [2, 1, 3], falls=FALLS)
    assert (swapped.complement, swapped.order()) == (2, [0, 2, 1])


def test_what_is_known_goes_with_the_configurations_into_a_part():
    ranking = Ranking.of(CONFIGS, [1, 2, 3], falls=FALLS, known_tasks=("a", "b", "c"))
    part = ranking.part([{"lr": 0.3}, {"lr": 0.1}])
    assert (part.complement, part.order()) == (1, [0, 1])
    assert part.reduced(["lr"]).falls == part.falls == ((0.0, -0.1, -0.1), (-0.1, 0.0, -0.01))
    assert ranking.part([{"lr": 0.3}]).complement is None


def test_nothing_known_leaves_the_order_of_the_ranking():
    ranking = Ranking.of(CONFIGS, [1, 2, 3])
    assert (ranking.complement, ranking.order(), ranking.race_remark()) == (None, [0, 1, 2], "")


def test_the_reason_for_the_complement_is_where_the_first_fails():
    ranking = Ranking.of(CONFIGS, [1, 2, 3], falls=FALLS, known_tasks=("a", "b", "c"))
    assert ranking.race_remark() == (
        "A race sets place 1 against place 2 (lr=0.2). It is best where the first fails: b (+10.0 points), "
        "c (+10.0 points)."
    )


@pytest.mark.parametrize("falls", [FALLS[:, :2], FALLS * np.nan])
def test_shortfalls_that_fit_no_ranking_are_refused(falls):
    with pytest.raises(SpaceError, match=r"falls must be finite and of shape \[T, 3\], but got"):
        Ranking.of(CONFIGS, [1, 2, 3], falls=falls)


@pytest.mark.parametrize("costs", [[1, 2], [1, 0, 2], [1, np.inf, 2]])
def test_costs_that_are_no_seconds_are_refused(costs):
    with pytest.raises(SpaceError, match="costs must be 3 positive numbers"):
        Ranking.of(CONFIGS, [1, 2, 3], costs=costs)
