"""Clusters as type checkers and editors see them: with the methods of this engine. At run time nothing differs.

A ``Cluster`` takes any attribute, because its engine may be of any client library. The engine of a ``MemcacheCluster`` is
known, so an editor completes ``cluster.set_many(...)``, and a type checker checks the arguments. The methods of an
``AsyncMemcacheCluster`` are awaited.
"""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_memcache.typed.blocking import MemcacheCluster, as_memcache_cluster, create_memcache_cluster

if TYPE_CHECKING:
    from nydus_memcache.typed.aio import (
        AsyncMemcacheCluster,
        as_async_memcache_cluster,
        create_async_memcache_cluster,
    )
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_memcache.typed.aio": [
                "AsyncMemcacheCluster",
                "as_async_memcache_cluster",
                "create_async_memcache_cluster",
            ]
        },
    )

__all__ = [
    "AsyncMemcacheCluster",
    "MemcacheCluster",
    "as_async_memcache_cluster",
    "as_memcache_cluster",
    "create_async_memcache_cluster",
    "create_memcache_cluster",
]
