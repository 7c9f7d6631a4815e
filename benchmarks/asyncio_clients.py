"""Clients of the asyncio rows, ours and the peers, all in one event loop, and the work that they do."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Any, TypeAlias

import redis.asyncio
from redis_peers import SECONDS
from redis_rows import ROUTER
from side_by_side import BATCH, KEYS

from memcached import MemcachedServer
from nydus.db import create_async_cluster
from nydus_redis.embedded.server import PrivateServer

TASKS = 200
#: Commands of each task: so many that the start of the tasks hardly counts.
EACH = 50
#: Commands of a task that is alone.
ALONE = 500

Work: TypeAlias = Callable[[Any, Sequence[str]], Coroutine[Any, Any, Any]]


class Loop:
    """An event loop, and clients that are closed before it ends.

    Parameters:
        stack: At its end the loop ends.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._runner = stack.enter_context(asyncio.Runner())
        self._stack = stack

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return the result of a coroutine."""
        return self._runner.run(coroutine)

    def work(self, work: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Callable[[], Any]:
        """Return a function that does some work in this loop."""
        return lambda: self.run(work(*arguments))

    def closes(self, client: Any) -> Any:
        """Return a client, and close it at the end. There is nothing to close where no client is."""
        if client is not None:
            # GLIDE has close(), all others aclose()
            close = client.aclose if hasattr(client, "aclose") else client.close
            self._stack.callback(self.work(close))
        return client

    def cluster(
        self, engine: Any, servers: Sequence[PrivateServer] | Sequence[MemcachedServer], **options: Any
    ) -> Any:
        """Return a cluster over some servers, whose hosts all have these options."""
        hosts = [{"host": "127.0.0.1", "port": server.port} for server in servers]
        made = {"engine": engine, "router": ROUTER, "hosts": hosts, "defaults": options}
        return self.closes(create_async_cluster(made))

    def redis_py(self, server: PrivateServer) -> Any:
        """Return redis-py's client. Its own number of connections is 100, and beyond it refuses."""
        return self.closes(redis.asyncio.Redis(port=server.port, max_connections=TASKS))

    def glide(self, server: PrivateServer) -> Any:
        """Return GLIDE's client, or None."""
        glide = glide_module()
        if glide is None:
            return None
        at = glide.NodeAddress("127.0.0.1", server.port)
        options = glide.GlideClientConfiguration([at], request_timeout=int(SECONDS * 1000))
        return self.closes(self.run(glide.GlideClient.create(options)))

    def aiomcache(self, server: MemcachedServer) -> Any:
        """Return aiomcache's client."""
        return self.closes(Aiomcache(server.port))


@cache
def glide_module() -> Any:
    """Return GLIDE, a client in Rust, or None where it is not installed."""
    try:
        return importlib.import_module("glide")
    except ImportError:
        print("GLIDE for asyncio is not installed: its rows are left out (pip install valkey-glide)")
        return None


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


async def gets(client: Any, keys: Sequence[str]) -> None:
    """GET, one at a time."""
    for key in keys:
        await client.get(key)


async def sets(client: Any, keys: Sequence[str]) -> None:
    """SET, one at a time."""
    for key in keys:
        await client.set(key, "value")


async def tasks(client: Any, work: Work, count: int, each: int) -> list[Any]:
    """Return the results of tasks that run at the same time.

    Parameters:
        client: The client that all tasks share.
        work: The work of a task, by its keys.
        count: How many tasks.
        each: How many commands each of them sends. It divides the number of keys.
    """
    firsts = [number * each % BATCH for number in range(count)]
    return await asyncio.gather(*(work(client, KEYS[first : first + each]) for first in firsts))
