"""Mistakes of those who know other libraries: each error says the way to write it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from clusters import async_memory_cluster, memory_cluster
from nydus_core import ConfigError, create_async_cluster, create_cluster
from nydus_core.plugins import registry
from nydus_core.routers import Node


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (memory_cluster, "with cluster.map() as conn:"),
        (async_memory_cluster, "async with cluster.map() as conn:"),
    ],
)
def test_commands_are_called_inside_a_map_block(make: Callable[..., Any], form: str) -> None:
    with pytest.raises(AttributeError) as caught:
        make().map().incr("a")
    assert str(caught.value) == (
        f"map() is a block, and its commands are called inside: write '{form}', and in it conn.incr(...)"
    )
    assert not hasattr(make().map(), "incr")
    with pytest.raises(AttributeError, match="has no attribute '_incr'"):
        make().map()._incr  # noqa: B018


def test_an_asynchronous_cluster_is_used_with_async_with() -> None:
    cluster = async_memory_cluster()
    with (
        pytest.raises(
            TypeError, match="asynchronous: write 'async with cluster:', or make it with create_cluster"
        ),
        cluster,
    ):
        raise AssertionError("it was entered")
    told = r"asynchronous: write 'async with cluster\.map\(\) as conn:'"
    with pytest.raises(TypeError, match=told), cluster.map():
        raise AssertionError("it was entered")


def test_a_blocking_cluster_is_used_with_with() -> None:
    cluster = memory_cluster()

    async def enter(entered: Any) -> None:
        async with entered:
            raise AssertionError("it was entered")

    with pytest.raises(
        TypeError, match="blocking: write 'with cluster:', or make it with create_async_cluster"
    ):
        asyncio.run(enter(cluster))
    with pytest.raises(TypeError, match=r"blocking: write 'with cluster\.map\(\) as conn:'"):
        asyncio.run(enter(cluster.map()))


@pytest.mark.parametrize("create", [create_cluster, create_async_cluster])
@pytest.mark.parametrize("settings", [["redis://h"], ("h:1",), 5, "redis://h"])
def test_settings_are_a_dict(create: Callable[..., Any], settings: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"expected a dict of settings, such as \{'engine': 'redis', 'hosts': \["
    ):
        create(settings)


NODES = [Node("0", 1, "redis://a:1/0", "a:1"), Node("1", 1, "redis://b:1/0", "b:1")]


@pytest.mark.parametrize(
    "name", [name for name in registry.found(registry.ROUTERS) if name not in ("broadcast", "round-robin")]
)
def test_a_router_takes_keys_in_bytes(name: str) -> None:
    kind: Any = registry.find_class(registry.ROUTERS, name, "router")
    router = kind(NODES)
    assert router.locate(b"text") in ("0", "1")
    with pytest.raises(TypeError, match=r"^locate\(\) takes a key in bytes; found 'text': write b'text'$"):
        router.locate("text")
    with pytest.raises(
        TypeError, match=r"^locate\(\) takes a key in bytes; found 5: write a key as the server sees"
    ):
        router.locate(5)


def test_rerouting_needs_a_router_that_chooses() -> None:
    with pytest.raises(
        ConfigError, match=r"^on_host_down: found 'reroute' with no router; expected 'raise', or a router"
    ):
        memory_cluster(router=None, on_host_down="reroute")
