"""Rankings that never saw a task's family, and sweeps that can be stopped at any time."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from made_up_table import make_ranker

from hyperstar_tune.comparison import Budgets, LooScores, leave_family_out, make_method, protocol_budgets, sweep
from hyperstar_tune.comparison.sweeping import RESULT_COLUMNS
from hyperstar_tune.errors import MetaDatasetError, SearchError

BUDGETS = [Budgets(3, (1, 2, 4))]


@pytest.fixture(scope="module")
def loo(table):
    frames = [leave_family_out(partial(make_ranker, name), table) for name in ("average_top1", "random")]
    return LooScores(pd.concat(frames), table.configs)


class Spy:
    """A ranker that remembers what it was fitted to."""

    name = "spy"

    def __init__(self, seen):
        self.seen = seen

    def fit(self, table):
        self.tasks = set(table.tasks["name"])
        self.inner = make_ranker("random").fit(table)
        return self

    def rank(self, task, configs):
        self.seen[task["name"]] = self.tasks
        return self.inner.rank(task, configs)


def test_a_task_is_ranked_by_who_never_saw_its_family(table):
    seen = {}
    frame = leave_family_out(lambda seed: Spy(seen), table)
    assert seen == {
        "task0": {"task2", "task3"},
        "task1": {"task2", "task3"},
        "task2": {"task0", "task1", "task3"},
        "task3": {"task0", "task1", "task2"},
    }
    assert len(frame) == 4 * len(table.configs)


def test_scores_survive_the_file_and_rank_as_the_ranker_did(table, tmp_path):
    frame = leave_family_out(partial(make_ranker, "average_top1"), table)
    frame.to_parquet(tmp_path / "loo.parquet")
    ranking = LooScores.load(tmp_path / "loo.parquet", table.configs).ranking("average_top1", "task2", seed=5)
    expected = make_ranker("average_top1").fit(table.without("family2")).rank(table.tasks.iloc[2], table.configs)
    assert ranking.configs == expected.configs
    assert ranking.source == "average_top1"


def test_an_unknown_ranker_and_a_damaged_file_are_refused(table, loo, tmp_path):
    with pytest.raises(MetaDatasetError, match="no leave-family-out scores of ranker 'magic'"):
        loo.ranking("magic", "task0", 0)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(MetaDatasetError, match="must hold leave-family-out scores"):
        LooScores.load(tmp_path / "bad.parquet", table.configs)


def test_a_sweep_has_a_row_a_run_and_budget(table, loo):
    result = sweep(["hyperband", "average_top1+alone"], table, loo, budgets=BUDGETS, seeds=3)
    assert tuple(result.columns) == RESULT_COLUMNS
    counts = result.groupby("method")["seed"].nunique()
    assert counts.to_dict() == {"hyperband": 3, "average_top1+alone": 1}  # its ranking has one seed
    assert len(result) == 4 * (3 + 1) * 3
    assert sorted(result["budget"].unique()) == [9, 18, 36]
    best = result.sort_values("budget").groupby(["method", "task", "seed"])["accuracy"]
    assert (best.diff().dropna() >= 0).all()


def test_a_sweep_goes_on_where_it_was_stopped_and_gives_the_same(table, loo, tmp_path):
    methods = ["hyperband", "asha", "average_top1+hyperband"]
    whole = sweep(methods, table, loo, budgets=BUDGETS, seeds=2)

    class StoppedError(Exception):
        pass

    def stop_after(progress):
        if progress.done >= 5:
            raise StoppedError

    out = tmp_path / "sweep.parquet"
    with pytest.raises(StoppedError):
        sweep(methods, table, loo, budgets=BUDGETS, seeds=2, out=out, progress=stop_after)
    n_before = len(pd.read_parquet(out))
    steps = []
    resumed = sweep(methods, table, loo, budgets=BUDGETS, seeds=2, out=out, progress=steps.append)
    assert 0 < n_before < len(resumed) == len(whole)
    assert steps[-1].done == steps[-1].total == (len(whole) - n_before) // 3
    order = ["method", "task", "seed", "budget"]
    measured = ["accuracy", "accuracy_b", "seconds", "trials"]
    left, right = (frame.sort_values(order).reset_index(drop=True) for frame in (whole, resumed))
    pd.testing.assert_frame_equal(left[order + measured], right[order + measured])


def test_runs_on_other_curves_or_other_budgets_are_made_again(table, loo, tmp_path):
    out = tmp_path / "sweep.parquet"
    old = sweep(["hyperband", "average_top1+alone"], table, loo, budgets=BUDGETS, seeds=2, out=out)
    evaluations = table.evaluations.copy()
    evaluations[2, :, :, :, 0] *= 0.5
    other = type(table)(table.space, table.configs, table.epochs, evaluations, table.tasks, table.fingerprint)
    steps = []
    new = sweep(["hyperband"], other, loo, budgets=BUDGETS, seeds=2, out=out, progress=steps.append)
    assert {step.task for step in steps} == {"task2"}
    assert len(new) == len(old)
    means = [frame[frame["method"] == "hyperband"].groupby("task")["accuracy"].mean() for frame in (old, new)]
    assert means[1]["task2"] < 0.6 * means[0]["task2"]
    assert means[1]["task0"] == means[0]["task0"]
    steps.clear()
    sweep(["hyperband"], other, loo, budgets=[Budgets(3, (1, 3))], seeds=2, out=out, progress=steps.append)
    assert {step.task for step in steps} == {"task0", "task1", "task2", "task3"}


def test_methods_that_cannot_run_are_refused_before_anything_runs(table, loo):
    with pytest.raises(SearchError, match="'magic'"):
        sweep(["magic"], table, loo)
    with pytest.raises(SearchError, match=r"scores of 'bm_both'"):
        sweep(["bm_both+hyperband"], table, loo)
    with pytest.raises(SearchError, match="none at all"):
        sweep(["average_top1+alone"], table)
    assert make_method("average_top1+alone").ranker == "average_top1"


def test_budgets_are_the_papers_scaled_to_the_table(table):
    low, large = protocol_budgets(table)
    assert (low.eta, low.epochs(100)) == (2, [100, 200, 250, 450])
    assert (large.eta, large.epochs(9)) == (3, [144])
    assert np.isclose(large.max_epochs, 9)
