"""One local Ray for all tests of a session, and a trainable that costs nothing."""

import os
import time

import pytest
import ray

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
N_CPUS = 2


def start():
    if ray.is_initialized():  # by a test that did not shut it down
        ray.shutdown()
    ray.init(address="local", num_cpus=N_CPUS, include_dashboard=False, log_to_driver=False)


@pytest.fixture(scope="session")
def _ray_of_session():
    import noop

    ray.cloudpickle.register_pickle_by_value(noop)  # workers cannot import from the folder of tests
    start()
    yield
    ray.shutdown()


@pytest.fixture
def ray_local(_ray_of_session):
    """A Ray of two free CPUs; what a failed run reserved is given back, or Ray is started anew."""
    from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

    deadline = time.monotonic() + 5
    while ray.available_resources().get("CPU", 0) < N_CPUS:
        if time.monotonic() > deadline:
            start()
            break
        time.sleep(0.1)
    yield
    for group_id, group in placement_group_table().items():
        if group["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(group_id)))
