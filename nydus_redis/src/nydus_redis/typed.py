"""Clusters as type checkers and editors see them: with all methods of ``redis.Redis``. At run time nothing differs.

A ``Cluster`` takes any attribute, for the engine may use any client library. The engine of a ``RedisCluster`` is known, so
that ``cluster.zadd(...)`` is completed, and its arguments are checked. An ``AsyncRedisCluster`` is the same with the methods
of ``redis.asyncio.Redis``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import redis
import redis.asyncio

from nydus_core.aio import AsyncCluster
from nydus_core.cluster import Cluster
from nydus_core.create import create_async_cluster, create_cluster
from nydus_core.errors import ConfigError
from nydus_redis.engine import AsyncRedis, Redis
from nydus_redis.surface import AsyncClusterScan

__all__ = [
    "AsyncRedisCluster",
    "RedisCluster",
    "as_async_redis_cluster",
    "as_redis_cluster",
    "create_async_redis_cluster",
    "create_redis_cluster",
]

if TYPE_CHECKING:

    class NoSuchCommand:
        """The type of an attribute that is no command of redis-py: it cannot be called."""

    class Everywhere:
        """The methods whose commands go to all hosts: they return lists in host order, but no list for a single host."""

        acl_cat: Callable[..., Any]
        acl_deluser: Callable[..., Any]
        acl_dryrun: Callable[..., Any]
        acl_getuser: Callable[..., Any]
        acl_help: Callable[..., Any]
        acl_list: Callable[..., Any]
        acl_load: Callable[..., Any]
        acl_log: Callable[..., Any]
        acl_log_reset: Callable[..., Any]
        acl_save: Callable[..., Any]
        acl_setuser: Callable[..., Any]
        acl_users: Callable[..., Any]
        acl_whoami: Callable[..., Any]
        bgrewriteaof: Callable[..., Any]
        bgsave: Callable[..., Any]
        client_list: Callable[..., Any]
        client_pause: Callable[..., Any]
        client_unpause: Callable[..., Any]
        command: Callable[..., Any]
        command_count: Callable[..., Any]
        command_getkeys: Callable[..., Any]
        command_getkeysandflags: Callable[..., Any]
        command_list: Callable[..., Any]
        config_get: Callable[..., Any]
        config_resetstat: Callable[..., Any]
        config_rewrite: Callable[..., Any]
        config_set: Callable[..., Any]
        dbsize: Callable[..., Any]
        echo: Callable[..., Any]
        flushall: Callable[..., Any]
        flushdb: Callable[..., Any]
        function_delete: Callable[..., Any]
        function_dump: Callable[..., Any]
        function_flush: Callable[..., Any]
        function_kill: Callable[..., Any]
        function_list: Callable[..., Any]
        function_load: Callable[..., Any]
        function_restore: Callable[..., Any]
        function_stats: Callable[..., Any]
        hotkeys_get: Callable[..., Any]
        hotkeys_reset: Callable[..., Any]
        hotkeys_start: Callable[..., Any]
        hotkeys_stop: Callable[..., Any]
        info: Callable[..., Any]
        keys: Callable[..., Any]
        lastsave: Callable[..., Any]
        latency_history: Callable[..., Any]
        latency_latest: Callable[..., Any]
        latency_reset: Callable[..., Any]
        lolwut: Callable[..., Any]
        memory_malloc_stats: Callable[..., Any]
        memory_purge: Callable[..., Any]
        memory_stats: Callable[..., Any]
        module_list: Callable[..., Any]
        ping: Callable[..., Any]
        pubsub_channels: Callable[..., Any]
        pubsub_numpat: Callable[..., Any]
        pubsub_numsub: Callable[..., Any]
        pubsub_shardchannels: Callable[..., Any]
        pubsub_shardnumsub: Callable[..., Any]
        randomkey: Callable[..., Any]
        role: Callable[..., Any]
        save: Callable[..., Any]
        script_exists: Callable[..., Any]
        script_flush: Callable[..., Any]
        script_kill: Callable[..., Any]
        slowlog_get: Callable[..., Any]
        slowlog_len: Callable[..., Any]
        slowlog_reset: Callable[..., Any]
        time: Callable[..., Any]

    class RedisCluster(Cluster, Everywhere, redis.Redis):  # type: ignore[misc]  # redis-py's 'in' means keys
        """A cluster with the methods of ``redis.Redis``; at run time the same class as ``Cluster``."""

        def __getattr__(self, name: str) -> NoSuchCommand: ...

        def on(self, host: Any) -> redis.Redis: ...

    class AsyncRedisCluster(  # type: ignore[misc]  # redis-py's own bases do not agree on command_info()
        AsyncCluster, Everywhere, redis.asyncio.Redis
    ):
        """A cluster with the methods of ``redis.asyncio.Redis``; at run time the same class as ``AsyncCluster``."""

        def __getattr__(self, name: str) -> NoSuchCommand: ...

        def on(self, host: Any) -> redis.asyncio.Redis: ...

        async def aclose(self, close_connection_pool: bool | None = None) -> None: ...

        def scan_iter(  # type: ignore[override]  # redis-py has one that blocks and one that does not
            self,
            match: Any = None,
            count: int | None = None,
            _type: str | None = None,
            *,
            cursor: str | None = None,
            **kwargs: Any,
        ) -> AsyncClusterScan: ...

else:
    RedisCluster = Cluster
    AsyncRedisCluster = AsyncCluster


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
    _expect(cluster, Redis)
    return cast("RedisCluster", cluster)


def create_async_redis_cluster(
    settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None = None
) -> AsyncRedisCluster:
    """Make a cluster as ``create_async_cluster`` does, with the type of a Redis cluster.

    Parameters:
        settings: The settings, as for ``create_async_cluster``.
        name: The name of a cluster in a TOML file.

    Raises:
        ConfigError: The settings are wrong, or the engine is not for Redis.
    """
    return as_async_redis_cluster(create_async_cluster(settings, name))


def as_async_redis_cluster(cluster: AsyncCluster) -> AsyncRedisCluster:
    """Return the same cluster, with the type of a Redis cluster.

    Parameters:
        cluster: A cluster whose engine is ``redis``, ``embedded``, or a subclass of theirs.

    Raises:
        ConfigError: The cluster has another engine.
    """
    _expect(cluster, AsyncRedis)
    return cast("AsyncRedisCluster", cluster)


def _expect(cluster: Cluster | AsyncCluster, kind: type[Any]) -> None:
    for engine in cluster.hosts.values():
        if not isinstance(engine, kind):
            raise ConfigError(f"found {type(engine).__name__}; expected 'redis' or 'embedded'", "engine")
