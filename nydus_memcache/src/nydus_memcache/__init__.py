"""The memcached backend of Nydus, on pymemcache. The engines are ``Memcache`` and, for asyncio, ``AsyncMemcache``."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_memcache.engine import Memcache
from nydus_memcache.errors import IllegalArgument, IllegalKey, UnreadableValue

if TYPE_CHECKING:
    from nydus_memcache.engine import AsyncMemcache
    from nydus_memcache.typed import (
        AsyncMemcacheCluster,
        MemcacheCluster,
        as_async_memcache_cluster,
        as_memcache_cluster,
        create_async_memcache_cluster,
        create_memcache_cluster,
    )
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_memcache.engine": ["AsyncMemcache"],
            "nydus_memcache.typed": [
                "AsyncMemcacheCluster",
                "MemcacheCluster",
                "as_async_memcache_cluster",
                "as_memcache_cluster",
                "create_async_memcache_cluster",
                "create_memcache_cluster",
            ],
        },
    )

__all__ = [
    "AsyncMemcache",
    "AsyncMemcacheCluster",
    "IllegalArgument",
    "IllegalKey",
    "Memcache",
    "MemcacheCluster",
    "UnreadableValue",
    "as_async_memcache_cluster",
    "as_memcache_cluster",
    "create_async_memcache_cluster",
    "create_memcache_cluster",
]
