"""A host as surfaces and subscriptions see it: where its connections come from, and how it words its errors."""

from __future__ import annotations

from typing import Any, Protocol

import redis

from nydus_core.aio import FairPool
from nydus_core.engines import AnyEngine
from nydus_redis.connection.pool import Pool
from nydus_redis.connection.pool_aio import PipelinePool

__all__ = ["AsyncHost", "BlockingHost"]


class BlockingHost(AnyEngine, Protocol):
    """The engine of one host, with blocking calls."""

    @property
    def connections(self) -> Pool:
        """The connections."""
        ...

    @property
    def pool(self) -> redis.ConnectionPool:
        """The same connections, as redis-py's pool."""
        ...


class AsyncHost(AnyEngine, Protocol):
    """The engine of one host, with asyncio. All its pools are those of the running event loop."""

    @property
    def pool(self) -> FairPool[Any]:
        """The connections for commands."""
        ...

    @property
    def pipelines(self) -> PipelinePool:
        """The same connections, as redis-py's pipelines want them."""
        ...

    @property
    def held(self) -> Any:
        """A pool for connections that are held for long, such as those of subscriptions; without a limit."""
        ...

    async def hold(self) -> Any:
        """Open a connection that is held for long, and belongs to the caller, who closes it."""
        ...
