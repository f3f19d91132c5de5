import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from digit_images import digit_pixels

from hyperstar_tune.choosing import unpack_correct
from hyperstar_tune.errors import ModelError, TaskError
from hyperstar_tune.finetune import OWN_MODEL, FineTune, FineTuneSettings
from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.loop import _batches
from hyperstar_tune.tables.objectives import OBJECTIVES
from hyperstar_tune.tasks.task import ImageTask

SETTINGS = FineTuneSettings(model=OWN_MODEL, weights="own", image_size=32)
LAYERS = ("head", "last_stage", "all")


@pytest.fixture(scope="module")
def task():
    pixels, labels = digit_pixels(n_classes=3, per_class=40)
    return ImageTask.from_arrays("digits", pixels, labels)


@pytest.fixture(scope="module")
def cache():
    return TensorCache()


def config(layers="last_stage", optimizer="sgd", augmentation="none", lr=1e-2):
    return {"lr": lr, "optimizer": optimizer, "layers": layers, "augmentation": augmentation}


def curve(run, epochs):
    """Metrics without the seconds, comparable."""
    rows = [run.train_epoch() for _ in range(epochs)]
    return [{k: v for k, v in row.items() if k != "epoch_seconds"} for row in rows]


@pytest.mark.parametrize("layers", LAYERS)
def test_fine_tuning_learns_digits(task, cache, layers):
    run = FineTune(
        task, config(layers, augmentation="basic" if layers == "last_stage" else "none"), SETTINGS, cache=cache
    )
    rows = [run.train_epoch() for _ in range(8)]
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert set(rows[0]) == {"epoch", *OBJECTIVES}
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["val_accuracy"] > 0.6
    assert rows[-1]["val_accuracy_b"] > 0.6


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_a_run_continued_from_a_checkpoint_gives_the_same_curve(task, cache, layers, optimizer):
    settings = config(layers, optimizer, "strong" if optimizer == "adamw" else "basic", lr=1e-3)
    undisturbed = curve(FineTune(task, settings, SETTINGS, cache=cache), 4)
    first = FineTune(task, settings, SETTINGS, cache=cache)
    before = curve(first, 2)
    state = first.state_dict()
    first.train_epoch()  # must not touch the state taken before
    second = FineTune(task, settings, SETTINGS, cache=TensorCache())
    second.load_state_dict(state)
    assert before + curve(second, 2) == undisturbed


def test_what_the_cache_holds_does_not_change_a_curve(task):
    settings = config(augmentation="strong")
    shared = TensorCache()
    cold, warm = (curve(FineTune(task, settings, SETTINGS, cache=shared), 5) for _ in range(2))
    assert cold == warm


def test_seeds_matter(task, cache):
    one, two = (curve(FineTune(task, config(), SETTINGS, seed=seed, cache=cache), 1) for seed in (0, 1))
    assert one != two


@pytest.mark.parametrize("layers", ["head", "last_stage"])
def test_frozen_layers_stay_as_they_were(task, cache, layers):
    run = FineTune(task, config(layers), SETTINGS, cache=cache)
    before = {k: v.clone() for k, v in run._network.model.state_dict().items()}
    run.train_epoch()
    changed = {k for k, v in run._network.model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(k.startswith(("stage4", "conv5", "fc") if layers == "last_stage" else "fc") for k in changed)
    assert set(run.state_dict()["trained"]) >= changed


@pytest.mark.parametrize("layers", LAYERS)
def test_streaming_gives_the_curve_of_resident_data(task, cache, layers):
    resident = curve(FineTune(task, config(layers), SETTINGS, cache=cache), 2)
    streamed_run = FineTune(task, config(layers), replace(SETTINGS, memory_limit=1), cache=TensorCache())
    for a, b in zip(resident, curve(streamed_run, 2), strict=True):
        assert a == pytest.approx(b, abs=1e-4)


def test_views_of_a_frozen_prefix_are_cycled(task):
    shared = TensorCache()
    run = FineTune(task, config("head", augmentation="strong"), SETTINGS, cache=shared)
    views = [next(iter(run._inputs.training([torch.arange(4)], epoch)))[1] for epoch in range(1, 6)]
    assert not torch.equal(views[0], views[1])
    assert torch.equal(views[0], views[4])


def test_all_layers_augment_afresh_each_epoch(task, cache):
    run = FineTune(task, config("all", augmentation="basic"), SETTINGS, cache=cache)
    assert run._inputs.augments_afresh


def test_a_diverged_run_reports_nan_and_costs_nothing_more(task, cache):
    run = FineTune(task, config("all", "sgd", lr=1e9), SETTINGS, cache=cache)
    rows = [run.train_epoch() for _ in range(4)]
    assert run.diverged
    assert all(math.isnan(rows[-1][name]) for name in OBJECTIVES[:5])
    assert rows[-1]["epoch"] == 4
    assert rows[-1]["epoch_seconds"] < 0.05
    again = FineTune(task, run.config, SETTINGS, cache=cache)
    again.load_state_dict(run.state_dict())
    assert again.diverged


def test_between_evaluations_the_last_values_hold(task, cache):
    every = curve(FineTune(task, config(), SETTINGS, cache=cache), 4)
    some = curve(FineTune(task, config(), replace(SETTINGS, evaluate_at=(1, 4)), cache=cache), 4)
    assert some[3] == every[3]
    assert [row["val_loss"] for row in some[:3]] == [every[0]["val_loss"]] * 3
    assert [row["train_loss"] for row in some] == [row["train_loss"] for row in every]


def test_validation_is_reported_in_halves(task, cache):
    run = FineTune(task, config(), SETTINGS, cache=cache)
    metrics = run.train_epoch()
    right = run.predict("val").argmax(1).numpy() == task.val_labels
    a, b = task.val_halves()
    assert metrics["val_accuracy"] == pytest.approx(right[a].mean())
    assert metrics["val_accuracy_b"] == pytest.approx(right[b].mean())


def test_the_whole_validation_set_can_decide_and_says_which_images_were_right(task, cache):
    settings = replace(SETTINGS, evaluate_at=(1, 3))
    run = FineTune(task, config(), settings, validation="whole", cache=cache)
    rows = [run.train_epoch()]
    right = run.predict("val").argmax(1).numpy() == task.val_labels
    rows.append(run.train_epoch())
    for metrics in rows:  # the second epoch is not evaluated
        assert "val_accuracy_b" not in metrics
        assert metrics["val_accuracy"] == pytest.approx(right.mean())
        assert unpack_correct([metrics["val_correct"]])[0].tolist() == right.tolist()
    again = FineTune(task, config(), settings, validation="whole", cache=cache)
    again.load_state_dict(run.state_dict())
    assert curve(again, 2) == curve(run, 2)


def test_a_diverged_run_says_of_no_image_that_it_was_right(task, cache):
    run = FineTune(task, config("all", "sgd", lr=1e9), SETTINGS, validation="whole", cache=cache)
    last = [run.train_epoch() for _ in range(3)][-1]
    assert math.isnan(last["val_accuracy"])
    assert last["val_correct"] == ""


def test_another_way_to_decide_is_refused(task):
    with pytest.raises(ModelError, match="whole, halves, but got 'half'"):
        FineTune(task, config(), SETTINGS, validation="half")


def test_learning_rate_warms_up_over_the_first_epoch_and_then_stays(task, cache, monkeypatch):
    run = FineTune(task, config("head", lr=0.5), replace(SETTINGS, batch_size=20), cache=cache)
    seen = []
    step = run._optimizer.step
    monkeypatch.setattr(
        run._optimizer, "step", lambda *a, **k: seen.append(run._optimizer.param_groups[0]["lr"]) or step()
    )
    run.train_epoch()
    run.train_epoch()
    n = len(seen) // 2
    assert seen == pytest.approx([0.5 * (i + 1) / n for i in range(n)] + [0.5] * n)


def test_no_batch_of_one_image():
    assert [len(b) for b in _batches(torch.arange(65), 32)] == [32, 33]
    assert [len(b) for b in _batches(torch.arange(66), 32)] == [32, 32, 2]


def test_checkpoint_of_another_configuration_is_refused(task, cache):
    state = FineTune(task, config("head"), SETTINGS, cache=cache).state_dict()
    with pytest.raises(ModelError, match="same configuration"):
        FineTune(task, config("all"), SETTINGS, cache=cache).load_state_dict(state)


def test_cache_forgets_the_least_recently_used():
    cache = TensorCache(limit_bytes=100)
    made = []

    def entry(key):
        return cache.get(key, lambda: made.append(key) or torch.zeros(10))  # 40 bytes

    for key in "abac":  # c pushes out b
        entry(key)
    entry("a")
    entry("b")
    assert made == ["a", "b", "c", "b"]
    assert cache.n_bytes <= 100
    cache.get("large", lambda: torch.zeros(1000))
    assert cache.n_bytes <= 100


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("layers", LAYERS)
def test_a_gpu_gives_its_memory_back(task, layers):
    before = torch.cuda.memory_allocated()
    run = FineTune(task, config(layers, augmentation="basic"), replace(SETTINGS, device="cuda"), cache=TensorCache())
    rows = [run.train_epoch() for _ in range(8)]
    assert rows[-1]["val_accuracy"] > 0.6
    run.close()
    del run
    assert torch.cuda.memory_allocated() == before


def test_tasks_that_differ_in_their_validation_images_alone_share_nothing():
    pixels, labels = digit_pixels(n_classes=2, per_class=40)
    train, val, other = slice(0, None, 2), slice(1, None, 4), slice(3, None, 4)
    cache, accuracies = TensorCache(), []
    for part in (val, other):
        task = ImageTask.from_arrays("mine", pixels[train], labels[train], pixels[part], labels[part])
        shared, alone = (FineTune(task, config("head"), SETTINGS, cache=c) for c in (cache, TensorCache()))
        accuracies.append((curve(shared, 3), curve(alone, 3)))
    assert all(shared == alone for shared, alone in accuracies)


def test_a_task_and_its_copies_have_a_token_of_their_own():
    def fresh():
        pixels, labels = digit_pixels(n_classes=10, per_class=40)
        return ImageTask.from_arrays("digits", pixels, labels)

    task = fresh()
    assert pickle.loads(pickle.dumps(task)).token == task.token
    assert task.token != fresh().token != task.sub_task("small").token


def test_the_first_epoch_is_always_evaluated(task, cache):
    run = FineTune(task, config("head"), replace(SETTINGS, evaluate_at=(2,)), cache=cache)
    first, second = run.train_epoch(), run.train_epoch()
    assert math.isfinite(first["val_accuracy"])
    assert math.isfinite(second["val_accuracy"])


def test_streamed_features_come_in_the_same_few_views(task):
    run = FineTune(task, config("head", augmentation="strong"), replace(SETTINGS, memory_limit=1), cache=TensorCache())
    order = [torch.arange(8)]
    views = [next(run._inputs.training(order, epoch))[1] for epoch in (1, 2, 5)]
    assert torch.equal(views[0], views[2])
    assert not torch.equal(views[0], views[1])


def test_a_saved_trial_is_not_gone_on_with_on_other_labels(task, cache):
    saved = FineTune(task, config("head"), SETTINGS, cache=cache).state_dict()
    pixels, labels = digit_pixels(n_classes=3, per_class=40)
    again = FineTune(ImageTask.from_arrays("digits", pixels, (labels + 1) % 3), config("head"), SETTINGS, cache=cache)
    with pytest.raises(TaskError, match=r"may not change under a saved trial, but since then: .* have other labels"):
        again.load_state_dict(saved)
    again.load_state_dict(saved, accept_changed_data=True)
    del saved["task"]  # of an earlier version
    FineTune(task, config("head"), SETTINGS, cache=cache).load_state_dict(saved)
    more = ImageTask.from_arrays("digits", pixels, np.arange(len(labels)) % 4)
    with pytest.raises(ModelError, match="must hold the trained layers of this network"):
        FineTune(more, config("head"), SETTINGS, cache=cache).load_state_dict(saved)
