"""Holds what trials ask for against what the cluster has.

Ray waits for ever, in silence, for resources that no node has. That is right only on a cluster that adds nodes by
itself. So a request that cannot be met is refused before the first trial, and a run in which nothing can start says so
every 30 seconds.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray

from hyperstar_tune.errors import ClusterError
from hyperstar_tune.log import LOGGER

__all__ = ["Waiting", "check_request"]

_SAY_SECONDS = 30.0
_LEAST = 1e-4  # the finest share of a resource that Ray knows
_STATUS_KEY = "__autoscaling_status"  # where the monitor of a cluster keeps its report
_FIXED_NODE = "node_"  # how that report names the types of nodes that were started by hand

Bundle = Mapping[str, float]


def check_request(bundles: Sequence[Bundle], strategy: str = "PACK") -> None:
    """Checks that the cluster can ever start a trial; one that adds nodes by itself gets the benefit of the doubt.

    Args:
        bundles: What a trial asks for, each bundle on one node, as in Tune's ``PlacementGroupFactory``.
        strategy: As there.

    Raises:
        ClusterError: If an amount makes no sense, or no trial could ever start.
    """
    for name, amount in (item for bundle in bundles for item in bundle.items()):
        whole = name != "GPU" or amount <= 1 or float(amount).is_integer()
        if not (math.isfinite(amount) and (amount == 0 or amount >= _LEAST) and whole):
            rule = "positive, and whole above 1" if name == "GPU" else "positive"
            raise ClusterError(f"the share of {name} that a trial asks for must be {rule}, but is {amount:g}")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not can_meet(bundles, strategy, nodes) and not is_autoscaling():
        raise ClusterError(
            f"every trial asks for {_text(bundles)}, but the cluster has {_nodes_text(nodes, bundles)}; ask for less "
            "or add nodes"
        )


def can_meet(bundles: Sequence[Bundle], strategy: str, nodes: Sequence[Bundle]) -> bool:
    """Whether nodes with these resources may be able to host a trial; False only if they certainly are not."""
    total = _sum(bundles)
    parts = [total] if strategy == "STRICT_PACK" else bundles
    if strategy == "STRICT_SPREAD" and len(bundles) > len(nodes):
        return False
    return _fits(total, _sum(nodes)) and all(any(_fits(part, node) for node in nodes) for part in parts)


def is_autoscaling() -> bool:
    """Whether the cluster adds nodes by itself: begun by ``ray up``, or by KubeRay with its autoscaler."""
    if Path("~/ray_bootstrap_config.yaml").expanduser().exists():  # on the head of a cluster of `ray up`
        return True
    from ray.experimental.internal_kv import _internal_kv_get

    try:
        if _internal_kv_get("__autoscaler_v2_enabled", namespace="__autoscaler") == b"1":
            return True
        report = json.loads(_internal_kv_get(_STATUS_KEY) or "{}").get("autoscaler_report") or {}
        named = report.get("node_type_mapping") or {}
        types = {*report.get("active_nodes", {}), *report.get("pending_launches", {}), *named.values()}
    except Exception as error:  # the report is Ray's own business and may change
        LOGGER.debug("no report of an autoscaler: %s", error)
        return False
    return any(not str(kind).startswith(_FIXED_NODE) for kind in types)


class Waiting:
    """Says every 30 seconds that no trial could start, for as long as none runs and one is to.

    Args:
        write: Called with the line; by default it is logged.
    """

    def __init__(self, write: Callable[[str], None] = LOGGER.info) -> None:
        self._write = write
        self._since: float | None = None
        self._said = self._looked = -math.inf

    def look(self, trials: Iterable[Any]) -> None:
        """Looks at trials of Tune; to be called often, as it does so once a second only."""
        now = time.monotonic()
        if now - self._looked < 1:
            return
        self._looked = now
        pending = None
        for trial in trials:
            if trial.status == "RUNNING":
                self._since = None
                return
            if trial.status == "PENDING":
                pending = pending or trial
        if pending is None:
            self._since = None
            return
        if self._since is None:
            self._since = self._said = now
        elif now - self._said >= _SAY_SECONDS:
            self._said = now
            self._write(self._line(pending.placement_group_factory.bundles, now - self._since))

    def _line(self, bundles: Sequence[Bundle], seconds: float) -> str:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        free = ray.available_resources()
        names = sorted(_sum(bundles))
        left = ", ".join(f"{free.get(name, 0):g} {name}" for name in names)
        return (
            f"no trial could start for {seconds:.0f} s: each asks for {_text(bundles)}; the cluster has "
            f"{_nodes_text(nodes, bundles)}, of which {left} are free"
        )


def _fits(wanted: Bundle, there: Bundle) -> bool:
    return all(amount <= there.get(name, 0) + _LEAST / 2 for name, amount in wanted.items())


def _sum(bundles: Iterable[Bundle]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for bundle in bundles:
        total.update(bundle)
    return {name: amount for name, amount in total.items() if amount}


def _text(bundles: Sequence[Bundle]) -> str:
    parts = Counter(" and ".join(f"{amount:g} {name}" for name, amount in _sum([bundle]).items()) for bundle in bundles)
    return ", ".join(f"{count} times {part}" if count > 1 else part for part, count in parts.items() if part)


def _nodes_text(nodes: Sequence[Bundle], bundles: Sequence[Bundle]) -> str:
    names = sorted(_sum(bundles))
    kinds = Counter(", ".join(f"{node.get(name, 0):g} {name}" for name in names) for node in nodes)
    return "; ".join(f"{count} node{'s' * (count > 1)} of {kind}" for kind, count in kinds.items()) or "no node"
