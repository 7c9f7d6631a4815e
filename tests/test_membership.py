"""Hosts that leave a cluster: the calls under way end as they would have, and then no connection is left."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from clusters import async_cluster_of, cluster_of
from given import MemcachedServers, Proxies, RedisServers
from in_loop import in_loop
from waiting import LONG, until, until_async

FOREVER = 3600.0


@pytest.mark.parametrize("engine", ["redis", "memcache"])
def test_a_removed_host_keeps_its_connections_as_long_as_calls_use_them(
    engine: str,
    redis_servers: RedisServers,
    memcached_servers: MemcachedServers,
    proxy: Proxies,
) -> None:
    servers = (redis_servers if engine == "redis" else memcached_servers)(2)
    fronts = [proxy(server) for server in servers]
    with cluster_of(*fronts, engine=engine, router="partition", timeout=2 * LONG) as cluster:
        key = next(key for key in map(str, range(100)) if cluster.router.locate(key.encode()) == "0")
        cluster.set(key, b"here")
        answers: list[Any] = []
        fronts[0].delay = FOREVER
        threads = [threading.Thread(target=lambda: answers.append(cluster.get(key))) for _ in range(3)]
        sent = len(fronts[0].requests) + len(threads)
        for thread in threads:
            thread.start()
        until(lambda: len(fronts[0].requests) >= sent)

        cluster.remove_host(0)
        assert cluster.get(key) is None  # on the other host already

        fronts[0].delay = 0
        for thread in threads:
            thread.join(LONG)
        assert answers == [b"here"] * 3
        until(lambda: fronts[0].open_connections == 0)
        assert fronts[1].open_connections == 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pipeline_depth": 1},
        {"batching": 2},
        {"batching": False},
        {"batching": False, "max_connections": 1},
    ],
    ids=["shared", "shared, in line", "two shared", "own", "own, in line"],
)
def test_a_removed_host_answers_the_tasks_that_have_asked_it_with_asyncio(
    options: dict[str, int], redis_servers: RedisServers, proxy: Proxies
) -> None:
    fronts = [proxy(server) for server in redis_servers(2)]

    async def main() -> None:
        async with async_cluster_of(*fronts, router="partition", timeout=2 * LONG, **options) as cluster:
            key = next(key for key in map(str, range(100)) if cluster.router.locate(key.encode()) == "0")
            await cluster.set(key, b"here")
            fronts[0].requests.clear()
            fronts[0].delay = FOREVER
            tasks = [asyncio.create_task(cluster.get(key)) for _ in range(3)]

            async def mapped() -> Any:
                async with cluster.map() as conn:
                    found = conn.get(key)
                return found.value

            tasks.append(asyncio.create_task(mapped()))
            await until_async(lambda: fronts[0].requests)

            cluster.remove_host(0)
            assert await cluster.get(key) is None  # on the other host already

            fronts[0].delay = 0
            assert await asyncio.gather(*tasks) == [b"here"] * 4
            await until_async(lambda: fronts[0].open_connections == 0)
            assert fronts[1].open_connections == 1

    in_loop(main)
