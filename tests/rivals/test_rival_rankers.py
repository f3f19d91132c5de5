"""Later rivals, on tables where the right answer is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from made_up_table import make_table

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.rivals.averages import PortfolioRanker, greedy_portfolio
from hyperstar_tune.rivals.deep_kernel import DeepKernel, DeepKernelRanker, SolvedProcess
from hyperstar_tune.rivals.points import PairwiseRanker, pairwise_loss
from hyperstar_tune.rivals.registry import Supplies, ranker_kind, ranker_names
from hyperstar_tune.rivals.tr_automl import TrAutoMLRanker

RIVALS = ("portfolio", "tr_automl", "deep_kernel", "zap_pairwise")


@pytest.fixture(scope="module")
def table():
    return make_table(5)


def order(ranking, table):
    return [table.configs.index(config) for config in ranking.configs]


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_orders_all_configurations_the_same_way_twice(table, name):
    supplies = Supplies(table)
    rankings = [
        ranker_kind(name).make(supplies, 1).fit(table.without("twins")).rank(table.tasks.iloc[0], table.configs)
        for _ in range(2)
    ]
    assert rankings[0] == rankings[1]
    assert sorted(order(rankings[0], table)) == list(range(48))
    assert rankings[0].source == name
    assert rankings[0].task == "task0"


def test_a_portfolio_covers_tasks_one_after_another():
    scores = np.array([[0.9, 0.1, 0.5, 0.2], [0.9, 0.2, 0.5, 0.1], [0.0, 0.9, 0.6, 0.1]])
    chosen = greedy_portfolio(scores).tolist()
    assert chosen[:2] == [0, 1]  # the best of two tasks, then that of the third; the middling one only then
    assert sorted(chosen) == [0, 1, 2, 3]
    assert PortfolioRanker().fit(make_table(4)).rank(make_table(4).tasks.iloc[0], make_table(4).configs).scores[0] == 0


def test_tr_automl_pays_for_its_benchmarks_and_then_follows_the_most_similar_task(table):
    known = table.subset([2, 3, 4])
    twin = table.evaluations.copy()
    twin[0] = twin[3]
    alike = replace(table, evaluations=twin)
    found = order(TrAutoMLRanker(alike, seed=4).fit(known).rank(table.tasks.iloc[0], table.configs), table)
    of_twin = np.argsort(-table.scores()[3], kind="stable").tolist()
    assert found[10:] == [row for row in of_twin if row not in found[:10]]
    others = order(TrAutoMLRanker(table, seed=5).fit(known).rank(table.tasks.iloc[0], table.configs), table)
    assert set(others[:10]) != set(found[:10])


def test_tr_automl_reads_nothing_of_a_task_but_its_benchmarks(table):
    ranker = TrAutoMLRanker(table, seed=4).fit(table.subset([2, 3, 4]))
    benchmarks = order(ranker.rank(table.tasks.iloc[0], table.configs), table)[:10]
    changed = table.evaluations.copy()
    hidden = [row for row in range(48) if row not in benchmarks]
    changed[0, hidden] = np.random.default_rng(0).random(changed[0, hidden].shape)
    other = TrAutoMLRanker(replace(table, evaluations=changed), seed=4).fit(table.subset([2, 3, 4]))
    assert other.rank(table.tasks.iloc[0], table.configs) == ranker.rank(table.tasks.iloc[0], table.configs)


def of_two_kinds():
    """Small tasks want a low learning rate, large ones a high one."""
    table = make_table(8)
    evaluations = table.evaluations.copy()
    for task in range(8):
        for row, config in enumerate(table.configs):
            wanted = 1e-4 if task < 4 else 1e-1
            evaluations[task, row, 0, -1, 0] = 0.9 - 0.1 * abs(np.log10(config["lr"] / wanted))
    return replace(table, evaluations=evaluations)


@pytest.mark.parametrize("make", [DeepKernelRanker, lambda: PairwiseRanker(seed=0)], ids=["deep_kernel", "pairwise"])
def test_rivals_that_learn_from_counts_learn_what_they_say(make):
    table = of_two_kinds()
    ranker = make().fit(table)
    for n_train, lr in ((150, 1e-4), (750, 1e-1)):
        facts = {"name": "new", "classes": 2 + n_train // 100, "n_train": n_train, "n_val": 50}
        assert ranker.rank(facts, table.configs).configs[0]["lr"] == lr


def test_the_closed_gradient_is_that_of_the_marginal_likelihood():
    torch.manual_seed(0)
    tasks, configs, targets = (torch.randn(shape, dtype=torch.float64) for shape in ((4, 3), (6, 5), (4, 6)))
    kernel = DeepKernel(3, 5).double()
    SolvedProcess(kernel, tasks, configs, targets).surrogate().backward()
    closed = [parameter.grad.clone() for parameter in kernel.parameters()]
    kernel.zero_grad()
    noise = (kernel.log_noise.exp() + 1e-4) * torch.eye(24, dtype=torch.float64)
    covariance = torch.kron(kernel.of_tasks(tasks, tasks), kernel.of_configs(configs, configs)) + noise
    normal = torch.distributions.MultivariateNormal(torch.zeros(24, dtype=torch.float64), covariance)
    (-normal.log_prob(targets.flatten())).backward()
    for own, parameter in zip(closed, kernel.parameters(), strict=True):
        torch.testing.assert_close(own, parameter.grad, rtol=1e-6, atol=1e-8)


def test_pairs_count_where_both_are_known_and_differ():
    scores = torch.tensor([[1.0, 0.0, 0.0, torch.nan]])
    right, wrong = torch.tensor([[9.0, -9, -9, 0]]), torch.tensor([[-9.0, 9, 9, 0]])
    assert pairwise_loss(right, scores) < 1e-6
    assert pairwise_loss(wrong, scores) == pytest.approx(18, abs=1e-3)
    assert pairwise_loss(torch.zeros(1, 4), scores) == pytest.approx(np.log(2))
    assert pairwise_loss(right, torch.zeros(1, 4)) == 0


def test_the_registry_names_what_a_ranker_lacks(table):
    without = Supplies(table)
    lacking = {name for name in ranker_names() if ranker_kind(name).lacks(without)}
    assert lacking == {"hyperstar_plus", "global_mean", "bm", "bm_gan", "bm_similarity", "bm_both", "end_to_end"}
    traits = pd.DataFrame(index=table.tasks["name"])
    assert not ranker_kind("hyperstar_plus").lacks(Supplies(table, traits=traits))
    with pytest.raises(PredictorError, match="'magic'"):
        ranker_kind("magic")


def test_mistakes_are_named(table):
    task = table.tasks.iloc[0]
    for ranker in (PortfolioRanker(), TrAutoMLRanker(table), DeepKernelRanker(), PairwiseRanker()):
        with pytest.raises(PredictorError, match="must be fitted"):
            ranker.rank(task, table.configs)
    with pytest.raises(PredictorError, match="n_benchmarks must be between 2 and 47"):
        TrAutoMLRanker(table, n_benchmarks=48)
    with pytest.raises(PredictorError, match="accuracies of its benchmarks on task 'elsewhere'"):
        TrAutoMLRanker(table).fit(table).rank({"name": "elsewhere"}, table.configs)
