"""The blocking cluster with the methods of ``redis.Redis``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from nydus_core.cluster import Cluster
from nydus_core.create import create_cluster
from nydus_redis.engine import Redis
from nydus_redis.typed.engines import expect

if TYPE_CHECKING:
    import redis

    from nydus_redis.typed.everywhere import Everywhere, NoSuchCommand

__all__ = ["RedisCluster", "as_redis_cluster", "create_redis_cluster"]

if TYPE_CHECKING:

    class RedisCluster(Cluster, Everywhere, redis.Redis):  # type: ignore[misc]  # redis-py's 'in' means keys
        """A cluster with the methods of ``redis.Redis``; at run time the same class as ``Cluster``."""

        def __getattr__(self, name: str) -> NoSuchCommand: ...

        def on(self, host: Any) -> redis.Redis: ...

else:
    RedisCluster = Cluster


def create_redis_cluster(
    settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None = None
) -> RedisCluster:
    """Make a cluster as ``create_cluster`` does, with the type of a Redis cluster.

    Parameters:
        settings: The settings, as for ``create_cluster``.
        name: The name of a cluster in a TOML file.

    Raises:
        ConfigError: The settings are wrong, or the engine is not for Redis.
    """
    return as_redis_cluster(create_cluster(settings, name))


def as_redis_cluster(cluster: Cluster) -> RedisCluster:
    """Return the same cluster, with the type of a Redis cluster.

    Parameters:
        cluster: A cluster whose engine is ``redis``, ``embedded``, or a subclass of theirs.

    Raises:
        ConfigError: The cluster has another engine.
    """
    expect(cluster, Redis)
    return cast("RedisCluster", cluster)
