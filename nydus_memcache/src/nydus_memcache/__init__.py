"""The memcached backend of Nydus, on pymemcache. ``Memcache`` talks to one host."""

from nydus_memcache.engine import Memcache
from nydus_memcache.errors import IllegalArgument, IllegalKey, UnreadableValue
from nydus_memcache.typed import MemcacheCluster, as_memcache_cluster, create_memcache_cluster

__all__ = [
    "IllegalArgument",
    "IllegalKey",
    "Memcache",
    "MemcacheCluster",
    "UnreadableValue",
    "as_memcache_cluster",
    "create_memcache_cluster",
]
