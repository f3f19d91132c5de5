"""Ray for a run that shows its own progress: the cluster that RAY_ADDRESS names, else one of this process."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from hyperstar_tune.cluster import check_request, joined_quietly

__all__ = ["quiet_ray", "trial_resources"]


@contextmanager
def quiet_ray() -> Iterator[None]:
    """Joins or starts Ray, and leaves it when the block ends, unless this process had it before."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # Tune's own table would draw over the progress
    with joined_quietly(logging_level=logging.ERROR):
        yield


def trial_resources(cpus: float, gpus: float | None) -> dict[str, float]:
    """What each trial reserves; without a number of GPUs one, if the cluster has any.

    Raises:
        ClusterError: If no node can ever give that.
    """
    if gpus is None:
        gpus = 1.0 if ray.cluster_resources().get("GPU", 0) >= 1 else 0.0
    check_request([{"CPU": cpus, "GPU": gpus}])
    return {"cpu": cpus, "gpu": gpus}
