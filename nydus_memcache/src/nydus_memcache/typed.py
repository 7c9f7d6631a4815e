"""Clusters as type checkers and editors see them: with the methods of this engine. At run time nothing differs.

A ``Cluster`` takes any attribute, because its engine may be of any client library. The engine of a ``MemcacheCluster`` is
known, so an editor completes ``cluster.set_many(...)``, and a type checker checks the arguments. The methods of an
``AsyncMemcacheCluster`` are awaited.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from nydus_core.aio import AsyncCluster
from nydus_core.cluster import Cluster
from nydus_core.create import create_async_cluster, create_cluster
from nydus_core.errors import ConfigError
from nydus_memcache.engine import AsyncMemcache, Memcache
from nydus_memcache.surface import AsyncSurface, Surface

__all__ = [
    "AsyncMemcacheCluster",
    "MemcacheCluster",
    "as_async_memcache_cluster",
    "as_memcache_cluster",
    "create_async_memcache_cluster",
    "create_memcache_cluster",
]

if TYPE_CHECKING:

    class NoSuchCommand:
        """A method that the engine does not have. A type checker refuses to call it."""

    class MemcacheCluster(Cluster, Surface):
        """A cluster with the methods of the memcache engine; at run time the same class as ``Cluster``."""

        def __getattr__(self, name: str) -> NoSuchCommand: ...  # type: ignore[override]

        def on(self, host: Any) -> Surface: ...

    class AsyncMemcacheCluster(AsyncCluster, AsyncSurface):
        """A cluster with the methods of the memcache engine; at run time the same class as ``AsyncCluster``."""

        def __getattr__(self, name: str) -> NoSuchCommand: ...  # type: ignore[override]

        def on(self, host: Any) -> AsyncSurface: ...

else:
    MemcacheCluster = Cluster
    AsyncMemcacheCluster = AsyncCluster


def create_memcache_cluster(
    settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None = None
) -> MemcacheCluster:
    """Make a cluster as ``create_cluster`` does, typed as a cluster of memcached hosts.

    Parameters:
        settings: The settings, as for ``create_cluster``.
        name: Which cluster of a TOML file.

    Raises:
        ConfigError: The settings are wrong, or the engine is not ``memcache``.
    """
    return as_memcache_cluster(create_cluster(settings, name))


def as_memcache_cluster(cluster: Cluster) -> MemcacheCluster:
    """Return the same cluster, typed as a cluster of memcached hosts.

    Parameters:
        cluster: A cluster whose hosts are of the engine ``memcache``, or of a subclass.

    Raises:
        ConfigError: A host is of another engine.
    """
    _check(cluster.hosts.values(), Memcache)
    return cast("MemcacheCluster", cluster)


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
    _check(cluster.hosts.values(), AsyncMemcache)
    return cast("AsyncMemcacheCluster", cluster)


def _check(engines: Iterable[object], expected: type[object]) -> None:
    for engine in engines:
        if not isinstance(engine, expected):
            raise ConfigError(f"found {type(engine).__name__}; expected 'memcache'", "engine")
