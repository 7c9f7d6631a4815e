"""The engine of one host as surfaces and subscriptions see it: a source of connections, and of errors."""

from __future__ import annotations

from typing import Any, Protocol
from weakref import WeakSet

import redis

from nydus_core.aio import FairPool
from nydus_core.engines import AnyEngine
from nydus_core.errors import HostError
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.pool import Connections
from nydus_redis.connection.pool_aio import PipelinePool

__all__ = ["AsyncHost", "BlockingHost"]


class _AnyHost(AnyEngine, Protocol):
    def kind_of(self, cause: Exception) -> type[HostError]:
        """Return the outcome of a command that got no answer: maybe applied, unless the server has read nothing."""
        ...


class BlockingHost(_AnyHost, Protocol):
    """The engine of one host, with blocking calls."""

    @property
    def connections(self) -> Connections:
        """The connections of the host."""
        ...

    @property
    def pool(self) -> redis.ConnectionPool:
        """redis-py's pool of the same connections."""
        ...


class AsyncHost(_AnyHost, Protocol):
    """The engine of one host, with asyncio. Its pools belong to the running event loop."""

    @property
    def moves(self) -> Moves:
        """Is told the answers of the host, and whether it is a replica."""
        ...

    @property
    def pool(self) -> FairPool[Any]:
        """The connections for commands."""
        ...

    @property
    def pipelines(self) -> PipelinePool:
        """A pool of the same connections, of the kind that redis-py's pipelines need."""
        ...

    @property
    def held(self) -> Any:
        """A pool without a limit, for connections that are held for long, as subscriptions do."""
        ...

    @property
    def subscribers(self) -> WeakSet[Any]:
        """The subscriptions, each with its ``connection``, which are closed with the host."""
        ...

    async def hold(self) -> Any:
        """Open a connection that is held for long. The caller has to close it."""
        ...
