"""Two nodes: trials spread over them, and a node that dies takes nothing with it but the epochs of its trial."""

import pytest
from clusters import run_on_two_nodes

pytestmark = pytest.mark.integration


def test_a_run_on_two_nodes_uses_both_and_survives_the_death_of_one(tmp_path):
    wrong, counted = run_on_two_nodes(tmp_path, kill_after=14)
    assert not wrong, (wrong, counted)
    assert len(counted["shares"]) == 2, counted
    assert min(counted["shares"]) >= 0.25, counted  # of the epochs until the node died
