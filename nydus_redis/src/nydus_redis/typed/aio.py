"""The cluster for asyncio with the methods of ``redis.asyncio.Redis``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from nydus_core.aio import AsyncCluster
from nydus_core.create import create_async_cluster
from nydus_redis.engine import AsyncRedis
from nydus_redis.typed.engines import expect

if TYPE_CHECKING:
    import redis.asyncio

    from nydus_redis.surface import AsyncClusterScan
    from nydus_redis.typed.everywhere import Everywhere, NoSuchCommand

__all__ = ["AsyncRedisCluster", "as_async_redis_cluster", "create_async_redis_cluster"]

if TYPE_CHECKING:

    class AsyncRedisCluster(  # type: ignore[misc]  # redis-py's own bases do not agree on command_info()
        AsyncCluster, Everywhere, redis.asyncio.Redis
    ):
        """A cluster with the methods of ``redis.asyncio.Redis``; at run time the same class as ``AsyncCluster``."""

        def __getattr__(self, name: str) -> NoSuchCommand: ...

        def on(self, host: Any) -> redis.asyncio.Redis: ...

        async def aclose(self, close_connection_pool: bool | None = None) -> None: ...

        def scan_iter(  # type: ignore[override]  # redis-py has one that blocks and one that does not
            self,
            match: Any = None,
            count: int | None = None,
            _type: str | None = None,
            *,
            cursor: str | None = None,
            **kwargs: Any,
        ) -> AsyncClusterScan: ...

else:
    AsyncRedisCluster = AsyncCluster


def create_async_redis_cluster(
    settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None = None
) -> AsyncRedisCluster:
    """Make a cluster as ``create_async_cluster`` does, with the type of a Redis cluster.

    Parameters:
        settings: The settings, as for ``create_async_cluster``.
        name: The name of a cluster in a TOML file.

    Raises:
        ConfigError: The settings are wrong, or the engine is not for Redis.
    """
    return as_async_redis_cluster(create_async_cluster(settings, name))


def as_async_redis_cluster(cluster: AsyncCluster) -> AsyncRedisCluster:
    """Return the same cluster, with the type of a Redis cluster.

    Parameters:
        cluster: A cluster whose engine is ``redis``, ``embedded``, or a subclass of theirs.

    Raises:
        ConfigError: The cluster has another engine.
    """
    expect(cluster, AsyncRedis)
    return cast("AsyncRedisCluster", cluster)
