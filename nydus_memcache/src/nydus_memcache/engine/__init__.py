"""The engine: one memcached host, with blocking calls and with asyncio."""

from nydus_memcache.engine.aio import AsyncMemcache
from nydus_memcache.engine.blocking import Memcache

__all__ = [
    "AsyncMemcache",
    "Memcache",
]
