"""Eight hosts that are 20 ms away, and one that is slow by another 200 ms: is each delay waited for once?

The peer of each row is one GET of redis-py over the same delay: the least that anybody waits for a host.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import redis
from far_hosts import far_hosts
from redis_rows import ROUTER
from side_by_side import KEYS, Row

from nydus.db import create_async_cluster, create_cluster
from nydus_redis.embedded.server import PrivateServer

FAR_HOSTS = 8
DELAY, SLOWER_BY = 0.020, 0.200
COUNT = 80
TARGET, TURNS = 1.3, 40
#: The name of the host that is slow.
SLOW = "0"


def parallel_rows(stack: ExitStack, servers: list[PrivateServer]) -> list[Row]:
    """The comparisons. A unit is one call."""
    paths = [server.path for server in servers]
    even = stack.enter_context(far_hosts(paths, [DELAY] * len(paths)))
    uneven = stack.enter_context(far_hosts(paths, [DELAY + SLOWER_BY, *[DELAY] * (len(paths) - 1)]))
    return [*_all_alike(stack, even), *_asyncio(stack, even), *_one_slow(stack, uneven)]


def _settings(paths: list[str]) -> dict[str, Any]:
    hosts = {str(number): {"unix_socket_path": path} for number, path in enumerate(paths)}
    return {"engine": "redis", "router": ROUTER, "hosts": hosts}


def _get_over(stack: ExitStack, path: str) -> Callable[[], Any]:
    """Return the work of the peer: one GET over a proxy."""
    plain = stack.enter_context(redis.Redis(unix_socket_path=path))
    return lambda: plain.get("key")


def _row(name: str, ours: Callable[[], Any], peer: Callable[[], Any]) -> Row:
    return Row(f"{name}; peer one GET", ours, peer, 1, TARGET, TURNS)


def _all_alike(stack: ExitStack, paths: list[str]) -> list[Row]:
    cluster = stack.enter_context(create_cluster(_settings(paths)))
    peer = _get_over(stack, paths[0])
    keys = KEYS[:COUNT]
    return [
        _row(f"map() of {COUNT} GET", lambda: mapped(cluster, keys), peer),
        _row(f"MGET of {COUNT} keys", lambda: cluster.mget(keys), peer),
        _row(f"broadcast: PING of {len(paths)} hosts", cluster.ping, peer),
    ]


def _one_slow(stack: ExitStack, paths: list[str]) -> list[Row]:
    cluster = stack.enter_context(create_cluster(_settings(paths)))
    keys = KEYS[:COUNT]
    slow = [key for key in keys if cluster.router.locate(key.encode()) == SLOW]
    others = [key for key in keys if cluster.router.locate(key.encode()) != SLOW]
    waiter = Waiter(lambda: mapped(cluster, slow))
    stack.callback(waiter.end)
    near, far = _get_over(stack, paths[1]), _get_over(stack, paths[0])

    def beside() -> None:
        waiter.begin()
        mapped(cluster, others)

    return [
        _row("one host slow: map() of all", lambda: mapped(cluster, keys), far),
        _row("one host slow: map() of the others", lambda: mapped(cluster, others), near),
        _row("the same, while a thread waits for it", beside, near),
    ]


class Waiter:
    """A thread that waits for the slow host, again and again.

    Parameters:
        work: One wait.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Begin, at the first call."""
        if self._thread.ident is None:
            self._thread.start()

    def end(self) -> None:
        """Wait no more."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._work()


def _asyncio(stack: ExitStack, paths: list[str]) -> list[Row]:
    runner = stack.enter_context(asyncio.Runner())
    cluster = create_async_cluster(_settings(paths))
    stack.callback(lambda: runner.run(cluster.aclose()))
    peer = _get_over(stack, paths[0])

    async def mapped_there() -> None:
        async with cluster.map() as conn:
            for key in KEYS[:COUNT]:
                conn.get(key)

    return [_row(f"asyncio: map() of {COUNT} GET", lambda: runner.run(mapped_there()), peer)]


def mapped(cluster: Any, keys: list[str]) -> None:
    """GET in a map()."""
    with cluster.map() as conn:
        for key in keys:
            conn.get(key)
