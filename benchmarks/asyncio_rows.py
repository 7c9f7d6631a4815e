"""The asyncio side: against bare ``redis.asyncio`` on one server; memcached against worker threads and aiomcache."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import redis.asyncio
from side_by_side import BATCH, KEYS, SINGLES, Row, queue

from memcached import MemcachedServer
from nydus.db import create_async_cluster
from nydus_core import ThreadedEngine
from nydus_memcache import Memcache
from nydus_redis.embedded.server import PrivateServer

TASKS = 200
EACH = 10


def asyncio_rows(stack: ExitStack, servers: list[PrivateServer]) -> list[Row]:
    """The comparisons, all in one event loop."""
    runner = stack.enter_context(asyncio.Runner())
    hosts = [f"redis://127.0.0.1:{server.port}" for server in servers]
    cluster = create_async_cluster({"engine": "redis", "router": "slots", "hosts": hosts})
    one = create_async_cluster({"engine": "redis", "router": "slots", "hosts": hosts[:1]})
    # Its own number of connections is 100, and beyond it refuses
    plain = redis.asyncio.Redis(port=servers[0].port, max_connections=TASKS)
    stack.callback(lambda: runner.run(closed(cluster, one, plain)))

    def row(name: str, work: Any, ours: Any, units: int, target: float, turns: int, peer: Any = None) -> Row:
        return Row(
            name,
            lambda: runner.run(work(ours)),
            lambda: runner.run((peer or work)(plain)),
            units,
            target,
            turns,
        )

    return [
        row("asyncio: GET, single; peer redis.asyncio", gets, cluster, SINGLES, 1.15, 100),
        row("asyncio: INCR, single; peer redis.asyncio", incrs, cluster, SINGLES, 1.15, 100),
        row(f"asyncio: map() of {BATCH}; peer pipeline", mapped, cluster, BATCH, 0.8, 15, peer=piped),
        row(
            f"asyncio: GET, {TASKS} tasks; peer on one host",
            tasks,
            cluster,
            TASKS * EACH,
            1 / 0.95,
            30,
        ),
        row("asyncio: the same, both on one host", tasks, one, TASKS * EACH, 1 / 0.95, 30),
    ]


class InThreads(ThreadedEngine):
    """The blocking memcached engine in worker threads."""

    sync_side = Memcache


class Aiomcache:
    """aiomcache, called as a cluster is."""

    def __init__(self, port: int) -> None:
        import aiomcache  # type: ignore[import-not-found,unused-ignore]  # only `make bench` has it

        self._client = aiomcache.Client("127.0.0.1", port, pool_size=100)

    async def get(self, key: str) -> Any:
        """Return a value."""
        return await self._client.get(key.encode())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


def asyncio_memcache_rows(stack: ExitStack, servers: list[MemcachedServer]) -> list[Row]:
    """The same for memcached, all on one host."""
    runner = stack.enter_context(asyncio.Runner())
    hosts = [f"memcached://127.0.0.1:{servers[0].port}"]
    made = {"router": "slots", "hosts": hosts}
    ours = create_async_cluster({"engine": "memcache", **made})
    threads = create_async_cluster({"engine": InThreads, **made})
    plain = Aiomcache(servers[0].port)
    stack.callback(lambda: runner.run(closed(ours, threads, plain)))
    runner.run(ours.set_many(dict.fromkeys(KEYS, b"v" * 100)))

    def row(name: str, work: Any, units: int, peer: Any, target: float | None, turns: int) -> Row:
        return Row(name, lambda: runner.run(work(ours)), lambda: runner.run(work(peer)), units, target, turns)

    many = TASKS * EACH
    return [
        row("asyncio: memcached get; peer worker threads", gets, SINGLES, threads, 0.8, 100),
        row(f"asyncio: memcached get, {TASKS} tasks; peer threads", tasks, many, threads, 0.8, 30),
        row("asyncio: memcached get; peer aiomcache", gets, SINGLES, plain, None, 100),
        row(f"asyncio: memcached get, {TASKS} tasks; peer aiomcache", tasks, many, plain, None, 30),
    ]


async def gets(client: Any) -> None:
    """GET, one at a time."""
    for key in KEYS[:SINGLES]:
        await client.get(key)


async def incrs(client: Any) -> None:
    """INCR, one at a time."""
    for key in KEYS[:SINGLES]:
        await client.incr("n" + key)


async def mapped(cluster: Any) -> None:
    """The batch as a map()."""
    async with cluster.map() as conn:
        queue(conn)


async def piped(client: Any) -> None:
    """The batch as a hand-written pipeline."""
    async with client.pipeline(transaction=False) as pipeline:
        queue(pipeline)
        await pipeline.execute()


async def tasks(client: Any) -> None:
    """GET, by tasks that run at the same time."""

    async def some(first: int) -> None:
        for key in KEYS[first : first + EACH]:
            await client.get(key)

    waiting: list[Coroutine[Any, Any, None]] = [some(number * EACH) for number in range(TASKS)]
    await asyncio.gather(*waiting)


async def closed(*clients: Any) -> None:
    """Close the connections."""
    for client in clients:
        await client.aclose()
