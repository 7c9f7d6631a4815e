"""The engine: one Redis or Valkey host, with blocking calls and with asyncio."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_redis.engine.blocking import Redis
from nydus_redis.engine.host import RedisHost

if TYPE_CHECKING:
    from nydus_redis.engine.aio import AsyncRedis
else:
    __getattr__, __dir__ = lazy(__name__, {"nydus_redis.engine.aio": ["AsyncRedis"]})

__all__ = [
    "AsyncRedis",
    "Redis",
    "RedisHost",
]
