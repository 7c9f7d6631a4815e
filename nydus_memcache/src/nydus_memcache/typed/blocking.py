"""The blocking cluster with the methods of the memcache engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from nydus_core.cluster import Cluster
from nydus_core.create import create_cluster
from nydus_memcache.engine import Memcache
from nydus_memcache.surface import Surface
from nydus_memcache.typed.engines import expect

__all__ = ["MemcacheCluster", "as_memcache_cluster", "create_memcache_cluster"]

if TYPE_CHECKING:
    from nydus_memcache.typed.engines import NoSuchCommand

    class MemcacheCluster(Cluster, Surface):
        """A cluster with the methods of the memcache engine; at run time the same class as ``Cluster``."""

        def __getattr__(self, name: str) -> NoSuchCommand: ...  # type: ignore[override]

        def on(self, host: Any) -> Surface: ...

else:
    MemcacheCluster = Cluster


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
    expect(cluster, Memcache)
    return cast("MemcacheCluster", cluster)
