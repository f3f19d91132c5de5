from types import SimpleNamespace

import pytest

from hyperstar_tune.search.checks import begins_anew


@pytest.mark.parametrize(
    ("done", "result", "failures", "said"),
    [
        (3, {"training_iteration": 1}, 0, True),  # without a checkpoint Ray counts from 1 again
        (3, {"training_iteration": 4, "epoch": 1, "iterations_since_restore": 1}, 0, True),  # with one that is not read
        (3, {"training_iteration": 4, "epoch": 0, "iterations_since_restore": 1}, 0, True),
        (3, {"training_iteration": 4, "epoch": 4, "iterations_since_restore": 1}, 0, False),
        (3, {"training_iteration": 4, "iterations_since_restore": 1}, 0, False),
        (3, {"training_iteration": 4, "epoch": 1, "iterations_since_restore": 4}, 0, False),  # its epochs are others
        (0, {"training_iteration": 1, "epoch": 1, "iterations_since_restore": 1}, 0, False),
        (3, {"training_iteration": 1}, 1, False),  # it failed before its first checkpoint
    ],
)
def test_a_paused_trial_that_begins_anew_is_told_how_to_go_on(done, result, failures, said):
    trial = SimpleNamespace(trial_id="t1", num_failures=failures)
    message = begins_anew(trial, result, done)
    assert bool(message) == said
    if said:
        assert message.startswith("trial t1 had trained 3 epochs, was paused, and begins with epoch 1 again")
        assert "tune.get_checkpoint()" in message
        assert "\n" not in message
