"""The engine of one host with asyncio, as surfaces and subscriptions see it. See ``host.py``."""

from __future__ import annotations

from typing import Any, Protocol
from weakref import WeakSet

from nydus_core.aio import FairPool
from nydus_redis.connection.host import AnyHost
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.pool_aio import PipelinePool

__all__ = ["AsyncHost"]


class AsyncHost(AnyHost, Protocol):
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
