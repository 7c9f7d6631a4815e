"""The embedded engine: a whole cluster of real, private servers, gone with the process."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from launcher import Launcher
from nydus_core import ConfigError, HostDown, create_cluster
from nydus_redis.embedded.blocking import Embedded
from stopping import gone
from waiting import LONG


def pids_of(cluster: Any) -> list[int]:
    """The processes of the servers, in host order."""
    return [host.server.pid for host in cluster.hosts.values()]


def test_a_number_of_hosts_is_a_whole_cluster() -> None:
    with create_cluster(
        {"engine": Embedded, "hosts": 3, "router": "nydus_core.routers.PartitionRouter"}
    ) as cluster:
        with cluster.map() as conn:
            results = [conn.incr(f"key{i}") for i in range(30)]
        assert results == [1] * 30
        assert sum(cluster.dbsize()) == 30
        assert len(set(pids_of(cluster))) == 3


def test_named_hosts_and_options() -> None:
    hosts = {"a": {"config": {"maxmemory": "7mb"}}, "b": {"db": 3, "weight": 2}}
    with create_cluster(
        {
            "engine": Embedded,
            "router": "rendezvous",
            "hosts": hosts,
            "defaults": {"decode_responses": True},
        }
    ) as cluster:
        assert cluster.on("a").config_get("maxmemory") == {"maxmemory": str(7 * 1024 * 1024)}
        with cluster.on("b").client() as one:
            assert one.client_info()["db"] == 3
        assert [cluster[host].identifier for host in cluster] == ["embedded://a/0", "embedded://b/3"]


def test_placement_does_not_depend_on_where_the_servers_happen_to_listen() -> None:
    settings = {"engine": Embedded, "hosts": 3, "router": "nydus_core.routers.ConsistentHashingRouter"}
    with create_cluster(settings) as one, create_cluster(settings) as two:
        keys = [f"key{i}".encode() for i in range(200)]
        assert [one.router.locate(key) for key in keys] == [two.router.locate(key) for key in keys]


def test_closing_the_cluster_stops_its_servers() -> None:
    cluster = create_cluster({"engine": Embedded, "hosts": 2})
    assert cluster.ping() == [True, True]
    pids = pids_of(cluster)
    cluster.close()
    assert all(gone(pid) for pid in pids)
    with pytest.raises(HostDown, match="cluster was closed: create another cluster"):
        cluster.ping()
    cluster.close()


def test_on_a_server_that_was_stopped_every_road_ends_in_host_down() -> None:
    with create_cluster({"engine": Embedded, "router": "rendezvous", "hosts": 2}) as cluster:
        stopped: Any = cluster.hosts[1]
        stopped.server.stop()
        key = next(key for key in map(str, range(99)) if cluster.router.locate(key.encode()) == "1")
        for call in (
            lambda: cluster.get(key),
            lambda: cluster.on(1).ping(),
            lambda: cluster.on_key(key).get(key),
            lambda: cluster.on(1).pipeline().get(key).execute(),
            lambda: cluster.lock(key).acquire(),
            lambda: list(cluster.scan_iter()),
            lambda: cluster.pubsub().subscribe(key),
        ):
            with pytest.raises(HostDown):
                call()


def test_a_host_that_is_dropped_takes_its_server_with_it_without_the_garbage_collector() -> None:
    host = Embedded(0)
    host.connections.give(host.connections.take(), clean=True)
    pid = host.server.pid
    gc.disable()
    try:
        del host
        assert gone(pid)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("hosts", "where"),
    [
        ({"a": {"port": 1}}, r"hosts\['a'\]\.port"),
        (0, "hosts"),
        (-1, "hosts"),
        ({"a": {"config": {"port": 1}}}, "config.port"),
    ],
)
def test_settings_that_make_no_sense_are_refused(hosts: object, where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        create_cluster({"engine": Embedded, "hosts": hosts})


SCRIPT = """
import os, signal, sys
from nydus_core import create_cluster
from nydus_redis.embedded import Embedded
cluster = create_cluster({"engine": Embedded, "hosts": 2})
cluster.ping()
print(*[host.server.pid for host in cluster.hosts.values()], flush=True)
"""
ENDS = {
    "return": "",
    "exception": "raise RuntimeError('on purpose')",
    "sigterm": "signal.raise_signal(signal.SIGTERM)",
    "sigkill": "os.kill(os.getpid(), signal.SIGKILL)",
    "_exit": "os._exit(0)",
}


@pytest.mark.slow_env  # redis-py's version is nothing to it
@pytest.mark.parametrize("end", ENDS)
def test_the_servers_are_gone_when_the_process_ends(launcher: Launcher, end: str) -> None:
    program = launcher.start(SCRIPT + ENDS[end])
    output, errors = program.communicate(LONG)
    program.close()
    pids = [int(pid) for pid in output.split()]
    assert len(pids) == 2, errors
    assert all(gone(pid) for pid in pids)
