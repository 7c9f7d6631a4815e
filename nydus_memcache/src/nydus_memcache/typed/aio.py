"""The cluster for asyncio with the methods of the memcache engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from nydus_core.aio import AsyncCluster
from nydus_core.create import create_async_cluster
from nydus_memcache.engine import AsyncMemcache
from nydus_memcache.surface import AsyncSurface
from nydus_memcache.typed.engines import expect

__all__ = ["AsyncMemcacheCluster", "as_async_memcache_cluster", "create_async_memcache_cluster"]

if TYPE_CHECKING:
    from nydus_memcache.typed.engines import NoSuchCommand

    class AsyncMemcacheCluster(AsyncCluster, AsyncSurface):
        """A cluster with the methods of the memcache engine; at run time the same class as ``AsyncCluster``."""

        def __getattr__(self, name: str) -> NoSuchCommand: ...  # type: ignore[override]

        def on(self, host: Any) -> AsyncSurface: ...

else:
    AsyncMemcacheCluster = AsyncCluster


def create_async_memcache_cluster(
    settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None = None
) -> AsyncMemcacheCluster:
    """Make a cluster as ``create_async_cluster`` does, typed as a cluster of memcached hosts.

    Parameters:
        settings: The settings, as for ``create_async_cluster``.
        name: Which cluster of a TOML file.

    Raises:
        ConfigError: The settings are wrong, or the engine is not ``memcache``.
    """
    return as_async_memcache_cluster(create_async_cluster(settings, name))


def as_async_memcache_cluster(cluster: AsyncCluster) -> AsyncMemcacheCluster:
    """Return the same cluster, typed as a cluster of memcached hosts.

    Parameters:
        cluster: A cluster whose hosts are of the engine ``memcache``, or of a subclass of ``AsyncMemcache``.

    Raises:
        ConfigError: A host is of another engine.
    """
    expect(cluster, AsyncMemcache)
    return cast("AsyncMemcacheCluster", cluster)
