"""Clusters of real memcached servers, and plain pymemcache clients of the same servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pymemcache.client.base import Client
from pymemcache.serde import pickle_serde

from address import Listening
from driven import create_driven
from memcached import MemcachedServer
from nydus_core import Cluster, create_cluster
from nydus_core.testing import FaultProxy
from nydus_memcache import Memcache
from waiting import LONG

PARTITION = "nydus_core.routers.PartitionRouter"

MakeCluster = Callable[..., Cluster]
Servers = Callable[..., list[MemcachedServer]]


def address(server: Listening) -> dict[str, Any]:
    return {"unix_socket_path": server.path} if server.path else {"host": "127.0.0.1", "port": server.port}


@pytest.fixture(params=[create_cluster, create_driven], ids=["blocking", "asyncio"])
def create(request: pytest.FixtureRequest) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """``create_cluster``, and ``create_async_cluster`` whose cluster is called in the same way; closed at the end.

    What only one side has is tested with ``@pytest.mark.parametrize("create", [create_cluster], indirect=True)``.
    """
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(request.param(settings))


@pytest.fixture
def cluster_of(create: Callable[[dict[str, Any]], Any]) -> MakeCluster:
    """``cluster_of(server, server, router=…, **options for all hosts)``; closed at the end of the test."""

    def make(*servers: Listening, router: Any = PARTITION, **defaults: Any) -> Cluster:
        hosts = [address(server) for server in servers]
        defaults = {"timeout": LONG, **defaults}
        once = {"attempts": 1}  # what one attempt ends in is the engine's; the rest is the core's
        settings = {"engine": Memcache, "router": router, "hosts": hosts, "defaults": defaults, "retry": once}
        found: Cluster = create(settings)
        return found

    return make


@pytest.fixture
def servers(memcached_servers: Servers) -> list[MemcachedServer]:
    return memcached_servers(3)


@pytest.fixture
def server(memcached_servers: Servers) -> MemcachedServer:
    return memcached_servers(1)[0]


@pytest.fixture
def front(server: MemcachedServer, proxy: Callable[..., FaultProxy]) -> FaultProxy:
    """A proxy in front of one server."""
    return proxy(server)


@pytest.fixture
def cluster(cluster_of: MakeCluster, servers: list[MemcachedServer]) -> Cluster:
    """A cluster of three hosts."""
    return cluster_of(*servers)


@pytest.fixture
def plain() -> Iterator[Callable[[Listening], Client]]:
    """``plain(server)``: pymemcache's own client, set up to keep types, and to wait for answers."""
    clients: list[Client] = []

    def make(server: Listening) -> Client:
        where = server.path or ("127.0.0.1", server.port)
        clients.append(
            Client(where, serde=pickle_serde, default_noreply=False, timeout=LONG, connect_timeout=LONG)
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def host_of() -> Callable[[Cluster, str], int]:
    """``host_of(cluster, "k")``: the number of the host that a key lives on."""
    return lambda cluster, key: int(cluster.router.locate(key.encode()))


@pytest.fixture
def keys_on(host_of: Callable[[Cluster, str], int]) -> Callable[[Cluster, int, int], list[str]]:
    """``keys_on(cluster, 1, 5)``: five keys that live on host 1."""

    def find(cluster: Cluster, host: int, count: int) -> list[str]:
        named = (f"key{number}" for number in range(10_000))
        found = (key for key in named if host_of(cluster, key) == host)
        return [next(found) for _ in range(count)]

    return find
