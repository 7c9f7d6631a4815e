"""Hosts that leave a cluster: the calls under way end as they would have, and then no connection is left."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from given import MemcachedServers, Proxies, RedisServers
from nydus.db import create_cluster


@pytest.mark.parametrize("engine", ["redis", "memcache"])
def test_a_removed_host_keeps_its_connections_as_long_as_calls_use_them(
    engine: str,
    redis_servers: RedisServers,
    memcached_servers: MemcachedServers,
    proxy: Proxies,
) -> None:
    servers = (redis_servers if engine == "redis" else memcached_servers)(2)
    fronts = [proxy(server) for server in servers]
    hosts = [{"unix_socket_path": front.path} for front in fronts]
    with create_cluster({"engine": engine, "router": "partition", "hosts": hosts}) as cluster:
        key = next(key for key in map(str, range(100)) if cluster.router.locate(key.encode()) == "0")
        cluster.set(key, b"here")
        answers: list[Any] = []
        fronts[0].delay = 0.3
        threads = [threading.Thread(target=lambda: answers.append(cluster.get(key))) for _ in range(3)]
        sent = len(fronts[0].requests) + len(threads)
        for thread in threads:
            thread.start()
        while len(fronts[0].requests) < sent:
            time.sleep(0.01)

        cluster.remove_host(0)
        assert cluster.get(key) is None  # on the other host already

        for thread in threads:
            thread.join(10)
        assert answers == [b"here"] * 3
        until = time.monotonic() + 10
        while fronts[0].open_connections:
            assert time.monotonic() < until, "connections were left open"
            time.sleep(0.01)
        assert fronts[1].open_connections == 1
