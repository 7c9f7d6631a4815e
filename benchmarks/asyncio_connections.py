"""How many connections each server has while many tasks send commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import redis
from asyncio_clients import EACH, TASKS, Loop, gets, tasks
from pymemcache.client.base import Client

from memcached import MemcachedServer
from nydus_redis.embedded.server import PrivateServer
from waiting import until

#: Seconds between two looks.
OFTEN = 0.005


class Connections(NamedTuple):
    """The most connections that a client has had with each server."""

    client: str
    each: list[int]


def connections(
    redis_servers: list[PrivateServer], memcached_servers: list[MemcachedServer], each: int = EACH
) -> Iterator[Connections]:
    """Count those of the clusters and of their peers, one after the other.

    Parameters:
        redis_servers: One for each host. Nobody else connects to them now.
        memcached_servers: The same.
        each: How many commands a task sends.
    """
    with ExitStack() as stack:
        asked = [stack.enter_context(redis.Redis(port=server.port)) for server in redis_servers]

        def redis_count() -> list[int]:
            return [client.info("clients")["connected_clients"] for client in asked]

        made: list[tuple[str, Callable[[Loop], Any]]] = [
            ("Nydus", lambda loop: loop.cluster("redis", redis_servers)),
            ("Nydus, batching off", lambda loop: loop.cluster("redis", redis_servers, batching=False)),
            ("redis.asyncio, one host", lambda loop: loop.redis_py(redis_servers[0])),
            ("GLIDE, one host", lambda loop: loop.glide(redis_servers[0])),
        ]
        for name, make in made:
            yield from _counted(name, make, redis_count, each)

    with ExitStack() as stack:
        stats = [Client(("127.0.0.1", server.port)) for server in memcached_servers]
        for client in stats:
            stack.callback(client.close)

        def memcached_count() -> list[int]:
            return [client.stats()[b"curr_connections"] for client in stats]

        made = [
            ("memcached, Nydus", lambda loop: loop.cluster("memcache", memcached_servers)),
            ("memcached, aiomcache, one host", lambda loop: loop.aiomcache(memcached_servers[0])),
        ]
        for name, make in made:
            yield from _counted(name, make, memcached_count, each)


def _counted(
    name: str, make: Callable[[Loop], Any], count: Callable[[], list[int]], each: int
) -> Iterator[Connections]:
    """Yield the connections beyond those that were there before, or nothing if there is no such client."""
    before = count()
    with ExitStack() as stack:
        loop = Loop(stack)
        client = make(loop)
        if client is None:
            return
        most = loop.run(_most(client, count, each))
    until(lambda: count() == before)  # a server closes its side later than the client
    yield Connections(name, [now - then for now, then in zip(most, before, strict=True)])


async def _most(client: Any, count: Callable[[], list[int]], each: int) -> list[int]:
    """Look at the servers again and again, while the tasks run and once behind."""
    running = asyncio.ensure_future(tasks(client, gets, TASKS, each))
    most = await asyncio.to_thread(count)
    while not running.done():
        await asyncio.sleep(OFTEN)
        most = [*map(max, most, await asyncio.to_thread(count))]
    await running
    return most


def show_connections(each: Iterator[Connections]) -> None:
    """Print the table."""
    print(f"| {f'asyncio: {TASKS} tasks, GET':50} | {'connections of each server':26} |")
    print(f"|{'-' * 52}|{'-' * 28}|")
    for client, counts in each:
        print(f"| {client:50} | {', '.join(map(str, counts)):26} |")
