"""The cost of a command does not grow with the number of commands in a ``map()``, of tasks, nor of hosts.

The calls of functions are counted, of Python and of C, not the time. One host is left out: there is no key to place.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from redis.utils import HIREDIS_AVAILABLE

from clusters import settings_of
from given import MemcachedServers, RedisServers
from nydus_core import create_async_cluster, create_cluster

pytestmark = pytest.mark.skipif(
    not HIREDIS_AVAILABLE, reason="without hiredis calls are queued as whole commands"
)

CALLS: dict[str, Callable[[Any, str], Any]] = {
    "get": lambda conn, key: conn.get(key),
    "set": lambda conn, key: conn.set(key, b"value"),
    "incr": lambda conn, key: conn.incr(f"n{key}", 1),
}


class Counter:
    """Counts calls of functions.

    Attributes:
        seen: How many there were.
    """

    seen = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count in this thread, in a block."""

        def counted(frame: FrameType, event: str, arg: Any) -> None:
            self.seen += event.endswith("call")

        sys.setprofile(counted)
        try:
            yield
        finally:
            sys.setprofile(None)


def calls_each(cluster: Any, call: Callable[[Any, str], Any], count: int) -> float:
    """How many functions are called for a command of a map() of so many."""
    keys = [f"key:{number}" for number in range(count)]
    counter, block = Counter(), cluster.map()
    with counter.counting(), block as conn:
        for key in keys:
            call(conn, key)
    return counter.seen / count


async def calls_of_tasks(cluster: Any, call: Callable[[Any, str], Any], count: int) -> float:
    """How many functions are called for a command of so many tasks, each of which sends five."""

    async def some(number: int) -> None:
        for _ in range(5):
            await call(cluster, f"key:{number}")

    works, counter = [some(number) for number in range(count)], Counter()
    with counter.counting():
        await asyncio.gather(*works)
    return counter.seen / (5 * count)


@pytest.mark.parametrize("engine", ["redis", "memcache"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_command_costs_as_much_among_many_and_on_many_hosts(
    engine: str,
    call: Callable[[Any, str], Any],
    redis_servers: RedisServers,
    memcached_servers: MemcachedServers,
) -> None:
    servers: list[Any] = (redis_servers if engine == "redis" else memcached_servers)(8)
    found: dict[tuple[int, int], float] = {}
    for hosts in (3, 8):
        with create_cluster(settings_of(*servers[:hosts], engine=engine, router="slots")) as cluster:
            calls_each(cluster, call, 100)  # connects
            for count in (3_000, 10_000):  # more would not go out at once, and be read in threads
                found[hosts, count] = calls_each(cluster, call, count)
    assert max(found.values()) <= 1.15 * min(found.values()), found


@pytest.mark.parametrize("engine", ["redis", "memcache"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_command_costs_as_much_among_many_tasks(
    engine: str,
    call: Callable[[Any, str], Any],
    redis_servers: RedisServers,
    memcached_servers: MemcachedServers,
) -> None:
    servers: list[Any] = (redis_servers if engine == "redis" else memcached_servers)(4)

    async def main() -> list[float]:
        async with create_async_cluster(settings_of(*servers, engine=engine, router="slots")) as cluster:
            await calls_of_tasks(cluster, call, 10)  # connects
            return [await calls_of_tasks(cluster, call, count) for count in (200, 1_000, 5_000)]

    few, *more = asyncio.run(main())
    assert max(more) <= 1.15 * few, (few, more)
