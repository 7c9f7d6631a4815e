"""Give the tests of redis-py a cluster of Nydus instead of a client. A plugin of pytest, loaded by ``peer_tests.py``.

``PEER_PORTS`` has the ports of the servers, one for each host of the cluster. If it is empty, redis-py's client is tested. The
fixtures and tests of redis-py stay as they are; only the function that makes a client for them is another one.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.connection import parse_url

from nydus_core import create_async_cluster, create_cluster

_parse_url: Any = parse_url  # has no types
#: The ports of the servers.
PORTS = os.environ["PEER_PORTS"].split(",") if os.environ["PEER_PORTS"] else []
#: Options that redis-py's fixtures give to a pool, and a host of a cluster does not take.
POOL_OPTIONS = ("connection_class",)


def settings(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a cluster.

    Parameters:
        options: The options of redis-py's client, all of which hold for each host, but for the port.
    """
    known = {name: value for name, value in options.items() if name not in POOL_OPTIONS}
    hosts = {
        f"h{number}": {**known, "host": "127.0.0.1", "port": int(port)} for number, port in enumerate(PORTS)
    }
    # dotted paths: to look for names among what is installed takes time, and each test makes a cluster
    return {"engine": "nydus_redis.Redis", "router": "nydus_core.routers.Rendezvous", "hosts": hosts}


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out the variants of asynchronous tests that ask for a client with a single connection, which is no cluster."""
    config.hook.pytest_deselected(items=[item for item in items if item.name.endswith("[single]")])
    items[:] = [item for item in items if not item.name.endswith("[single]")]


def pytest_sessionstart(session: Any) -> None:
    """Have the fixtures of the blocking tests make clusters."""
    if not PORTS:
        return
    conftest: Any = importlib.import_module("tests.conftest")

    def get_client(cls: Any, request: Any, *_: Any, flushdb: bool = True, **options: Any) -> Any:
        if cls is not redis.Redis:
            pytest.skip(f"a client of class {cls.__name__}")
        options.pop("single_connection_client", None)
        url = options.pop("from_url", None) or request.config.getoption("--redis-url")
        cluster = create_cluster(settings({**_parse_url(url), **options}))
        if request:

            def end() -> None:
                if flushdb:
                    cluster.flushdb()
                cluster.close()

            request.addfinalizer(end)
        return cluster

    conftest._get_client = get_client


@pytest.fixture(autouse=True)
def _memory_without_a_limit() -> Iterator[None]:
    """Take a limit of memory back that a test has set, where the test could not: with several hosts it read a list."""
    yield
    for port in PORTS:
        with redis.Redis(port=int(port)) as client:
            client.config_set("maxmemory", 0)


@pytest.fixture(autouse=True)
def _async_clients_are_clusters(monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    """Have the fixtures of the asynchronous tests make clusters."""
    conftest = sys.modules.get("tests.test_asyncio.conftest")
    if PORTS and conftest is not None and "test_asyncio" in str(request.node.path):
        monkeypatch.setattr(conftest, "redis", _AsyncRedis)


class _AsyncRedis:
    """The names of ``redis.asyncio`` that the fixtures use."""

    class ConnectionPool:
        """The options of a pool."""

        def __init__(self, **options: Any) -> None:
            self.options = options

    ConnectionError = redis.ConnectionError
    RedisCluster = redis.asyncio.RedisCluster

    @staticmethod
    def Redis(connection_pool: Any) -> Any:
        """Make a cluster of the options of a pool."""
        return create_async_cluster(settings(connection_pool.options))
