from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.metrics import average_precision, normalize_scores, ranking_of
from hyperstar_tune.predictor import meta_train
from hyperstar_tune.predictor.training import TrainingSettings


def test_it_learns_which_images_want_which_configuration(world, quick):
    held_out = ["striped8", "smooth9"]
    known = world.table.without(held_out)
    reports = []
    predictor = meta_train(known, world.tasks, replace(quick, epochs=15), progress=reports.append)
    assert reports[-1].performance < reports[0].performance / 2
    assert [report.epoch for report in reports] == list(range(1, 16))
    average = normalize_scores(known.scores()).mean(axis=0)
    for name in held_out:
        truth = world.table.only(name).scores()[0]
        ranking = predictor.rank(world.tasks[name], n_batches=3, batch_size=16)
        places = [world.table.configs.index(config) for config in ranking.configs]
        # Two configurations, with and without augmentation, are equally best but for noise.
        assert ranking.configs[0]["layers"] == world.table.configs[int(truth.argmax())]["layers"]
        assert ranking.configs[0]["lr"] == world.table.configs[int(truth.argmax())]["lr"]
        assert average_precision(truth, places, 4) > average_precision(truth, ranking_of(average), 4)
        assert average_precision(truth, places, 4) > 0.7
        assert not ranking.seen


def stop_after(passes):
    def progress(report):
        if report.epoch == passes:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("trained", ["none", "last_stage"])
def test_a_killed_run_resumes_to_the_same_predictor(small_world, quick, tmp_path, trained):
    settings = replace(quick, train_backbone=trained, epochs=3)
    whole = meta_train(small_world.table, small_world.tasks, settings)
    with pytest.raises(KeyboardInterrupt):
        meta_train(small_world.table, small_world.tasks, settings, out=tmp_path / "p", progress=stop_after(2))
    assert not (tmp_path / "p").exists()
    passes = []
    resumed = meta_train(small_world.table, small_world.tasks, settings, out=tmp_path / "p", progress=passes.append)
    assert [report.epoch for report in passes] == [3]
    batches = small_world.tasks["striped0"].batches(2, 8, 32)
    assert np.array_equal(resumed.scores(batches), whole.scores(batches))
    assert resumed.card["training"] == whole.card["training"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p"]


@pytest.fixture
def stopped(small_world, quick, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        meta_train(small_world.table, small_world.tasks, quick, checkpoint=checkpoint, progress=stop_after(1))
    return checkpoint


def test_a_torn_checkpoint_is_an_error_in_one_line(small_world, quick, stopped):
    stopped.write_bytes(stopped.read_bytes()[:-100])
    with pytest.raises(PredictorError, match=r"is damaged.*remove it") as error:
        meta_train(small_world.table, small_world.tasks, quick, checkpoint=stopped)
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_run_is_refused(small_world, quick, stopped):
    with pytest.raises(PredictorError, match="another table, tasks or settings"):
        meta_train(small_world.table, small_world.tasks, replace(quick, alpha=2.0), checkpoint=stopped)
    with pytest.raises(PredictorError, match="another table, tasks or settings"):
        meta_train(small_world.table.subset([0, 1, 2]), small_world.tasks, quick, checkpoint=stopped)


def test_a_checkpoint_holds_no_code(stopped):
    assert torch.load(stopped, weights_only=True)["state"]["epoch"] == 1


def test_the_seed_decides_and_the_global_one_is_left_alone(small_world, quick):
    batches = small_world.tasks["striped0"].batches(1, 8, 32)

    def scores(seed):
        return meta_train(small_world.table, small_world.tasks, replace(quick, epochs=1, seed=seed)).scores(batches)

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = scores(0)
    assert torch.equal(torch.rand(1), expected)
    assert np.array_equal(scores(0), first)
    assert not np.array_equal(scores(1), first)


def test_cells_that_were_not_trained_do_not_matter(worlds, quick):
    world = worlds(n_each=2, seed=3, missing=0.5)
    assert np.isnan(world.table.scores()).any()
    predictor = meta_train(world.table, world.tasks, replace(quick, epochs=2))
    assert all(np.isfinite(entry["performance"]) for entry in predictor.card["training"])
    assert np.isfinite(predictor.scores(world.tasks["smooth1"].batches(1, 8, 32))).all()


def test_the_card_says_what_it_was_made_of(predictor, small_world):
    assert predictor.name == "little"
    assert [entry["name"] for entry in predictor.card["tasks"]] == list(small_world.tasks)
    assert predictor.card["tasks"][0]["image_hash"] == small_world.tasks["striped0"].sample_hash()
    assert predictor.card["settings"]["train_backbone"] == "last_stage"
    assert 0 <= predictor.card["training"][0]["discriminator_accuracy"] <= 1
    assert predictor.card["backbone"]["trained"] == "last_stage"


def test_bad_input_is_refused(small_world, quick):
    with pytest.raises(PredictorError, match="'smooth3' has none"):
        meta_train(small_world.table, {k: v for k, v in small_world.tasks.items() if k != "smooth3"}, quick)
    with pytest.raises(PredictorError, match="window must be at least 1, but got 0"):
        TrainingSettings(window=0)
    with pytest.raises(PredictorError, match="diverged in pass"):
        meta_train(small_world.table, small_world.tasks, replace(quick, learning_rate=1e20))
