import io
import pickle

import pytest
from rich.console import Console
from test_history import report

from hyperstar_tune.reach import as_duration
from hyperstar_tune.tuning.progress import RunProgress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = [1000.0]
    monkeypatch.setattr("hyperstar_tune.tuning.history.time.monotonic", lambda: now[0])
    return now


def made(budget=10, seconds=None, **options):
    return RunProgress(budget, seconds, "val_accuracy", Console(width=160, **options), line_every_s=60)


def test_a_log_has_a_line_now_and_then_with_the_time_left(clock):
    file = io.StringIO()
    progress = made(file=file)
    progress.setup()
    for epoch in range(1, 6):
        clock[0] += 40
        report(progress, "a", epoch, epoch / 10)
    lines = file.getvalue().splitlines()
    assert lines == [
        "starting the first trials",
        "1 of 10 epochs, best accuracy 0.100, 1 configuration, 40 s spent",
        "3 of 10 epochs, best accuracy 0.300, 1 configuration, 2 min spent, about 5 min left",
        "5 of 10 epochs, best accuracy 0.500, 1 configuration, 3 min spent, about 3 min left",
    ]


def test_time_left_is_by_the_clock_or_the_epochs_whichever_ends_first(clock):
    progress = made(budget=None, seconds=100)
    assert progress.seconds_left() == 100
    clock[0] += 30
    assert progress.seconds_left() == 70
    both = made(budget=10, seconds=100)
    clock[0] += 40  # the first epoch also waits for Ray and reads the images
    report(both, "a", 1, 0.5)
    assert both.seconds_left() == 60
    clock[0] += 4
    report(both, "a", 2, 0.5)
    assert both.seconds_left() == 32
    assert made(budget=10).seconds_left() is None


def test_a_run_that_goes_on_reckons_with_its_own_pace(clock):
    first = made()
    clock[0] += 500
    report(first, "a", 1, 0.5)
    second = made()
    second.set_state(first.get_state())
    assert second.seconds_left() is None
    for epoch in (2, 3):
        clock[0] += 10
        report(second, "a", epoch, 0.5)
    assert second.seconds_left() == pytest.approx(70)
    assert second.at_s == pytest.approx(520)


def test_a_terminal_has_a_bar(clock):
    file = io.StringIO()
    progress = made(file=file, force_terminal=True)
    progress.setup()
    report(progress, "a", 1, 0.75)
    pickle.loads(pickle.dumps(progress))  # Tune pickles callbacks while they are in use
    progress.on_experiment_end(trials=[])
    assert "1/10" in file.getvalue()
    assert "best accuracy 0.750" in file.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (9000, "2.5 h")])
def test_durations_are_said_as_a_person_does(seconds, text):
    assert as_duration(seconds) == text
