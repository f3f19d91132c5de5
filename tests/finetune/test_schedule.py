import logging
import math
from dataclasses import replace

import pytest
from digit_images import digit_pixels

from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune import OWN_MODEL, FineTune, FineTuneSettings
from hyperstar_tune.finetune.cache import TensorCache
from hyperstar_tune.finetune.schedule import Schedule
from hyperstar_tune.tasks.task import ImageTask


def rates(schedule, epochs, n_steps=4):
    return [schedule.rate(1.0, e, step, n_steps) for e in range(1, epochs + 1) for step in range(n_steps)]


def test_constant_stays_after_one_epoch_of_warm_up():
    assert rates(Schedule("constant"), 3) == [0.25, 0.5, 0.75] + [1.0] * 9


def test_settling_is_constant_and_then_falls_linearly_to_zero():
    found = rates(Schedule("settle", 16), 16)
    assert found[:3] == [0.25, 0.5, 0.75]
    assert found[3:41] == [1.0] * 38  # the first step of the fall has the whole rate still
    assert found[40:] == pytest.approx([1 - step / 24 for step in range(24)])
    assert found[-1] > 0


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_length_of_the_fall_is_a_share_of_max_epochs(share):
    found = rates(Schedule("settle", 8, share), 8)
    assert found.index(next(r for r in found[4:] if r < 1)) == 32 * (1 - share) + 1


def test_cosine_falls_from_the_second_epoch_on():
    found = rates(Schedule("cosine", 9), 9)
    assert found[4:] == pytest.approx([0.5 + 0.5 * math.cos(math.pi * step / 32) for step in range(32)])


@pytest.mark.parametrize("name", ["cosine", "settle"])
def test_past_the_end_the_last_rate_stays(name):
    schedule = Schedule(name, 4)
    *_, last = rates(schedule, 4)
    assert last > 0
    assert rates(schedule, 6)[16:] == [last] * 8


@pytest.mark.parametrize("name", ["cosine", "settle"])
def test_a_run_of_one_epoch_is_all_warm_up(name):
    assert rates(Schedule(name, 1), 1) == [0.25, 0.5, 0.75, 1.0]


def test_names_in_fingerprints():
    texts = [str(Schedule(*arguments)) for arguments in (("constant",), ("cosine", 8), ("settle", 8))]
    assert texts[0] == "constant, one warm-up epoch"
    assert texts[1:] == ["cosine, one warm-up epoch", "settling over the last 3/8, one warm-up epoch"]


def test_the_default_settles_where_the_last_epoch_is_known():
    settings = FineTuneSettings(model=OWN_MODEL, weights="own")
    assert settings.fingerprint().schedule == "constant, one warm-up epoch"
    assert settings.fingerprint().constant_rate
    known = replace(settings, max_epochs=8)
    assert known.fingerprint().schedule.startswith("settling over the last 3/8")
    assert not known.fingerprint().constant_rate
    assert (settings.fingerprint().protocol, known.fingerprint().protocol) == (1, 2)
    assert replace(known, schedule="constant").fingerprint().schedule == settings.fingerprint().schedule
    assert "1/4" in replace(known, settle_share=0.25).fingerprint().schedule


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schedule": "settle"}, "must be 'constant' where max_epochs is None, but got 'settle'"),
        ({"schedule": "linear", "max_epochs": 8}, "constant, cosine, settle, but got 'linear'"),
        ({"settle_share": 0.0, "max_epochs": 8}, r"settle_share must be a number in \(0, 1\], but got 0.0"),
    ],
)
def test_a_schedule_that_cannot_be(wrong, message):
    with pytest.raises(ModelError, match=message):
        FineTuneSettings(model=OWN_MODEL, **wrong)


def test_epochs_before_the_fall_are_those_of_a_constant_run_and_going_on_is_said_once(caplog):
    pixels, labels = digit_pixels(n_classes=2, per_class=20)
    task, cache = ImageTask.from_arrays("digits", pixels, labels), TensorCache()
    settings = FineTuneSettings(model=OWN_MODEL, weights="own", image_size=32, max_epochs=4, settle_share=0.5)
    losses = []
    for schedule in ("constant", "settle"):
        run = FineTune(task, {"layers": "head", "schedule": schedule, "lr": 0.1}, settings, cache=cache)
        with caplog.at_level(logging.WARNING, "hyperstar_tune"):
            losses.append([run.train_epoch()["val_loss"] for _ in range(6)])
    assert losses[0][:2] == losses[1][:2]
    assert losses[0][2:] != losses[1][2:]
    assert [r.message for r in caplog.records] == ["training goes on past max_epochs=4 with the last learning rate"]
