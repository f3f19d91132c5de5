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
    assert len(lines) == 3
    assert "+3.00" in lines[1]
    assert "lr=0.1" in lines[1]


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({}, []),
        ({"seen": True}, ["p has seen these images"]),
        ({"share": 0.25, "nearest": ("a", "b")}, ["25%", "Nearest known tasks: a, b"]),
        ({"share": 0.0}, ["Warning: no known task is near"]),
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
