"""A trial meets a fault on real Tune; benchmarks/soak.py does the same many times over."""

import pytest
from faults import run_that_must_stop, run_with_fault

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_local")]


@pytest.fixture
def places(tmp_path):
    storage, log = tmp_path / "storage", tmp_path / "log"
    storage.mkdir()
    log.mkdir()
    return storage, log


@pytest.mark.parametrize("fault", ["killed", "killed once", "out of memory", "hang", "disk full"])
def test_a_trial_that_meets_a_fault_fails_alone_or_keeps_its_slot(places, fault):
    wrong, _ = run_with_fault(*places, fault, seed=0)
    assert not wrong, wrong


def test_a_run_whose_results_begin_to_lack_the_metric_ends(places):
    wrong, _ = run_that_must_stop(*places, "metric missing")
    assert not wrong, wrong
