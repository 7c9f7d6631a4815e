"""Hosts work at the same time, for a broadcast, a map() and a split.

Each of eight real servers stands behind a proxy that holds every reply back until all eight have got their request. Where one
host was asked after the other, that would never be. And while one host holds its replies back, only those wait who asked it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clusters import async_cluster_of, cluster_of
from given import MemcachedServers, Proxies, RedisServers
from in_loop import in_loop
from nydus_core import Cluster
from nydus_core.testing import FaultProxy
from waiting import LONG, until, until_async

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


def map_of(cluster: Cluster, keys: list[str] = KEYS) -> Any:
    with cluster.map() as conn:
        results = [conn.set(key, "v") for key in keys]
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


# One slow host ----------------------------------------------------------------------------------------------------

both = pytest.mark.parametrize("engine", ["redis", "memcache"])

#: The text 'v', as each engine reads it.
VALUE = {"redis": b"v", "memcache": "v"}


def keys_by_host(cluster: Any) -> tuple[list[str], list[str]]:
    """The keys of the first host, which is slow, and those of the others."""
    homes = {key: cluster.router.locate(key.encode()) for key in KEYS}
    return [key for key in KEYS if homes[key] == "0"], [key for key in KEYS if homes[key] != "0"]


def get_many(cluster: Any, engine: str, keys: list[str]) -> Any:
    """One call for some keys; nothing is found."""
    return cluster.mget(keys) if engine == "redis" else cluster.get_many(keys)


@both
def test_of_threads_only_those_wait_for_a_slow_host_that_ask_it(
    engine: str, request: pytest.FixtureRequest
) -> None:
    held: Held = request.getfixturevalue(engine)
    cluster: Any = held.cluster
    slow, others = keys_by_host(cluster)
    map_of(cluster)  # all hosts are connected to
    front = held.fronts[0]
    front.requests.clear()
    front.delay = FOREVER
    with ThreadPoolExecutor(4) as threads:
        waiting = [
            threads.submit(cluster.get, slow[0]),
            threads.submit(map_of, cluster),
            threads.submit(get_many, cluster, engine, KEYS),
        ]
        try:
            until(lambda: len(front.requests) >= len(waiting))
            assert threads.submit(cluster.get, others[0]).result(LONG) == VALUE[engine]
            assert threads.submit(map_of, cluster, others).result(LONG) == [True] * len(others)
            found = threads.submit(get_many, cluster, engine, others).result(LONG)
            assert len(found) == len(others)
            assert not any(each.done() for each in waiting)
        finally:
            front.heal()
        assert waiting[0].result(LONG) == VALUE[engine]
        assert waiting[1].result(LONG) == [True] * len(KEYS)
        assert len(waiting[2].result(LONG)) == len(KEYS)


@both
def test_of_tasks_only_those_wait_for_a_slow_host_that_ask_it(
    engine: str, request: pytest.FixtureRequest
) -> None:
    held: Held = request.getfixturevalue(engine)
    front = held.fronts[0]

    async def map_there(cluster: Any, keys: list[str]) -> list[bool]:
        async with cluster.map() as conn:
            results = [conn.set(key, "v") for key in keys]
        return [bool(result) for result in results]

    async def main() -> None:
        async with async_cluster_of(
            *held.fronts, engine=engine, router="partition", timeout=2 * LONG
        ) as cluster:
            slow, others = keys_by_host(cluster)
            await map_there(cluster, KEYS)  # all hosts are connected to
            front.requests.clear()
            front.delay = FOREVER
            waiting = [
                asyncio.ensure_future(cluster.get(slow[0])),
                asyncio.ensure_future(map_there(cluster, KEYS)),
                asyncio.ensure_future(get_many(cluster, engine, KEYS)),
            ]
            try:
                await until_async(lambda: len(front.requests) >= len(waiting))
                async with asyncio.timeout(LONG):
                    assert await cluster.get(others[0]) == VALUE[engine]
                    assert await map_there(cluster, others) == [True] * len(others)
                    assert len(await get_many(cluster, engine, others)) == len(others)
                assert not any(each.done() for each in waiting)
            finally:
                front.heal()
            async with asyncio.timeout(LONG):
                value, stored, found = await asyncio.gather(*waiting)
        assert (value, stored, len(found)) == (VALUE[engine], [True] * len(KEYS), len(KEYS))

    in_loop(main)
