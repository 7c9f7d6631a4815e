"""Hosts work at the same time: eight slow hosts cost about one delay, for a broadcast, a map() and a split.

Each of eight real servers stands behind a proxy that holds every reply back by 50 ms. One after the other they would
take 400 ms; the bound here is half of that, so a slow machine does not fail it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusters import cluster_of
from given import MemcachedServers, Proxies, RedisServers
from nydus_core import Cluster

DELAY, HOSTS = 0.05, 8
BOUND = DELAY * HOSTS / 2

KEYS = [f"key{i}" for i in range(80)]


def slow_cluster(engine: str, servers: list[Any], proxy: Proxies) -> Cluster:
    """A cluster of hosts that answer ``DELAY`` seconds later."""
    return cluster_of(*(proxy(server, delay=DELAY) for server in servers), engine=engine, router="partition")


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.fixture
def redis_cluster(redis_servers: RedisServers, proxy: Proxies) -> Iterator[Cluster]:
    with slow_cluster("redis", redis_servers(HOSTS), proxy) as cluster:
        yield cluster


@pytest.fixture
def memcache_cluster(memcached_servers: MemcachedServers, proxy: Proxies) -> Iterator[Cluster]:
    with slow_cluster("memcache", memcached_servers(HOSTS), proxy) as cluster:
        yield cluster


def map_of(cluster: Cluster) -> None:
    with cluster.map() as conn:
        results = [conn.set(key, "v") for key in KEYS]
    assert results == [True] * len(KEYS)


def test_redis_hosts_are_connected_to_at_the_same_time(redis_cluster: Cluster) -> None:
    one = seconds(redis_cluster.on(0).ping)  # the handshake costs several delays
    assert seconds(redis_cluster.ping) < one * HOSTS / 2


def test_a_broadcast_over_redis_costs_about_one_delay(redis_cluster: Cluster) -> None:
    redis_cluster.ping()
    assert DELAY <= seconds(redis_cluster.ping) < BOUND


def test_a_map_over_redis_costs_about_one_delay(redis_cluster: Cluster) -> None:
    redis_cluster.ping()
    assert DELAY <= seconds(lambda: map_of(redis_cluster)) < BOUND


def test_a_split_over_redis_costs_about_one_delay(redis_cluster: Cluster) -> None:
    redis_cluster.ping()
    assert DELAY <= seconds(lambda: redis_cluster.mget(KEYS)) < BOUND


def test_a_broadcast_over_memcached_costs_about_one_delay(memcache_cluster: Cluster) -> None:
    memcache_cluster.version()
    assert DELAY <= seconds(memcache_cluster.version) < BOUND


def test_a_map_over_memcached_costs_about_one_delay(memcache_cluster: Cluster) -> None:
    memcache_cluster.version()
    assert DELAY <= seconds(lambda: map_of(memcache_cluster)) < BOUND


def test_a_get_many_over_memcached_costs_about_one_delay(memcache_cluster: Cluster) -> None:
    memcache_cluster.version()
    assert DELAY <= seconds(lambda: memcache_cluster.get_many(KEYS)) < BOUND
