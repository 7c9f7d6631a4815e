"""Fixtures that give any test of the repository real servers: see ``tests/support`` for what they are.

Nothing is started before a test asks for it. The servers of a pool are shared by the tests of one worker, one
after another, and handed out empty; a test that kills or reconfigures a server asks for a new one instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from memcached import MemcachedServer
from nydus_redis.embedded.server import PrivateServer
from pool import ServerPool, memcached_pool, redis_pool
from tls import make_certificate
from waiting import LONG

pytest_plugins = ["nydus_core.testing.fixtures"]  # `proxy`


@pytest.fixture(scope="session")
def _redis_pools() -> Iterator[dict[bool, ServerPool[PrivateServer]]]:
    pools = {tcp: redis_pool(tcp=tcp) for tcp in (False, True)}
    yield pools
    for pool in pools.values():
        pool.stop()


@pytest.fixture(scope="session")
def _memcached_pools() -> Iterator[dict[bool, ServerPool[MemcachedServer]]]:
    pools = {tcp: memcached_pool(tcp=tcp) for tcp in (False, True)}
    yield pools
    for pool in pools.values():
        pool.stop()


@pytest.fixture
def redis_servers(
    _redis_pools: dict[bool, ServerPool[PrivateServer]],
) -> Iterator[Callable[..., list[PrivateServer]]]:
    """``redis_servers(3)``: that many running, empty Redis servers; with ``tcp=True`` on a port too."""

    def give(count: int, *, tcp: bool = False) -> list[PrivateServer]:
        return _redis_pools[tcp].take(count)

    yield give
    for pool in _redis_pools.values():
        pool.give_back()


@pytest.fixture
def memcached_servers(
    _memcached_pools: dict[bool, ServerPool[MemcachedServer]],
) -> Iterator[Callable[..., list[MemcachedServer]]]:
    """``memcached_servers(3)``: that many running, empty memcached servers; on a port with ``tcp=True``."""

    def give(count: int, *, tcp: bool = False) -> list[MemcachedServer]:
        return _memcached_pools[tcp].take(count)

    yield give
    for pool in _memcached_pools.values():
        pool.give_back()


@pytest.fixture
def new_redis_server() -> Iterator[Callable[..., PrivateServer]]:
    """``new_redis_server({"maxmemory": "2mb"})``: a Redis server of this test alone, which may kill it."""
    servers: list[PrivateServer] = []

    def start(config: Mapping[str, str | int] | None = None, *, tcp: bool = False) -> PrivateServer:
        servers.append(PrivateServer(config, tcp=tcp))
        return servers[-1].wait(LONG)

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def new_memcached_server() -> Iterator[Callable[..., MemcachedServer]]:
    """``new_memcached_server(["-m", "8"])``: a memcached of this test alone, which may kill it."""
    servers: list[MemcachedServer] = []

    def start(options: list[str] | None = None, *, tcp: bool = False) -> MemcachedServer:
        servers.append(MemcachedServer(options, tcp=tcp))
        return servers[-1].wait(LONG)

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and a certificate for localhost."""
    return make_certificate(tmp_path)
