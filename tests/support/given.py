"""The types of the fixtures of ``conftest.py``, for the tests that ask for them: ``redis_servers: RedisServers``."""

from __future__ import annotations

from collections.abc import Callable

from memcached import MemcachedServer
from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer

__all__ = ["MemcachedServers", "NewMemcachedServer", "NewRedisServer", "Proxies", "RedisServers"]

RedisServers = Callable[..., list[PrivateServer]]
MemcachedServers = Callable[..., list[MemcachedServer]]
NewRedisServer = Callable[..., PrivateServer]
NewMemcachedServer = Callable[..., MemcachedServer]
Proxies = Callable[..., FaultProxy]
