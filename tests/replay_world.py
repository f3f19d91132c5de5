"""A small world to replay in."""

import pytest
from made_up_table import make_table

from hyperstar_tune.simulation import TaskCurves


@pytest.fixture(scope="session")
def table():
    return make_table()


@pytest.fixture(scope="session")
def curves(table):
    return TaskCurves.of(table, "task0")
