"""What a command costs does not grow with the number of commands in a ``map()``, nor with the number of hosts.

The calls of functions are counted, of Python and of C, not the time. One host is left out: there is no key to place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from redis.utils import HIREDIS_AVAILABLE

from clusters import settings_of
from given import MemcachedServers, RedisServers
from nydus_core import create_cluster

pytestmark = pytest.mark.skipif(
    not HIREDIS_AVAILABLE, reason="without hiredis calls are queued as whole commands"
)

CALLS: dict[str, Callable[[Any, str], Any]] = {
    "get": lambda conn, key: conn.get(key),
    "set": lambda conn, key: conn.set(key, b"value"),
    "incr": lambda conn, key: conn.incr(f"n{key}", 1),
}


def calls_each(cluster: Any, call: Callable[[Any, str], Any], count: int) -> float:
    """How many functions are called for a command of a map() of so many."""
    keys = [f"key:{number}" for number in range(count)]
    seen = 0

    def counted(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal seen
        seen += event.endswith("call")

    block = cluster.map()
    sys.setprofile(counted)
    try:
        with block as conn:
            for key in keys:
                call(conn, key)
    finally:
        sys.setprofile(None)
    return seen / count


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
