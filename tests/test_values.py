"""Values of subclasses, on real servers: both engines and both sides treat them as the plain value."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clusters import async_cluster_of, cluster_of
from given import MemcachedServers, RedisServers
from odd import Index, Level, Word, lying

pytestmark = pytest.mark.timeout(30)  # a member of an IntEnum was looked for in a range by counting


def test_memcached(memcached_servers: MemcachedServers) -> None:
    with cluster_of(*memcached_servers(2), engine="memcache") as cluster:
        assert cluster.set(Word.RED, b"1", expire=Level.MINUTE)
        assert cluster.on(cluster.router.locate(b"red")).touch("red", Level.MINUTE)
        assert cluster.incr("red", Level.LOW) == 2
        with cluster.map() as conn:
            stored = conn.set("many", b"1", Level.MINUTE), conn.incr("red", Index(2))
        assert stored == (True, 4)
        assert cluster.set_many({Word.RED: b"1", "b": b"2"}, Level.MINUTE) == []
        assert cluster.get_many(["red", "b", "many"]) == {"red": b"1", "b": b"2", "many": b"1"}
        assert cluster.explain("set", "k", b"v", Level.MINUTE).wire == b"set k 0 60 1\r\nv\r\n"


async def _memcached(cluster: Any) -> None:
    async with cluster:
        assert await cluster.set(Word.RED, b"1", expire=Level.MINUTE)
        assert await cluster.on(cluster.router.locate(b"red")).touch("red", Level.MINUTE)
        assert await cluster.incr("red", Level.LOW) == 2
        async with cluster.map() as conn:
            stored = conn.set("many", b"1", Level.MINUTE), conn.incr("red", Index(2))
        assert stored == (True, 4)
        assert await cluster.set_many({Word.RED: b"1", "b": b"2"}, Level.MINUTE) == []
        assert await cluster.get_many(["red", "b", "many"]) == {"red": b"1", "b": b"2", "many": b"1"}
        assert cluster.explain("set", "k", b"v", Level.MINUTE).wire == b"set k 0 60 1\r\nv\r\n"


def test_memcached_with_asyncio(memcached_servers: MemcachedServers) -> None:
    asyncio.run(_memcached(async_cluster_of(*memcached_servers(2), engine="memcache")))


def test_redis(redis_servers: RedisServers) -> None:
    with cluster_of(*redis_servers(2)) as cluster:
        cluster.set(Word.RED, lying(float)(1.5), ex=Level.MINUTE)
        assert (cluster.get("red"), cluster.ttl("red") > 0) == (b"1.5", True)
        assert cluster.incrby("n", Level.MINUTE) == 60
        with cluster.map() as conn:
            found = conn.incrby("n", Level.LOW), conn.get(lying(str)("red"))
        assert found == (61, b"1.5")
        with cluster.on_key("n").pipeline() as pipe:
            assert pipe.incrby("n", Level.LOW).execute() == [62]
        assert cluster.on(cluster.router.locate(b"n")).get(lying(bytes)(b"n")) == b"62"


async def _redis(cluster: Any) -> None:
    async with cluster:
        await cluster.set(Word.RED, lying(float)(1.5), ex=Level.MINUTE)
        assert (await cluster.get("red"), await cluster.ttl("red") > 0) == (b"1.5", True)
        assert await cluster.incrby("n", Level.MINUTE) == 60
        async with cluster.map() as conn:
            found = conn.incrby("n", Level.LOW), conn.get(lying(str)("red"))
        assert found == (61, b"1.5")
        async with cluster.on_key("n").pipeline() as pipe:
            assert await pipe.incrby("n", Level.LOW).execute() == [62]
        assert await cluster.on(cluster.router.locate(b"n")).get(lying(bytes)(b"n")) == b"62"


def test_redis_with_asyncio(redis_servers: RedisServers) -> None:
    asyncio.run(_redis(async_cluster_of(*redis_servers(2))))
