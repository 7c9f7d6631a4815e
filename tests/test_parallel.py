"""Hosts work at the same time, for a broadcast, a map() and a split.

Each of eight real servers stands behind a proxy that holds every reply back until all eight have got their request. Where one
host was asked after the other, that would never be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clusters import cluster_of
from given import MemcachedServers, Proxies, RedisServers
from nydus_core import Cluster
from nydus_core.testing import FaultProxy
from waiting import LONG, until

FOREVER, HOSTS = 3600.0, 8

KEYS = [f"key{i}" for i in range(80)]


class Held:
    """A cluster of eight hosts whose replies can be held back."""

    def __init__(self, engine: str, servers: list[Any], proxy: Proxies) -> None:
        self.fronts: list[FaultProxy] = [proxy(server) for server in servers]
        self.cluster = cluster_of(*self.fronts, engine=engine, router="partition", timeout=2 * LONG)

    def together(self, call: Callable[[Cluster], Any]) -> Any:
        """Return the value of a call whose replies come when each host has got its request."""
        for front in self.fronts:
            front.requests.clear()
            front.delay = FOREVER
        with ThreadPoolExecutor(1) as thread:
            called = thread.submit(call, self.cluster)
            try:
                until(lambda: all(front.requests for front in self.fronts))
            finally:
                for front in self.fronts:
                    front.heal()
            return called.result(LONG)


@pytest.fixture
def redis(redis_servers: RedisServers, proxy: Proxies) -> Iterator[Held]:
    held = Held("redis", redis_servers(HOSTS), proxy)
    with held.cluster:
        yield held


@pytest.fixture
def memcache(memcached_servers: MemcachedServers, proxy: Proxies) -> Iterator[Held]:
    held = Held("memcache", memcached_servers(HOSTS), proxy)
    with held.cluster:
        yield held


def map_of(cluster: Cluster) -> Any:
    with cluster.map() as conn:
        results = [conn.set(key, "v") for key in KEYS]
    return [bool(result) for result in results]


def test_redis_hosts_are_connected_to_at_the_same_time(redis: Held) -> None:
    assert redis.together(lambda cluster: cluster.ping()) == [True] * HOSTS


def test_a_broadcast_over_redis_is_at_all_hosts_at_once(redis: Held) -> None:
    redis.cluster.ping()
    assert redis.together(lambda cluster: cluster.ping()) == [True] * HOSTS


def test_a_map_over_redis_is_at_all_hosts_at_once(redis: Held) -> None:
    redis.cluster.ping()
    assert redis.together(map_of) == [True] * len(KEYS)


def test_a_split_over_redis_is_at_all_hosts_at_once(redis: Held) -> None:
    redis.cluster.ping()
    assert redis.together(lambda cluster: cluster.mget(KEYS)) == [None] * len(KEYS)


def test_a_broadcast_over_memcached_is_at_all_hosts_at_once(memcache: Held) -> None:
    memcache.cluster.version()
    assert len(memcache.together(lambda cluster: cluster.version())) == HOSTS


def test_a_map_over_memcached_is_at_all_hosts_at_once(memcache: Held) -> None:
    memcache.cluster.version()
    assert memcache.together(map_of) == [True] * len(KEYS)


def test_a_get_many_over_memcached_is_at_all_hosts_at_once(memcache: Held) -> None:
    memcache.cluster.version()
    assert memcache.together(lambda cluster: cluster.get_many(KEYS)) == {}
