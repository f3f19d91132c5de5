"""The committed figures can be made again: from the committed table and scores, without pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from _common import scores_path
from scoreboard.budget_table import budget_table
from scoreboard.families import COSTLY, TEST_FAMILIES, development_families, scored_part
from scoreboard.tables import OURS
from sweep import known_for, read_summary, sweep_path

from hyperstar_tune import MetaDataset
from hyperstar_tune.comparison import LooScores, protocol_budgets, sweep
from hyperstar_tune.comparison.judging import by_family, judge, true_scores
from hyperstar_tune.comparison.methods import current_names

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = {
    name: current_names(json.loads((BENCHMARKS / "results" / f"{name}.json").read_text()))
    for name in ("ap_at_10", "warm_start", "budgets")
}
SWEEP = read_summary(sweep_path(RESULTS["budgets"]["table"]["name"], "development families"))


def load(name):
    table = MetaDataset.load(BENCHMARKS / "metadata" / name)
    return table, LooScores.load(scores_path(name), table.configs)


@pytest.fixture(scope="module")
def made_from():
    return load(SWEEP["table"]["name"])


@pytest.mark.parametrize(
    "method",
    ["hyperband", "asha", "rush", "average_top1+alone", "bm_both+hyperband", "race", "race_parallel_4", "expert"],
)
def test_a_replay_gives_the_committed_values(made_from, method):
    table, loo = made_from
    task = next(iter(SWEEP["families"]))
    known = known_for(table, task)  # RUSH transfers from what it knows
    if method == "rush" and len(known.tasks) != SWEEP["table"]["tasks"]:
        pytest.skip("the table has grown since it was replayed")
    result = sweep([method], known, loo, budgets=protocol_budgets(known), tasks=[task], seeds=2)
    column = "accuracy_b" if SWEEP["half"] == "B" else "accuracy"
    for eta, part in SWEEP["by_eta"].items():
        for seed in result["seed"].unique():
            mine = result[(result["eta"] == int(eta)) & (result["seed"] == seed)].sort_values("budget")[column]
            np.testing.assert_allclose(mine, part["runs"][method][task][seed], atol=6e-5)


def test_the_committed_scores_give_the_committed_table():
    committed = RESULTS["ap_at_10"]
    table, loo = load(committed["table"]["name"])
    frame = judge(loo, *scored_part(loo, true_scores(table, development_families(table))))
    for measure in ("ap_at_10", "regret_at_3", "configs_to_best"):
        for ranker, mean in by_family(frame, measure).mean().items():
            assert committed["rankers"][ranker][measure] == pytest.approx(mean, abs=1e-4)


def test_the_committed_sweep_gives_the_committed_budgets():
    assert not set(SWEEP["families"].values()) & set(TEST_FAMILIES)
    again = budget_table(SWEEP, list(SWEEP["families"].values()), (OURS, "bm_both"))
    for key, value in again.items():
        assert RESULTS["budgets"][key] == value


def test_every_replayed_task_has_a_ranking_by_every_ranker(made_from):
    _, loo = made_from
    rankers = set(loo.rankers) - set(COSTLY)
    assert {"bm_both", "average_top1", "random_forest", "nearest_task", "global_mean"} <= rankers
    assert all(loo.n_seeds(ranker, task) for ranker in rankers for task in SWEEP["families"])


@pytest.mark.parametrize("name", ["ap_at_10", "warm_start", "budgets"])
def test_test_families_are_a_block_of_their_own(name):
    result = RESULTS[name]
    assert result["block"] == "development families"
    assert (result["test_families"] is None) == ("no_test_families_because" in result)
    if name == "ap_at_10":
        assert not set(result["family_names"]) & set(TEST_FAMILIES)
