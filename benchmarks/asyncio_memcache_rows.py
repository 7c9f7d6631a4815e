"""memcached with asyncio, over all servers: beside aiomcache on one of them, and beside worker threads over all."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from asyncio_clients import ALONE, EACH, TASKS, Loop, gets, tasks
from memcache_rows import VALUES
from side_by_side import KEYS, Row

from memcached import MemcachedServer
from nydus_core import ThreadedEngine
from nydus_memcache import Memcache


class InThreads(ThreadedEngine):
    """The blocking memcached engine in worker threads."""

    sync_side = Memcache


def asyncio_memcache_rows(stack: ExitStack, servers: list[MemcachedServer], each: int = EACH) -> list[Row]:
    """The comparisons, all in one event loop.

    Parameters:
        stack: At its end all clients are closed.
        servers: One for each host of the clusters. aiomcache uses the first of them.
        each: How many commands a task sends.
    """
    loop = Loop(stack)
    cluster, threads = (loop.cluster(engine, servers) for engine in ("memcache", InThreads))
    for client in (cluster, loop.cluster("memcache", servers[:1])):
        loop.run(client.set_many(VALUES))

    def rows(name: str, peer: Any, many: float, alone: float) -> list[Row]:
        return [
            Row(
                f"asyncio: memcached get, {TASKS} tasks; peer {name}",
                loop.work(tasks, cluster, gets, TASKS, each),
                loop.work(tasks, peer, gets, TASKS, each),
                TASKS * each,
                many,
                15,
            ),
            Row(
                f"asyncio: memcached get, one task; peer {name}",
                loop.work(gets, cluster, KEYS[:ALONE]),
                loop.work(gets, peer, KEYS[:ALONE]),
                ALONE,
                alone,
                40,
            ),
        ]

    return [*rows("aiomcache", loop.aiomcache(servers[0]), 0.3, 0.9), *rows("threads", threads, 0.8, 0.8)]
