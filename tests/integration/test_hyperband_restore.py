"""A driver is killed at any moment, in the middle of saving its state too, and another one goes on."""

import pytest
from kills import run_with_kills

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("method", "seed"), [("mixed, eta 3", 1)])
def test_a_run_killed_twice_ends_with_all_it_had_saved_and_its_budget(tmp_path, method, seed):
    storage, log = tmp_path / "storage", tmp_path / "log"
    storage.mkdir()
    log.mkdir()
    wrong, counted = run_with_kills(storage, log, n_kills=2, seed=seed, method=method)
    assert not wrong, wrong
    assert counted["kills"] == 2
