"""Two nodes: trials spread over them, and a node that dies takes nothing with it but the epochs of its trial."""

import pytest
from clusters import run_on_two_nodes

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kill_after", [None, 8])
def test_a_run_on_two_nodes_uses_both_and_survives_the_death_of_one(tmp_path, kill_after):
    wrong, counted = run_on_two_nodes(tmp_path, kill_after)
    assert not wrong, (wrong, counted)
