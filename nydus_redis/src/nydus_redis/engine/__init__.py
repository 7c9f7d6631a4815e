"""The engine: one Redis or Valkey host, with blocking calls and with asyncio."""

from nydus_redis.engine.aio import AsyncRedis
from nydus_redis.engine.blocking import Redis
from nydus_redis.engine.host import RedisHost

__all__ = [
    "AsyncRedis",
    "Redis",
    "RedisHost",
]
