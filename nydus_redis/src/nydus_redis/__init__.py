"""The Redis and Valkey backend of Nydus, on redis-py. ``Redis`` talks to one host; ``Embedded`` brings its own."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_redis.engine import Redis

if TYPE_CHECKING:
    from nydus_redis.typed import (
        AsyncRedisCluster,
        RedisCluster,
        as_async_redis_cluster,
        as_redis_cluster,
        create_async_redis_cluster,
        create_redis_cluster,
    )
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_redis.typed": [
                "AsyncRedisCluster",
                "RedisCluster",
                "as_async_redis_cluster",
                "as_redis_cluster",
                "create_async_redis_cluster",
                "create_redis_cluster",
            ]
        },
    )

__all__ = [
    "AsyncRedisCluster",
    "Redis",
    "RedisCluster",
    "as_async_redis_cluster",
    "as_redis_cluster",
    "create_async_redis_cluster",
    "create_redis_cluster",
]
