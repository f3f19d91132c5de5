"""Which Ray is joined or started. Ray itself is replaced; tests/integration has a cluster of `ray start`."""

import os
import socket

import pytest
import ray

from hyperstar_tune.cluster import join_ray, joining
from hyperstar_tune.errors import ClusterError


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """The arguments of ``ray.init``, with the environment that its workers get."""
    seen = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **arguments: seen.append((arguments, dict(os.environ))))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 16.0, "GPU": 2.0})
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}, {"Alive": True}, {"Alive": False}])
    monkeypatch.setattr("ray._private.services.resolve_ip_for_localhost", lambda host: host)
    monkeypatch.setattr(joining, "_ANSWER_SECONDS", 0.2)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_worker_niceness"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(joining, "_send_token", lambda: None)
    return seen


@pytest.fixture
def listening():
    """The port of something that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("named", [None, "", "local"])
def test_without_an_address_a_ray_of_this_machine_alone_is_started(calls, monkeypatch, named):
    if named is not None:
        monkeypatch.setenv("RAY_ADDRESS", named)
    assert join_ray(num_cpus=3)
    ((arguments, environment),) = calls
    assert (arguments["address"], arguments["num_cpus"]) == ("local", 3)
    assert "RAY_worker_niceness" not in environment


def test_workers_of_a_local_ray_begin_at_the_niceness_that_is_asked_for(calls, monkeypatch):
    for saved in (None, "12"):
        if saved:
            monkeypatch.setenv("RAY_worker_niceness", saved)
        join_ray(nice=5)
        assert calls.pop()[1]["RAY_worker_niceness"] == "5"
        assert os.environ.get(joining.NICENESS) == saved


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_the_cluster_that_is_named_is_joined_and_told(calls, monkeypatch, listening, caplog, by):
    address = f"127.0.0.1:{listening}"
    if by == "environment":
        monkeypatch.setenv("RAY_ADDRESS", address)
    with caplog.at_level("INFO", "hyperstar_tune"):
        assert join_ray(address if by == "argument" else None, num_cpus=3)
    ((arguments, _),) = calls
    assert arguments["address"] == address
    assert "num_cpus" not in arguments  # which Ray refuses
    assert f"joined the Ray cluster at {address}: 2 nodes, 16 CPUs, 2 GPUs" in caplog.text


def test_a_cluster_that_has_died_is_one_line_at_once(calls, monkeypatch, listening):
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = server.getsockname()[1]
    with pytest.raises(ClusterError, match=rf"must answer at 127.0.0.1:{dead}, .* or unset RAY_ADDRESS") as refused:
        join_ray(f"127.0.0.1:{dead}")
    assert "\n" not in str(refused.value)
    assert not calls


@pytest.mark.parametrize("address", ["nonsense", "host:port", "[::1", "host:99999999"])
def test_an_address_that_is_none_is_one_line(calls, address):
    with pytest.raises(ClusterError, match="a Ray cluster") as refused:
        join_ray(address)
    assert "\n" not in str(refused.value)


def test_a_refusal_of_ray_is_one_line(calls, monkeypatch, listening):
    def refuse(**_):
        raise RuntimeError("Version mismatch:\n    Ray: 2.51\n    Python: 3.12")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ClusterError, match=r"but: Version mismatch: Ray: 2\.51 Python: 3\.12; is it Ray") as refused:
        join_ray(f"127.0.0.1:{listening}")
    assert "\n" not in str(refused.value)


def test_a_home_that_cannot_be_written_is_one_line(calls, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied", "/home/me/.ray/auth_token")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(
        ClusterError, match=r"write its files, .*Permission denied: '/home/me/.ray/auth_token'; set"
    ) as no:
        join_ray()
    assert "\n" not in str(no.value)


def test_a_ray_that_is_connected_is_used_as_it_is(calls, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    assert not join_ray("nowhere:1")
    assert not calls
