"""Clusters as type checkers and editors see them: with the methods of this engine. At run time nothing differs.

A ``Cluster`` takes any attribute, for its engine may be any client library. A ``MemcacheCluster`` is one whose engine is
known, so that ``cluster.set_many(...)`` is completed, and its arguments are checked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from nydus_core.cluster import Cluster
from nydus_core.create import create_cluster
from nydus_core.errors import ConfigError
from nydus_memcache.engine import Memcache
from nydus_memcache.surface import Surface

__all__ = ["MemcacheCluster", "as_memcache_cluster", "create_memcache_cluster"]

if TYPE_CHECKING:

    class NoSuchCommand:
        """What the engine has no method for: it cannot be called."""

    class MemcacheCluster(Cluster, Surface):
        """A cluster with the methods of the memcache engine; at run time the same class as ``Cluster``."""

        def __getattr__(self, name: str) -> NoSuchCommand: ...  # type: ignore[override]

        def on(self, host: Any) -> Surface: ...

else:
    MemcacheCluster = Cluster


def create_memcache_cluster(
    settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None = None
) -> MemcacheCluster:
    """Make a cluster as ``create_cluster`` does, typed as one of memcached.

    Parameters:
        settings: What ``create_cluster`` takes.
        name: Which cluster of a TOML file.

    Raises:
        ConfigError: The settings are wrong, or the engine is not ``memcache``.
    """
    return as_memcache_cluster(create_cluster(settings, name))


def as_memcache_cluster(cluster: Cluster) -> MemcacheCluster:
    """Return the same cluster, typed as one of memcached.

    Parameters:
        cluster: A cluster whose hosts are of the engine ``memcache``, or of a subclass.

    Raises:
        ConfigError: They are not.
    """
    for engine in cluster.hosts.values():
        if not isinstance(engine, Memcache):
            raise ConfigError(f"found {type(engine).__name__}; expected 'memcache'", "engine")
    return cast("MemcacheCluster", cluster)
