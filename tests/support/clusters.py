"""Clusters for tests, each made in one call: of hosts in memory, or of real servers.

A word that is a setting of a cluster (``router``, ``retry``, ``health`` and so on) goes there. Every other word is an option of
all hosts, as under ``defaults``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from address import Listening
from async_engines import AsyncMemoryEngine
from engines import MemoryEngine
from nydus_core import AsyncCluster, Cluster, create_async_cluster, create_cluster
from nydus_core.routers import NodeRouter
from waiting import LONG

__all__ = [
    "NO_RETRY",
    "ByName",
    "async_cluster_of",
    "async_memory_cluster",
    "cluster_of",
    "host_at",
    "keys_of",
    "memory_cluster",
    "settings_of",
]

#: A failed attempt is not tried again.
NO_RETRY = {"attempts": 1}

_OF_CLUSTER = frozenset(
    [
        "engine",
        "backend",
        "router",
        "hosts",
        "defaults",
        "cluster",
        "fingerprint",
        "retry",
        "health",
        "deadline",
        "on_host_down",
        "on_readmit",
    ]
)


class ByName(NodeRouter):
    """A key lives on the host that its first letter names, or else on the first host that is left."""

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        names = self.candidates(avoid)
        letter = key[:1].decode()
        return letter if letter in names else names[0]


# Hosts in memory ---------------------------------------------------------------------------------------------------


def memory_cluster(*names: Any, **options: Any) -> Any:
    """Make a cluster of hosts in memory.

    Parameters:
        names: The names of the hosts. Two hosts, ``a`` and ``b``, if there are none.
        options: Settings of the cluster, and options of all hosts. The router is ``ByName`` if there is none.
    """
    return create_cluster(_in_memory(names, MemoryEngine, options))


def async_memory_cluster(*names: Any, **options: Any) -> Any:
    """Make a cluster of hosts in memory for asyncio, as ``memory_cluster`` does."""
    return create_async_cluster(_in_memory(names, AsyncMemoryEngine, options))


def _in_memory(names: tuple[Any, ...], engine: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    hosts: dict[Any, Any] = {name: {} for name in names or "ab"}
    return _settings({"engine": engine, "router": ByName, "hosts": hosts}, options)


# Real servers ------------------------------------------------------------------------------------------------------


def cluster_of(*servers: Listening, **options: Any) -> Cluster:
    """Make a cluster of real servers. Whoever calls it closes it: ``with cluster_of(server) as cluster:``.

    Parameters:
        servers: Servers, or proxies in front of them.
        options: Settings of the cluster, and options of all hosts; see ``settings_of``.
    """
    return create_cluster(settings_of(*servers, **options))


def async_cluster_of(*servers: Listening, **options: Any) -> AsyncCluster:
    """Make a cluster of real servers for asyncio, as ``cluster_of`` does."""
    return create_async_cluster(settings_of(*servers, **options))


def settings_of(*servers: Listening, names: str | None = None, **options: Any) -> dict[str, Any]:
    """Return the settings of a cluster of real servers.

    Parameters:
        servers: Servers, or proxies in front of them.
        names: A letter for each host: ``"abc"``. The hosts are numbered if there are none.
        options: Settings of the cluster, and options of all hosts. The engine is ``redis`` and the router ``rendezvous`` if they
            are not given, and the hosts are waited for as long as a loaded machine may take.
    """
    found = [host_at(server) for server in servers]
    hosts = found if names is None else dict(zip(names, found, strict=False))
    usual = {"engine": "redis", "router": "rendezvous", "hosts": hosts, "defaults": {"timeout": LONG}}
    return _settings(usual, options)


def host_at(server: Listening) -> dict[str, Any]:
    """Return the settings of the host that listens there."""
    return {"unix_socket_path": server.path} if server.path else {"host": "127.0.0.1", "port": server.port}


def keys_of(cluster: Any, form: str = "key:{}") -> list[str]:
    """Return a key of each host, in the order of the hosts.

    Parameters:
        cluster: The cluster, with a router that places keys.
        form: How the keys look.
    """
    found: dict[str, str] = {}
    for number in range(1000):
        key = form.format(number)
        found.setdefault(cluster.router.locate(key.encode()), key)
        if len(found) == len(cluster):
            break
    return [found[str(host)] for host in cluster]


def _settings(usual: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in options.items() if name in _OF_CLUSTER}
    of_hosts = {name: value for name, value in options.items() if name not in _OF_CLUSTER}
    found = {**usual, **own}
    return {**found, "defaults": {**found.get("defaults", {}), **of_hosts}} if of_hosts else found
