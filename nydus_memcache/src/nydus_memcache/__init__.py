"""The memcached backend of Nydus, on pymemcache. The engines are ``Memcache`` and, for asyncio, ``AsyncMemcache``."""

from nydus_memcache.engine import AsyncMemcache, Memcache
from nydus_memcache.errors import IllegalArgument, IllegalKey, UnreadableValue
from nydus_memcache.typed import (
    AsyncMemcacheCluster,
    MemcacheCluster,
    as_async_memcache_cluster,
    as_memcache_cluster,
    create_async_memcache_cluster,
    create_memcache_cluster,
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
