"""The Redis and Valkey backend of Nydus, on redis-py. ``Redis`` talks to one host; ``Embedded`` brings its own."""

from nydus_redis.engine import Redis
from nydus_redis.typed import (
    AsyncRedisCluster,
    RedisCluster,
    as_async_redis_cluster,
    as_redis_cluster,
    create_async_redis_cluster,
    create_redis_cluster,
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
