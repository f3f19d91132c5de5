"""Joins the Ray cluster that the user has named, and starts a local Ray where none is named.

``ray.init`` and Tune do otherwise: without an address they join whatever cluster was last started on this machine. That
may be another user's, or one that has died, for which they wait.

Ray 2.60 asks for a token where a cluster was started with one. A driver that names an address sends none by itself,
although the token lies in ``~/.ray/auth_token``, and is turned away. So it is sent to the cluster that is named.
``RAY_AUTH_MODE`` in the environment decides otherwise.

Source: ray 2.60, ``_private/worker.py::init``, ``_private/authentication/authentication_token_setup.py``.
"""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from hyperstar_tune.errors import ClusterError
from hyperstar_tune.log import LOGGER

__all__ = ["join_ray", "joined_quietly"]

_LOCAL = "local"
NICENESS = "RAY_worker_niceness"  # of Ray's workers, which begin at 15 otherwise
# Of Tune: missing result files, and its advice to go on with a folder that may be gone.
_LAST_WORDS = ("ray.tune.tune", "ray.tune.analysis.experiment_analysis")
_ANSWER_SECONDS = 10.0  # within which a cluster must answer


def join_ray(
    address: str | None = None, *, num_cpus: int | None = None, nice: int | None = None, **options: Any
) -> bool:
    """Joins the cluster that ``address`` or else RAY_ADDRESS names; starts a Ray of this process if none is named.

    Args:
        address: ``HOST:PORT``; ``"auto"``: the cluster that was last started on this machine; ``"local"``: none.
        num_cpus: CPUs of a local Ray; None: the cores of the machine. A cluster that is joined has its own number.
        nice: Niceness of the workers of a local Ray, on top of this process's own; None: Ray's.
        **options: Further arguments of ``ray.init``.

    Returns:
        Whether Ray was not connected before, so that the caller is to call ``ray.shutdown``.

    Raises:
        ClusterError: If the named cluster does not answer or turns us away.
    """
    if ray.is_initialized():
        return False
    address = address or os.environ.get("RAY_ADDRESS") or _LOCAL
    options = {"log_to_driver": False, **options}
    if address == _LOCAL:
        _start(num_cpus, nice, options)
        return True
    place = address if "://" in address else _find(address)
    _send_token()
    try:
        ray.init(address=place, **options)
    except Exception as error:  # each kind of refusal has its own type
        reason = " ".join(str(error).split())
        raise ClusterError(
            f"the Ray cluster at {place} must let us join, but: {reason[:300]}; is it Ray {ray.__version__}, and is "
            "its token in ~/.ray/auth_token or RAY_AUTH_TOKEN?"
        ) from error
    has = ray.cluster_resources()
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    LOGGER.info(
        "joined the Ray cluster at %s: %d nodes, %g CPUs, %g GPUs", place, nodes, has.get("CPU", 0), has.get("GPU", 0)
    )
    return True


@contextmanager
def joined_quietly(**options: Any) -> Iterator[None]:
    """Joins or starts Ray for a block that has a progress of its own, and leaves it unless it was there before.

    Tune does not say the last words that name its way to go on with a run, and files that are not written.

    Args:
        **options: Those of ``join_ray``.
    """
    levels = {name: logging.getLogger(name).level for name in _LAST_WORDS}
    for name in _LAST_WORDS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ours = False
    try:
        ours = join_ray(**options)
        yield
    finally:
        if ours:
            ray.shutdown()
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _start(num_cpus: int | None, nice: int | None, options: dict[str, Any]) -> None:
    saved = os.environ.get(NICENESS)
    if nice is not None:
        os.environ[NICENESS] = str(nice)
    try:
        ray.init(address=_LOCAL, num_cpus=num_cpus, include_dashboard=False, **options)
    except OSError as error:
        raise ClusterError(
            f"a Ray of this machine alone must be able to write its files, such as ~/.ray/auth_token, but: {error}; "
            "set RAY_AUTH_TOKEN or RAY_AUTH_MODE=disabled if it is the token, or RAY_TMPDIR"
        ) from error
    finally:
        if nice is not None:
            del os.environ[NICENESS]
            if saved is not None:
                os.environ[NICENESS] = saved


def _find(address: str) -> str:
    """The address as ``HOST:PORT``, after something has answered there: Ray itself would wait for long."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        place: str = canonicalize_bootstrap_address_or_die(address)
        host, _, port = place.rpartition(":")
        number = int(port)
    except Exception as error:  # Ray raises its own, or whatever a malformed address leads to
        raise ClusterError(
            f"a Ray cluster is named as HOST:PORT, 'auto' or 'local', but {address!r} names none: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    deadline = time.monotonic() + _ANSWER_SECONDS
    while True:
        try:
            socket.create_connection((host.strip("[]"), number), timeout=_ANSWER_SECONDS).close()
            return place
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"a Ray cluster must answer at {place}, which {address!r} names, but: {error}; start it, or unset "
                    "RAY_ADDRESS for a Ray of this machine alone"
                ) from error
        time.sleep(0.5)


def _send_token() -> None:
    """Sends the user's token, if there is one and RAY_AUTH_MODE does not say otherwise."""
    try:
        from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
    except ImportError:  # another Ray, which has no tokens or other ways
        return
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
