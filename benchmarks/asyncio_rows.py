"""The asyncio side: many tasks, one task and map(), beside ``redis.asyncio`` and GLIDE, each on one server."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

from asyncio_clients import ALONE, EACH, TASKS, Loop, Work, gets, sets, tasks
from redis_rows import VALUES, queue_gets, queue_incrs, queue_sets
from side_by_side import BATCH, KEYS, Row

from nydus_redis.embedded.server import PrivateServer

MORE_TASKS = (1_000, 5_000)
#: Seconds that a task may wait for its turn: on a busy machine thousands of them may need more than the usual 5.
PATIENCE = 60.0
COMMANDS: list[tuple[str, Work]] = [("GET", gets), ("SET", sets)]
BATCHES: list[tuple[str, Callable[[Any], Any]]] = [("GET", queue_gets), ("SET", queue_sets)]


def asyncio_rows(stack: ExitStack, servers: list[PrivateServer], each: int = EACH) -> list[Row]:
    """The comparisons, all in one event loop.

    Parameters:
        stack: At its end all clients are closed.
        servers: One for each host of the clusters. The peers use the first of them.
        each: How many commands a task sends.
    """
    loop = Loop(stack)
    cluster = loop.cluster("redis", servers, timeout=PATIENCE)
    apart = loop.cluster("redis", servers, timeout=PATIENCE, batching=False)
    plain, glide = loop.redis_py(servers[0]), loop.glide(servers[0])
    for client in (cluster, plain):
        loop.run(client.mset(VALUES))
    rows = [
        *_tasks(loop, cluster, plain, each, "redis.asyncio", 0.12),
        *_tasks(loop, cluster, apart, each, "batching off", 0.2),
        *_more_tasks(loop, cluster, each),
        *_alone(loop, cluster, plain),
        *_batches(loop, cluster, plain, piped, "pipeline", 0.3, [*BATCHES, ("INCR", queue_incrs)]),
    ]
    if glide is not None:
        rows += _tasks(loop, cluster, glide, each, "GLIDE", 0.25)
        rows += _batches(loop, cluster, glide, sent, "GLIDE", 1.0, BATCHES)
    return rows


def _tasks(loop: Loop, cluster: Any, peer: Any, each: int, name: str, target: float) -> list[Row]:
    return [
        Row(
            f"asyncio: {command}, {TASKS} tasks; peer {name}",
            loop.work(tasks, cluster, work, TASKS, each),
            loop.work(tasks, peer, work, TASKS, each),
            TASKS * each,
            target,
            15,
        )
        for command, work in COMMANDS
    ]


def _more_tasks(loop: Loop, cluster: Any, each: int) -> list[Row]:
    """The same cluster as its own peer, which sends as many commands with fewer tasks."""
    return [
        Row(
            f"asyncio: GET, {count} tasks; peer {TASKS} tasks",
            loop.work(tasks, cluster, gets, count, each),
            loop.work(tasks, cluster, gets, TASKS, each * count // TASKS),
            count * each,
            1.0,
            7,
        )
        for count in MORE_TASKS
    ]


def _alone(loop: Loop, cluster: Any, plain: Any) -> list[Row]:
    keys = KEYS[:ALONE]
    return [
        Row(
            f"asyncio: {command}, one task; peer redis.asyncio",
            loop.work(work, cluster, keys),
            loop.work(work, plain, keys),
            ALONE,
            0.6,
            40,
        )
        for command, work in COMMANDS
    ]


def _batches(
    loop: Loop,
    cluster: Any,
    peer: Any,
    send: Callable[[Any, Callable[[Any], Any]], Coroutine[Any, Any, Any]],
    name: str,
    target: float,
    batches: list[tuple[str, Callable[[Any], Any]]],
) -> list[Row]:
    """Return the rows of a peer that sends batches with ``send``."""
    return [
        Row(
            f"asyncio: map() of {BATCH} {command}; peer {name}",
            loop.work(mapped, cluster, work),
            loop.work(send, peer, work),
            BATCH,
            target,
            15,
        )
        for command, work in batches
    ]


async def mapped(cluster: Any, work: Callable[[Any], Any]) -> None:
    """A batch as a map()."""
    async with cluster.map() as conn:
        work(conn)


async def piped(client: Any, work: Callable[[Any], Any]) -> None:
    """A batch as a hand-written pipeline."""
    async with client.pipeline(transaction=False) as pipeline:
        work(pipeline)
        await pipeline.execute()


async def sent(client: Any, work: Callable[[Any], Any]) -> None:
    """A batch as GLIDE has them."""
    batch = importlib.import_module("glide").Batch(is_atomic=False)
    work(batch)
    await client.exec(batch, raise_on_error=True)
