"""The engine: one memcached host, with blocking calls and with asyncio."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_memcache.engine.blocking import Memcache

if TYPE_CHECKING:
    from nydus_memcache.engine.aio import AsyncMemcache
else:
    __getattr__, __dir__ = lazy(__name__, {"nydus_memcache.engine.aio": ["AsyncMemcache"]})

__all__ = [
    "AsyncMemcache",
    "Memcache",
]
