"""A ``map()`` whose requests and replies are large on several hosts at the same time comes to its end: nobody waits for each other.

memcached reads no further request on a connection until its answer has been taken. A client that sends all before it reads would
wait for memcached, and memcached for the client. Redis holds all answers in its memory meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clusters import keys_of, settings_of
from given import MemcachedServers, RedisServers
from sides import AsyncOwnSide, AsyncSide, BlockingSide, Side

HOSTS = 3
#: Bytes of a value, below the most that memcached takes; and in all, each way.
SIZE, TOTAL = 900_000, 100_000_000
EACH = TOTAL // SIZE // HOSTS + 1
VALUE = b"0123456789" * (SIZE // 10)

sides = pytest.mark.parametrize("make_side", [BlockingSide, AsyncSide, AsyncOwnSide])
engines = pytest.mark.parametrize("engine", ["redis", "memcache"])


@pytest.fixture
def settings_for(
    redis_servers: RedisServers, memcached_servers: MemcachedServers
) -> Callable[[str], dict[str, Any]]:
    def settings(engine: str) -> dict[str, Any]:
        servers = (redis_servers if engine == "redis" else memcached_servers)(HOSTS, tcp=True)
        return settings_of(*servers, engine=engine, router="slots")

    return settings


@sides
@engines
def test_requests_and_replies_of_100_mb(
    make_side: type[Side], engine: str, settings_for: Callable[[str], dict[str, Any]]
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_for(engine))
        keys = keys_of(cluster)
        for key in keys:
            assert await side(cluster.set(key, VALUE))
        async with side.map(cluster) as conn:
            stored, found = [], []
            for _ in range(EACH):
                for key in keys:
                    found.append(conn.get(key))
                    stored.append(conn.set(f"{{{key}}}", VALUE))
        assert all(stored)
        assert all(each == VALUE for each in found)
        assert len(found) * SIZE >= TOTAL

    make_side().run(scenario)


@sides
@engines
def test_one_call_whose_reply_is_100_mb(
    make_side: type[Side], engine: str, settings_for: Callable[[str], dict[str, Any]]
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_for(engine))
        keys = [f"key:{number}" for number in range(HOSTS * EACH)]
        values = dict.fromkeys(keys, VALUE)
        if engine == "redis":
            assert await side(cluster.mset(values))
            found = await side(cluster.mget(keys))
        else:
            assert await side(cluster.set_many(values)) == []
            found = [*(await side(cluster.get_many(keys))).values()]
        assert len(found) == len(keys)
        assert all(each == VALUE for each in found)

    make_side().run(scenario)
