"""The Ray cluster that a run uses: joining one, and holding what trials ask for against what it has."""

from hyperstar_tune.cluster.joining import join_ray, joined_quietly
from hyperstar_tune.cluster.requests import Waiting, check_request

__all__ = ["Waiting", "check_request", "join_ray", "joined_quietly"]
