"""memcached, blocking: against pymemcache, on the same four servers or on one; and against other clients that are installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from side_by_side import BATCH, KEYS, SINGLES, Row

from memcached import MemcachedServer
from nydus.db import create_cluster

#: The rule of placement: one look-up in a table for each key. Any other costs as much more as placement.py shows.
ROUTER = "slots"
SECONDS = 5.0
VALUES = dict.fromkeys(KEYS, b"value")
#: For a peer that takes a millisecond for each key.
SOME = KEYS[:500]


def memcache_rows(stack: ExitStack, servers: list[MemcachedServer]) -> list[Row]:
    """The comparisons. The hash client has the same four servers, the plain client one of them."""
    ports, cluster = _cluster(stack, servers)
    options = {"timeout": SECONDS, "connect_timeout": SECONDS, "no_delay": True, "default_noreply": False}
    several = HashClient([("127.0.0.1", port) for port in ports], **options)
    one = Client(("127.0.0.1", ports[0]), **options)
    for client in (several, one):
        stack.callback(client.close)
    for client in (cluster, several, one):
        client.set_many(VALUES)
        assert client.get_many(KEYS) == VALUES

    def many(name: str, ours: Callable[[Any], Any], theirs: Callable[[Any], Any]) -> list[Row]:
        return [
            Row(f"{name}; peer HashClient", lambda: ours(cluster), lambda: theirs(several), BATCH, 0.12, 15),
            Row(f"{name}; peer Client, one host", lambda: ours(cluster), lambda: theirs(one), BATCH, 1.5, 25),
        ]

    return [
        *many(f"memcached get_many of {BATCH}", get_many, get_many),
        *many(f"memcached set_many of {BATCH}", set_many, set_many),
        *many(f"memcached map() of {BATCH} get", mapped_gets, get_many),
        *many(f"memcached map() of {BATCH} set", mapped_sets, set_many),
        Row(
            "memcached get, single; peer Client, one host",
            lambda: gets(cluster),
            lambda: gets(one),
            SINGLES,
            1.05,
            200,
        ),
        Row(
            "memcached set, single; peer Client, one host",
            lambda: sets(cluster),
            lambda: sets(one),
            SINGLES,
            1.05,
            200,
        ),
    ]


def other_clients_rows(stack: ExitStack, servers: list[MemcachedServer]) -> list[Row]:
    """Against clients that not every machine has, with the same four servers."""
    ports, cluster = _cluster(stack, servers)
    return [*meta_memcache_rows(ports, cluster), *pylibmc_rows(ports, cluster)]


def _cluster(stack: ExitStack, servers: list[MemcachedServer]) -> tuple[list[int], Any]:
    ports = [server.port for server in servers]
    hosts = [{"host": "127.0.0.1", "port": port} for port in ports]
    made = create_cluster({"engine": "memcache", "router": ROUTER, "hosts": hosts})
    return ports, stack.enter_context(made)


def meta_memcache_rows(ports: list[int], cluster: Any) -> list[Row]:
    """Against meta-memcache, if it is installed: it speaks memcached's meta protocol, and reads answers in C."""
    try:
        meta_memcache: Any = importlib.import_module("meta_memcache")
    except ImportError:
        print("meta-memcache is not installed: its rows are left out (pip install meta-memcache)")
        return []
    peer = meta_memcache.CacheClient.cache_client_from_servers(
        servers=[meta_memcache.ServerAddress("127.0.0.1", port) for port in ports],
        connection_pool_factory_fn=meta_memcache.connection_pool_factory_builder(
            connection_timeout=SECONDS, recv_timeout=SECONDS
        ),
    )
    for key, value in VALUES.items():
        peer.set(key, value, ttl=0)
    return [
        Row(
            f"memcached get_many of {len(SOME)}; peer meta-memcache",
            lambda: cluster.get_many(SOME),
            lambda: peer.multi_get(SOME),
            len(SOME),
            None,
            5,
        ),
        Row(
            "memcached get, single; peer meta-memcache",
            lambda: gets(cluster),
            lambda: gets(peer),
            SINGLES,
            None,
            100,
        ),
    ]


def pylibmc_rows(ports: list[int], cluster: Any) -> list[Row]:
    """Against pylibmc, if it is installed: a client in C."""
    try:
        pylibmc: Any = importlib.import_module("pylibmc")
    except ImportError:
        print("pylibmc is not installed: its rows are left out (pip install pylibmc; it needs libmemcached)")
        return []
    peer = pylibmc.Client([f"127.0.0.1:{port}" for port in ports], behaviors={"tcp_nodelay": True})
    peer.set_multi(VALUES)
    return [
        Row(
            f"memcached get_many of {BATCH}; peer pylibmc",
            lambda: get_many(cluster),
            lambda: peer.get_multi(KEYS),
            BATCH,
            None,
            15,
        ),
        Row(
            f"memcached set_many of {BATCH}; peer pylibmc",
            lambda: set_many(cluster),
            lambda: peer.set_multi(VALUES),
            BATCH,
            None,
            15,
        ),
        Row(
            "memcached get, single; peer pylibmc",
            lambda: gets(cluster),
            lambda: gets(peer),
            SINGLES,
            None,
            100,
        ),
    ]


def get_many(client: Any) -> None:
    """Read all keys at once."""
    client.get_many(KEYS)


def set_many(client: Any) -> None:
    """Write all keys at once."""
    client.set_many(VALUES)


def mapped_gets(cluster: Any) -> None:
    """Read all keys, a command for each."""
    with cluster.map() as conn:
        for key in KEYS:
            conn.get(key)


def mapped_sets(cluster: Any) -> None:
    """Write all keys, a command for each."""
    with cluster.map() as conn:
        for key, value in VALUES.items():
            conn.set(key, value)


def gets(client: Any) -> None:
    """Read some keys, one after the other."""
    for key in KEYS[:SINGLES]:
        client.get(key)


def sets(client: Any) -> None:
    """Write some keys, one after the other."""
    for key in KEYS[:SINGLES]:
        client.set(key, b"value")
