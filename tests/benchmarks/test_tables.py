"""Tables of rankers, checked on a made-up table whose right answers are known."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from made_up_table import make_ranker, make_table
from scoreboard.critical_difference import critical_difference
from scoreboard.diagnosis import best_task_vectors, repeated_measurement
from scoreboard.families import development_families, scored_part
from scoreboard.figures import draw_critical_difference, draw_precision, draw_warm_start
from scoreboard.live_figure import draw_live_beside_replay
from scoreboard.tables import _gap_closed, ranker_table, stronger_average
from scoreboard.warm_start import warm_start

from hyperstar_tune.comparison import LooScores, leave_family_out
from hyperstar_tune.comparison.judging import by_family, judge, judged, true_scores
from hyperstar_tune.errors import HyperStarError, MetaDatasetError
from hyperstar_tune.metrics import chance_average_precision
from hyperstar_tune.ranking import Ranking

NAMES = ("average_top1", "average_normalized", "random")


@pytest.fixture(scope="module")
def world():
    table = make_table(7)
    tasks = table.tasks.assign(family=[*table.tasks["family"][:6], "trashnet"])  # a test family of the protocol
    table = replace(table, tasks=tasks)
    frames = [leave_family_out(partial(make_ranker, name), table, range(2)) for name in NAMES]
    return table, LooScores(pd.concat([*frames, oracle(table)]), table.configs)


def oracle(table):
    """The true order of every task, under our ranker's name."""

    class Oracle:
        name = "hyperstar_plus"

        def fit(self, known):
            return self

        def rank(self, task, configs):
            row = table.tasks["name"].tolist().index(task["name"])
            return Ranking.of(configs, table.scores()[row], task=task["name"])

    return leave_family_out(lambda seed: Oracle(), table)


@pytest.fixture(scope="module")
def block(world):
    table, loo = world
    return json.loads(json.dumps(ranker_table(table, loo, development_families(table)), allow_nan=False))


def with_more_seeds(table, scale, seeds=2):
    """The table measured again, with so much noise."""
    rng, again = np.random.default_rng(0), [table.evaluations]
    for _ in range(seeds):
        noisy = table.evaluations.copy()
        for place in (0, 2):  # both halves
            noise = rng.normal(scale=scale, size=noisy.shape[:-1]).astype(np.float32)
            noisy[..., place] = np.clip(noisy[..., place] + noise, 0, 1)
        again.append(noisy)
    return replace(table, evaluations=np.concatenate(again, axis=2))


def test_a_table_that_grew_is_judged_on_the_tasks_that_all_rankers_have(world):
    table, whole = world
    families = development_families(table)

    def without(tasks_by_ranker):
        frames = [leave_family_out(partial(make_ranker, name), table, range(2)) for name in NAMES]
        frame = pd.concat([*frames, frames[0].assign(ranker="end_to_end"), frames[0].assign(ranker="bm")])
        for ranker, tasks in tasks_by_ranker.items():
            frame = frame[~((frame["ranker"] == ranker) & frame["task"].isin(tasks))]
        return LooScores(frame, table.configs)

    every = set(table.tasks["name"])
    loo = without({"average_top1": {"task1"}, "random": {"task4"}, "end_to_end": {"task2"}, "bm": every})
    block = ranker_table(table, loo, families)
    assert block["left_out"] == {
        "complete_tasks": 2,
        "task_names": ["task1", "task4"],
        "rankers": {"end_to_end": "scores of 5 of 6 tasks"},
    }
    judged_on = [set(row["per_task"]) for row in block["rankers"].values()]
    assert all(tasks == {"task0", "task2", "task3", "task5"} for tasks in judged_on)
    assert set(block["rankers"]) == {*NAMES, "average"}
    assert warm_start(table, loo, families)["families"] == block["families"] == 4
    assert ranker_table(table, whole, families)["left_out"] == {"complete_tasks": 0, "task_names": [], "rankers": {}}
    with pytest.raises(MetaDatasetError, match="scores of all rankers, but of 6 complete ones none has"):
        scored_part(without({"average_top1": every - {"task0"}, "random": {"task0"}}), true_scores(table, families))


def test_the_true_order_is_perfect_and_a_reversed_one_is_not():
    scores = np.linspace(0.2, 0.9, 30)
    best = judged(scores, scores, np.argsort(-scores), has_b=True)
    assert best["ap_at_10"] == best["ndcg_at_10"] == best["configs_to_best"] == 1
    assert best["spearman"] == pytest.approx(1)
    assert best["regret_at_1"] == best["normalized_regret_at_10"] == 0
    worst = judged(scores, scores, np.argsort(scores), has_b=True)
    assert worst["ap_at_10"] == 0
    assert worst["regret_at_1"] == pytest.approx(70)  # points
    assert worst["spearman"] == pytest.approx(-1)


def test_precision_is_judged_on_half_a_and_regret_on_half_b():
    half_a = np.linspace(0.2, 0.9, 30)
    values = judged(half_a, half_a[::-1].copy(), np.argsort(-half_a), has_b=True)
    assert values["ap_at_10"] == 1
    assert values["ap_at_10_half_b"] == 0
    assert values["regret_at_1"] == pytest.approx(70)


def test_rankings_are_judged_on_steady_accuracies_too_where_runs_do_not_settle(world):
    table, _ = world
    steady = table.steady_scores()
    names = table.tasks["name"].tolist()
    frame = oracle(table)
    frame["score"] = [
        steady[names.index(task), table.configs.index(json.loads(config))]
        for task, config in zip(frame["task"], frame["config"], strict=True)
    ]
    averages = [leave_family_out(partial(make_ranker, name), table) for name in NAMES[:2]]
    loo_frame = pd.concat([frame, *averages])
    loo = LooScores(loo_frame, table.configs)
    families = development_families(table)
    found = ranker_table(table, loo, families)["on_steady_accuracies"]
    ours = found["rankers"]["hyperstar_plus"]
    assert (ours["ap_at_10"]["mean"], ours["regret_at_1"]["mean"]) == (1.0, 0.0)
    assert found["rankers"]["average_top1"]["ap_at_10"]["mean"] < 1
    assert ranker_table(table, loo, families)["rankers"]["hyperstar_plus"]["ap_at_10"] < 1
    settled = replace(table, fingerprint=replace(table.fingerprint, schedule="cosine"))
    assert ranker_table(settled, loo, families)["on_steady_accuracies"] is None
    assert found["goals"]["ap10_above"]["average"]["points"]["mean"] > 0
    assert found["gain_by_images"] is None
    blind = averages[0].assign(ranker="plus_average")  # an average that looks at no image
    seen = ranker_table(table, LooScores(pd.concat([loo_frame, blind]), table.configs), families)
    gains, rankers = seen["on_steady_accuracies"]["gain_by_images"], seen["on_steady_accuracies"]["rankers"]
    for measure, sign in (("ap_at_10", 1), ("normalized_regret_at_3", -1)):
        of_both = [rankers[name][measure]["mean"] for name in ("hyperstar_plus", "plus_average")]
        assert gains[measure]["mean"] == pytest.approx(sign * (of_both[0] - of_both[1]), abs=2e-5)
        assert gains[measure]["mean"] > 0


def test_test_families_stay_out_of_the_development_block(world, block):
    table, loo = world
    assert "trashnet" not in block["family_names"]
    assert all("task6" not in row["per_task"] for row in block["rankers"].values())
    assert block["families"] == 5
    apart = ranker_table(table, loo, ["trashnet"])
    assert apart["family_names"] == ["trashnet"]
    assert set(apart["rankers"]["random"]["per_task"]) == {"task6"}


def test_a_family_weighs_once_whatever_its_tasks_and_seeds(world):
    table, loo = world
    frame = judge(loo, true_scores(table, development_families(table)), loo.rankers)
    twins = frame[(frame["ranker"] == "random") & (frame["family"] == "twins")]["ap_at_10"]
    assert by_family(frame, "ap_at_10").loc["twins", "random"] == pytest.approx(twins.mean())
    assert len(twins) == 4


def test_the_rival_is_the_stronger_average_measure_by_measure(block):
    for measure, rival in block["average_is"].items():
        both = {name: block["rankers"][name][measure] for name in ("average_top1", "average_normalized")}
        pick = min if "regret" in measure or measure == "configs_to_best" else max
        assert both[rival] == pick(both.values())
        assert block["rankers"]["average"][measure] == both[rival]
    values = pd.DataFrame({"average_top1": [0.1, 0.3], "average_normalized": [0.2, 0.4]})
    assert stronger_average(values, "ap_at_10") == "average_normalized"
    assert stronger_average(values, "regret_at_3") == "average_top1"
    assert stronger_average(values[[]], "ap_at_10") is None


def test_what_is_significant_is_the_oracle_and_what_is_met_are_its_goals(block):
    rows = block["rankers"]
    assert next(iter(rows)) == "hyperstar_plus"
    assert rows["hyperstar_plus"]["ap_at_10"] == 1
    assert rows["hyperstar_plus"]["p_value"] < 0.05
    assert rows["hyperstar_plus"]["p_value_chance"] < 0.05 < rows["random"]["p_value_chance"]
    assert rows[block["average_is"]["ap_at_10"]]["p_value"] is None
    goals = block["goals"]
    assert goals["ap10_above"]["average"]["met"]
    assert goals["configs_to_best"]["ours"] == 1
    assert goals["regret_at_3_gap_closed"]["met"] is None  # one seed: no ceiling to measure the gap to


def test_chance_is_that_of_the_space_and_random_is_near_it(block):
    assert block["chance_ap10"] == pytest.approx(chance_average_precision(48), abs=1e-5)
    assert block["rankers"]["random"]["ap_at_10"] < 0.3


def test_one_seed_or_two_give_no_noise_ceiling_and_three_do(world):
    table, loo = world
    one = ranker_table(table, loo, development_families(table))
    assert one["noise_ceiling_ap10"] is None
    assert "one seed" in one["no_noise_ceiling_because"]
    two = ranker_table(with_more_seeds(table, 0.0, seeds=1), loo, development_families(table))
    assert two["noise_ceiling_ap10"] is None
    assert "2 seeds, a ceiling needs 3" in two["no_noise_ceiling_because"]
    ceilings = [
        ranker_table(with_more_seeds(table, scale), loo, development_families(table))["noise_ceiling_ap10"]
        for scale in (0.0, 0.1)
    ]
    assert ceilings[0] > 0.9
    assert 0.05 < ceilings[1] < ceilings[0]


def test_the_gap_to_the_ceiling_is_closed_by_whoever_knows_the_answer(world):
    table, loo = world
    goal = ranker_table(with_more_seeds(table, 0.01), loo, development_families(table))["goals"]
    closed = goal["regret_at_3_gap_closed"]
    assert closed["share"]["mean"] > 0.9
    assert closed["met"]
    assert closed["gained"]["low"] > 0
    assert (closed["families"], closed["tasks"]) == (5, 6)
    assert goal["normalized_regret_at_3_gap_closed"]["met"]


def test_a_gap_that_could_be_nothing_is_not_divided_by():
    gaps = np.array([0.30, -0.25, 0.02, 0.02, 0.02, 0.03])

    def row(values):
        return {"by_family": {"regret_at_3": values.tolist()}}

    rankers = {"average_top1": row(gaps), "hyperstar_plus": row(0.1 * gaps)}
    ceiling = {"tasks": 6, "rankers": rankers, **row(np.zeros(6))}
    values = pd.DataFrame({"average_top1": gaps, "hyperstar_plus": 0.1 * gaps})
    found = _gap_closed("regret_at_3", values, "average_top1", ceiling)
    assert found["share"] is found["met"] is None
    assert found["gap"]["low"] < 0 < found["gap"]["mean"]
    assert "contains 0" in found["why"]


def test_the_gap_is_measured_on_the_repeated_tasks_alone_and_has_no_interval_from_few_families(world):
    table, loo = world
    twice = with_more_seeds(table, 0.05)
    some = twice.evaluations.copy()
    some[3:, :, 1:] = np.nan  # tasks 0 to 2 of two families keep their other seeds
    block = ranker_table(replace(twice, evaluations=some), loo, development_families(table))
    repeated, closed = block["diagnosis"]["noise_ceiling"], block["goals"]["regret_at_3_gap_closed"]
    assert repeated["family_names"] == ["twins", "family2"]
    assert set(closed["gap"]) == set(repeated["measures"]["ap_at_10"]) == {"mean"}
    assert closed["share"] is closed["met"] is None
    assert "2 families were measured repeatedly" in closed["why"]
    alone = ranker_table(replace(twice, evaluations=some).only(["twins", "family2"]), loo, ["twins", "family2"])
    assert alone["diagnosis"]["noise_ceiling"] == repeated


def test_rankers_and_ceiling_are_judged_on_the_same_seeds_half_b():
    rng = np.random.default_rng(0)
    half_a, half_b = rng.random((2, 1, 20, 3))
    orders = [np.argsort(-half_a[0].mean(axis=1)), np.argsort(half_a[0, :, 0])]
    found = repeated_measurement(half_a, half_b, ["one"], {"r": [orders]})
    expected = [
        judged(half_b[0, :, s], half_b[0, :, s], o, has_b=True)["regret_at_3"] for s in range(3) for o in orders
    ]
    assert found["rankers"]["r"]["measures"]["regret_at_3"]["mean"] == pytest.approx(np.mean(expected), abs=1e-5)
    pairs = [
        judged(half_b[0, :, s], half_b[0, :, s], np.argsort(-half_a[0, :, other]), has_b=True)["ap_at_10"]
        for s in range(3)
        for other in {0, 1, 2} - {s}
    ]
    assert found["one_seed"]["measures"]["ap_at_10"]["mean"] == pytest.approx(np.mean(pairs), abs=1e-5)


def test_a_repetition_is_judged_on_the_other_seeds_half_b():
    up, down = np.linspace(0, 1, 20), np.linspace(1, 0, 20)
    half_a = np.stack([3 * down, up, up], axis=-1)[None]  # [1, H, 3]: the first seed disagrees with the others
    half_b = np.stack([up, up, up], axis=-1)[None]
    found = repeated_measurement(half_a, half_b, ["one"], {})
    # The first is judged by the others, which are right; either of them by a mean with the first in it, which is not.
    assert found["measures"]["ap_at_10"]["mean"] == pytest.approx(1 / 3, abs=1e-5)
    assert repeated_measurement(half_a[..., :2], half_a[..., :2], ["one"], {}) is None


def test_one_number_a_task_is_enough_where_tasks_differ_in_one_direction():
    table = make_table(6)
    rng = np.random.default_rng(3)
    common, direction = rng.normal(size=48), rng.normal(size=48)
    scores = 0.5 + 0.05 * common + np.linspace(-2, 2, 6)[:, None] * 0.03 * direction
    evaluations = table.evaluations.copy()
    evaluations[:, :, 0, -1, 0] = evaluations[:, :, 0, -1, 2] = scores
    truth = true_scores(replace(table, evaluations=evaluations), table.families)
    by_rank = best_task_vectors(truth)
    assert by_rank["0"]["ap_at_10"]["mean"] < 0.7
    assert by_rank["1"]["ap_at_10"]["mean"] > 0.85  # the division by each task's deviation bends the direction
    assert by_rank["1"]["regret_at_3"]["mean"] <= by_rank["0"]["regret_at_3"]["mean"]


def test_rank_0_is_the_average_ranking(world):
    table, _ = world
    families = development_families(table)
    truth = true_scores(table, families)
    part = table.only(families)
    own = leave_family_out(partial(make_ranker, "average_normalized"), part)
    expected = by_family(judge(LooScores(own, table.configs), truth, ["average_normalized"]), "ap_at_10")[
        "average_normalized"
    ].mean()
    assert best_task_vectors(truth)["0"]["ap_at_10"]["mean"] == pytest.approx(expected, abs=1e-5)


def test_the_warm_start_falls_to_zero_and_begins_at_regret_1(world, block):
    table, loo = world
    curves = warm_start(table, loo, development_families(table))
    assert curves["k"] == list(range(1, 49))
    for name, curve in curves["rankers"].items():
        assert curve["mean"][0] == pytest.approx(block["rankers"][name]["regret_at_1"], abs=1e-3)
        assert curve["mean"][-1] == 0
        assert (np.diff(curve["mean"]) <= 1e-9).all()


def test_a_table_without_half_b_is_judged_on_half_a_and_says_so(world):
    table, loo = world
    evaluations = table.evaluations.copy()
    evaluations[..., 2] = np.nan
    result = ranker_table(replace(table, evaluations=evaluations), loo, development_families(table))
    assert result["judged_on"]["regret, configs_to_best"] == "half A"
    assert "no half B" in result["no_noise_ceiling_because"]
    assert "ap_at_10_half_b" not in result["rankers"]["random"]


def test_the_critical_difference_is_the_published_one():
    values = {name: np.full(14, float(place)) for place, name in enumerate("dcba")}
    found = critical_difference(values)
    assert found.difference == pytest.approx(1.25, abs=0.01)  # Demsar's example: 4 classifiers, 14 data sets
    assert found.mean_ranks == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert found.groups == [["a", "b"], ["b", "c"], ["c", "d"]]
    assert found.friedman_p < 1e-6
    assert next(iter(critical_difference(values, higher_is_better=False).mean_ranks)) == "d"
    with pytest.raises(HyperStarError, match="3 methods and 2 families"):
        critical_difference({"a": [1.0, 2.0], "b": [1.0, 2.0]})


def test_a_block_without_a_complete_task_is_refused(world):
    table, loo = world
    with pytest.raises(MetaDatasetError, match="every configuration was trained"):
        ranker_table(table, loo, [])


def test_figures_need_the_json_alone(world, block, tmp_path):
    table, loo = world
    draw_precision(block, tmp_path / "precision.png")
    draw_critical_difference(block, tmp_path / "differences.png")
    draw_warm_start(warm_start(table, loo, development_families(table)), tmp_path / "curves.png")
    live = {
        "source": "made up",
        "tasks": {"a": {kind: {"hyperband": [[None, 0.5, 0.6]]} for kind in ("live", "replay")}},
    }
    draw_live_beside_replay(live, tmp_path / "live.png")
    for name in ("precision", "differences", "curves", "live"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
