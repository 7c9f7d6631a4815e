"""An asynchronous cluster where no event loop of asyncio runs says so, on every road, and says what to do."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from clusters import settings_of
from given import MemcachedServers, RedisServers
from nydus_core import BaseAsyncEngine, NoEventLoop, NydusError, create_async_cluster

Road = Callable[[Any], Coroutine[Any, Any, Any]]


def by_hand(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Drive a coroutine as other libraries do: without asyncio."""
    try:
        found = coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise AssertionError(f"it waits for {found!r}")


async def command(cluster: Any) -> None:
    await cluster.set("key", "value")


async def many(cluster: Any) -> None:
    async with cluster.map() as conn:
        conn.set("key", "value")


async def on_host(cluster: Any) -> None:
    await cluster.on(0).set("key", "value")


async def with_deadline(cluster: Any) -> None:
    with cluster.deadline(1):
        await cluster.set("key", "value")


async def context(cluster: Any) -> None:
    async with cluster:
        pass


async def closing(cluster: Any) -> None:
    await cluster.aclose()


async def without_answer(cluster: Any) -> None:
    await cluster.delete("key", noreply=True)


async def on_key(cluster: Any) -> None:
    await cluster.on_key("key").get("key")


async def pipeline(cluster: Any) -> None:
    await cluster.pipeline().set("key", "value").execute()


async def host_pipeline(cluster: Any) -> None:
    await cluster.on(0).pipeline().set("key", "value").execute()


async def watching(cluster: Any) -> None:
    await cluster.on_key("key").pipeline().watch("key")


async def scan(cluster: Any) -> None:
    found: AsyncIterator[Any] = cluster.scan_iter()
    async for _ in found:
        pass


async def subscribe(cluster: Any) -> None:
    await cluster.pubsub().subscribe("news")


async def get_message(cluster: Any) -> None:
    await cluster.pubsub().get_message()


async def close_pubsub(cluster: Any) -> None:
    await cluster.pubsub().aclose()


async def probe(cluster: Any) -> None:
    await cluster.hosts[0].probe()


BOTH = [command, many, on_host, with_deadline, context, closing, probe]
REDIS = [*BOTH, on_key, pipeline, host_pipeline, watching, scan, subscribe, get_message, close_pubsub]
roads = pytest.mark.parametrize(
    ("engine", "road"),
    [("redis", road) for road in REDIS] + [("memcache", road) for road in [*BOTH, without_answer]],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)


@pytest.fixture
def cluster(engine: str, redis_servers: RedisServers, memcached_servers: MemcachedServers) -> Any:
    servers = (redis_servers if engine == "redis" else memcached_servers)(2)
    return create_async_cluster(settings_of(*servers, engine=engine))


@roads
def test_without_a_loop(road: Road, cluster: Any) -> None:
    with pytest.raises(
        NoEventLoop, match=r"none runs in this thread: call it in .* asyncio\.run\(\)"
    ) as caught:
        by_hand(road(cluster))
    assert isinstance(caught.value, NydusError)
    assert isinstance(caught.value, RuntimeError)


@roads
@pytest.mark.parametrize(
    ("name", "instead"), [("trio", "trio.to_thread.run_sync"), ("curio", "curio.run_in_thread")]
)
def test_with_another_library(
    road: Road, cluster: Any, name: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, played(name))
    with pytest.raises(NoEventLoop, match=f"here {name} runs: .* create_cluster, .* by {instead}"):
        by_hand(road(cluster))


def played(name: str) -> Any:
    """Return a module that says, as the library of this name does, that it is running."""
    module: Any = types.ModuleType(name)
    module.lowlevel = types.SimpleNamespace(current_task=lambda: "a task")
    module.meta = types.SimpleNamespace(curio_running=lambda: True)
    return module


def test_trio_itself(redis_servers: RedisServers) -> None:
    trio = pytest.importorskip("trio")
    cluster = create_async_cluster(settings_of(*redis_servers(1)))
    with pytest.raises(NoEventLoop, match="here trio runs"):
        trio.run(command, cluster)


@roads
def test_a_cluster_made_elsewhere_works_in_a_loop(road: Road, cluster: Any) -> None:
    with pytest.raises(NoEventLoop):
        by_hand(road(cluster))

    async def main() -> None:
        async with cluster:
            await cluster.set("key", "value")
            assert await cluster.get("key") in ("value", b"value")

    asyncio.run(main())
    asyncio.run(main())


class Store(BaseAsyncEngine):
    """An engine of a third party."""

    async def connect(self) -> Any:
        return {}

    async def disconnect(self, client: Any) -> None:
        """Do nothing."""


def test_an_engine_of_a_third_party() -> None:
    cluster = create_async_cluster({"engine": Store, "hosts": {0: {}, 1: {}}, "router": "rendezvous"})
    with pytest.raises(NoEventLoop):
        by_hand(cluster.get("key"))
