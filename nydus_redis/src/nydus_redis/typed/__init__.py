"""Clusters as type checkers and editors see them: with all methods of ``redis.Redis``. At run time nothing differs.

A ``Cluster`` takes any attribute, for the engine may use any client library. The engine of a ``RedisCluster`` is known, so
that ``cluster.zadd(...)`` is completed, and its arguments are checked. An ``AsyncRedisCluster`` is the same with the methods
of ``redis.asyncio.Redis``.
"""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_redis.typed.blocking import RedisCluster, as_redis_cluster, create_redis_cluster

if TYPE_CHECKING:
    from nydus_redis.typed.aio import AsyncRedisCluster, as_async_redis_cluster, create_async_redis_cluster
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_redis.typed.aio": [
                "AsyncRedisCluster",
                "as_async_redis_cluster",
                "create_async_redis_cluster",
            ]
        },
    )

__all__ = [
    "AsyncRedisCluster",
    "RedisCluster",
    "as_async_redis_cluster",
    "as_redis_cluster",
    "create_async_redis_cluster",
    "create_redis_cluster",
]
