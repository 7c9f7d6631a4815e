"""The shared connections of asyncio in the event loop of uvloop, whose transports are other ones, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from clusters import NO_RETRY, async_cluster_of
from given import MemcachedServers, Proxies, RedisServers
from nydus_core import MaybeApplied
from tls import TlsFront, make_certificate
from waiting import until_async
from waiting_time import timeout_of

uvloop = pytest.importorskip("uvloop", reason="the dependency group 'test' brings uvloop, but on Windows")

ONCE = {"retry": NO_RETRY, "health": {"failures": 10**6, "calls": 10**6}}


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def some(cluster: Any, number: int) -> None:
    """Commands whose answers are told apart."""
    key, value = f"key{number}", f"value{number}".encode() * 1000
    assert await cluster.set(key, value)
    assert await cluster.get(key) == value
    async with cluster.map() as conn:
        values = [conn.get(key), conn.get("none"), conn.get(key)]
    assert values == [value, None, value]


@pytest.mark.parametrize("engine", ["redis", "memcache"])
def test_tasks_share_a_connection(
    redis_servers: RedisServers, memcached_servers: MemcachedServers, proxy: Proxies, engine: str
) -> None:
    relay = proxy((redis_servers if engine == "redis" else memcached_servers)(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, engine=engine) as cluster:
            await asyncio.gather(*(some(cluster, number) for number in range(100)))
            assert relay.connections == 1
        await until_async(lambda: relay.open_connections == 0)

    run(main)


def test_tasks_share_a_connection_with_tls(redis_servers: RedisServers, tmp_path: Path) -> None:
    hosts: list[dict[str, Any]] = [{"host": "localhost"}]
    with TlsFront(redis_servers(1)[0], certificate := make_certificate(tmp_path)) as front:
        hosts[0].update(port=front.port, ssl=True, ssl_ca_certs=str(certificate))

        async def main() -> None:
            async with async_cluster_of(hosts=hosts) as cluster:
                await asyncio.gather(*(some(cluster, number) for number in range(50)))
                assert front.connections == 1

        run(main)


@pytest.mark.parametrize("fault", ["cut", "hung"])
def test_each_command_has_its_outcome(redis_servers: RedisServers, proxy: Proxies, fault: str) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, **ONCE) as cluster:
            await cluster.ping()
            relay.blackhole = True
            with timeout_of(cluster, 0.2 if fault == "hung" else 40.0):
                tasks = [asyncio.create_task(cluster.incr("n")) for _ in range(20)]
                cancelled = tasks.pop(3)
                await asyncio.sleep(0.05)
                cancelled.cancel()
                if fault == "cut":
                    relay.drop()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, MaybeApplied) for each in outcomes), outcomes
            relay.drop()
            relay.blackhole = False
            await asyncio.gather(*(some(cluster, number) for number in range(20)))

    run(main)


def test_large_values(redis_servers: RedisServers) -> None:
    large = b"x" * 2_000_000

    async def main() -> None:
        async with async_cluster_of(redis_servers(1)[0]) as cluster:
            await asyncio.gather(*(cluster.set(f"k{number}", large) for number in range(10)))
            values = await asyncio.gather(*(cluster.get(f"k{number}") for number in range(10)))
            assert values == [large] * 10

    run(main)
