"""Files of scores and sweeps: they go on where they were stopped and mix nothing that must be kept apart."""

import json
import sys
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace

import loo_scores
import numpy as np
import pandas as pd
import pytest
import sweep
from _common import result_path, scores_path, stale_rankers
from loo_scores import Scores, run
from made_up_table import make_table
from sweep import known_for, sweep_path
from train_shipped import image_note, limit_note

from hyperstar_tune.comparison import LooScores
from hyperstar_tune.rivals.registry import Supplies, ranker_kind
from hyperstar_tune.tasks.task import ImageTask


@pytest.fixture
def path(tmp_path):
    return tmp_path / "loo" / "table.parquet"


def made(path):
    """Folds that were run so far, by ranker."""
    return {name.split(":")[0]: about["folds"] for name, about in Scores(path).about.items()}


def test_what_is_there_is_not_made_again_and_more_seeds_are_added(path):
    supplies = Supplies(make_table(4))
    run(ranker_kind("random"), supplies, ["twins", "family2"], 2, Scores(path))
    assert made(path) == {"random": 4}
    run(ranker_kind("random"), supplies, ["twins", "family2", "family3"], 2, Scores(path))
    run(ranker_kind("average_top1"), supplies, ["twins", "family2", "family3"], 1, Scores(path))
    assert made(path) == {"random": 6, "average_top1": 3}
    run(ranker_kind("random"), supplies, ["twins", "family2", "family3"], 3, Scores(path))
    assert made(path) == {"random": 9, "average_top1": 3}
    loo = LooScores.load(path, supplies.table.configs)
    assert set(loo.rankers) == {"random", "average_top1"}
    assert loo.n_seeds("random", "task0") == 3


def test_several_that_fill_one_file_keep_what_the_others_made(path):
    supplies = Supplies(make_table(4))
    names = ("random", "average_top1", "average_normalized", "nearest_task")
    files = {name: Scores(path) for name in names}  # opened before anything is there
    with ThreadPool(len(names)) as pool:
        pool.map(lambda name: run(ranker_kind(name), supplies, ["twins", "family2", "family3"], 2, files[name]), names)
    assert made(path) == dict.fromkeys(names, 6)
    assert len(pd.read_parquet(path)) == len(names) * 2 * 4 * 48


def test_scores_of_another_table_are_dropped(path):
    table = make_table(4)
    run(ranker_kind("random"), Supplies(table), list(table.families), 1, Scores(path))
    run(ranker_kind("average_top1"), Supplies(table), list(table.families), 1, Scores(path))
    evaluations = table.evaluations.copy()
    evaluations[1, :, :, :, 0] *= 0.5
    other = replace(table, evaluations=evaluations)
    run(ranker_kind("average_top1"), Supplies(other), list(table.families), 1, Scores(path))
    frame = pd.read_parquet(path)
    assert made(path) == {"random": 3, "average_top1": 3}
    assert not frame.duplicated(["ranker", "seed", "task", "config"]).any()
    assert len(frame) == 2 * 4 * 48


def test_scores_of_a_table_that_grew_are_named(path):
    table = make_table(4)
    part = table.subset(range(3))
    for name, of in (("average_top1", part), ("plus_average", table)):
        run(ranker_kind(name), Supplies(of), list(of.families), 1, Scores(path))
    assert set(stale_rankers(path, table, "development families")) == {"average_top1"}
    assert set(stale_rankers(path, part, "development families")) == {"plus_average"}
    rest = LooScores.load(path, table.configs).without(stale_rankers(path, table, "development families"))
    assert rest.rankers == ("plus_average",)


def test_test_families_are_kept_beside_the_others(path):
    table = make_table(4)
    table = replace(table, tasks=table.tasks.assign(family=["twins", "twins", "trashnet", "family3"]))
    development = table.without("trashnet")
    run(ranker_kind("random"), Supplies(development), ["twins", "family3"], 1, Scores(path))
    run(ranker_kind("random"), Supplies(table), ["trashnet"], 1, Scores(path))
    assert set(Scores(path).about) == {"random: development families", "random: test families"}
    assert set(pd.read_parquet(path)["family"]) == {"twins", "family3", "trashnet"}


def test_no_development_task_is_replayed_with_a_table_that_holds_test_families():
    table = make_table(4)
    table = replace(table, tasks=table.tasks.assign(family=["twins", "twins", "trashnet", "family3"]))
    assert known_for(table, "task3").families == ("twins", "family3")
    assert known_for(table, "task2").families == table.families


def test_each_block_of_families_is_swept_into_a_file_of_its_own(tmp_path, monkeypatch):
    table = make_table(4)
    table = replace(table, tasks=table.tasks.assign(family=["twins", "twins", "trashnet", "family3"]))
    table.save(tmp_path / "table")
    monkeypatch.setattr(sys.modules["_common"], "RESULTS", tmp_path)
    monkeypatch.setattr(sweep, "ROOT", tmp_path / "benchmarks")
    monkeypatch.setattr(sweep, "scores_path", lambda name: tmp_path / "scores.parquet")
    monkeypatch.setattr(
        sweep, "multiprocessing", SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=ThreadPool))
    )
    for known, families in ((table.without("trashnet"), ["twins", "family3"]), (table, ["trashnet"])):
        run(ranker_kind("average_top1"), Supplies(known), families, 1, Scores(tmp_path / "scores.parquet"))
    call = ["sweep.py", "--table", str(tmp_path / "table"), "--methods", "hyperband,average_top1+alone", "--seeds", "2"]
    for more in ([], ["--test-families"]):
        monkeypatch.setattr(sys, "argv", [*call, *more])
        sweep.main()
    for block, families in (("development families", {"twins", "family3"}), ("test families", {"trashnet"})):
        summary = json.loads(sweep_path("table", block).read_text())
        assert (summary["block"], set(summary["families"].values())) == (block, families)
    assert len(list(tmp_path.glob("figure_5b_average*.png"))) == 2


def test_a_second_table_overwrites_nothing_of_the_first():
    names = [result_path("sweep", table).name for table in ("shufflenet-v2-x1-v0", "other")]
    assert names == ["sweep.json", "sweep_other.json"]
    names = [scores_path(table).name for table in ("shufflenet-v2-x1-v0", "other")]
    assert names == ["loo_scores.parquet", "loo_scores_other.parquet"]


def test_the_costly_ranker_runs_after_all_others_and_cheap_ones_have_ten_seeds(tmp_path, monkeypatch):
    make_table(4).save(tmp_path / "table")
    order, seeds = [], {}

    def note(kind, supplies, families, n_seeds, scores):
        order.append(kind.name)
        seeds[kind.name] = n_seeds

    monkeypatch.setattr(loo_scores, "run", note)
    monkeypatch.setattr(loo_scores, "run_side_by_side", lambda kinds, *rest: order.extend(kind.name for kind in kinds))
    monkeypatch.setattr(loo_scores, "image_store", lambda table, arguments: object())
    monkeypatch.setattr(loo_scores, "scores_path", lambda table: tmp_path / "scores.parquet")
    monkeypatch.setattr(sys, "argv", ["loo_scores.py", "--table", str(tmp_path / "table")])
    loo_scores.main()
    assert order[-1] == "end_to_end"
    assert set(order) >= {"bm_both", "average_top1", "deep_kernel"}
    assert (seeds["deep_kernel"], seeds["average_top1"], seeds["end_to_end"]) == (10, 1, 1)


def test_the_card_says_of_its_own_table_what_is_sure_of_images_and_seeds():
    pixels = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(8) % 2
    images = {f"task{i}": ImageTask.from_arrays(f"task{i}", pixels, labels, pixels, labels) for i in range(3)}
    table = make_table(3)
    table = replace(table, tasks=table.tasks.assign(image_hash=[task.sample_hash() for task in images.values()]))
    assert image_note(table, images).endswith("those that its curves were trained on")
    other = replace(table, tasks=table.tasks.assign(image_hash=[*table.tasks["image_hash"][:2], ""]))
    assert "but for 1 of 3 tasks (such as task2)" in image_note(other, images)
    assert "3 tasks of 2 families" in limit_note(table, "network")
    assert "accuracies of one seed on 50 to 50 validation images" in limit_note(table, "hyperstar_plus")
    twice = replace(table, evaluations=np.repeat(table.evaluations, 2, axis=2))
    assert "accuracies of one to 2 seeds" in limit_note(twice, "hyperstar_plus")
