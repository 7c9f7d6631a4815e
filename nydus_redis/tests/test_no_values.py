"""No error and no report for logs shows a value. And SHUTDOWN of a host that is down is an error."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import redis

from clusters import NO_RETRY, settings_of
from nydus_core import HostDown, create_cluster
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncSide, BlockingSide, Side

Servers = Callable[..., list[PrivateServer]]
SECRET = "hunter2hunter2"

on_both_sides = pytest.mark.parametrize("side", [BlockingSide(), AsyncSide()], ids=["blocking", "asyncio"])


def shown(error: BaseException) -> str:
    """Return all that is shown of an error, but for the lines of code."""
    texts = "".join(traceback.format_exception_only(error))
    return texts if error.__cause__ is None else texts + shown(error.__cause__)


@on_both_sides
@pytest.mark.parametrize(
    "words",
    [
        ("EVAL", SECRET, SECRET),
        ("EVAL", "return 1", SECRET, "k"),
        ("EVAL", "return 1", "18273645", "k"),
        ("EVALSHA", "0" * 40, -18273645, "k"),
        ("ZINTER", "18273645", "k"),
        ("XREAD", SECRET, "STREAMS", "k", 0),
        ("XREADGROUP", "GROUP", "g", "c", SECRET, "STREAMS", "k", ">"),
        (f"MSET k {SECRET} l",),
    ],
)
def test_arguments_that_do_not_fit_are_not_shown(side: Side, words: Any, redis_servers: Servers) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(1), names="a"))
        for client in (cluster, cluster.on("a"), cluster.on_key("k")):
            with pytest.raises(redis.RedisError) as caught:
                await side(client.execute_command(*words))
            assert SECRET not in shown(caught.value)
            assert "18273645" not in shown(caught.value)

    side.run(scenario)


@on_both_sides
@pytest.mark.parametrize(
    "words",
    [
        ("LPUSH", "k", SECRET),
        ("lpush", "k", SECRET),
        (f"LPUSH k {SECRET}",),
        (b"LPUSH", "k", SECRET.encode()),
    ],
)
def test_errors_of_a_pipeline_of_one_host_show_no_values(
    side: Side, words: Any, redis_servers: Servers
) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", retry=NO_RETRY))
        await side(cluster.set("k", "text"))
        for client, transaction in ((cluster.on("a"), True), (cluster.on("a"), False), (cluster, True)):
            pipeline = client.pipeline(transaction=transaction)
            pipeline.execute_command(*words)
            with pytest.raises(redis.ResponseError, match="# 1 ") as answer:
                await side(pipeline.execute())
            assert SECRET not in shown(answer.value)
        pipeline = cluster.on("a").pipeline()
        await side(pipeline.watch("k"))
        with pytest.raises(redis.ResponseError) as answer:
            await side(pipeline.execute_command(*words))
        assert SECRET not in shown(answer.value)
        with redis.Redis(unix_socket_path=server.path) as admin:
            admin.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(redis.ConnectionError, match="LPUSH") as lost:
            await side(pipeline.execute_command(*words))
        assert SECRET not in shown(lost.value)
        await side(pipeline.reset())

    side.run(scenario)


@pytest.mark.parametrize("engine", ["redis", "memcache"])
def test_what_is_explained_for_logs_has_no_values(engine: str) -> None:
    calls: dict[str, list[tuple[Any, ...]]] = {
        "redis": [
            ("set", "k", SECRET),
            ("mset", {"k": SECRET, "l": SECRET}),
            ("eval", SECRET, 1, "k", SECRET),
        ],
        "memcache": [("set", "k", SECRET), ("set_many", {"k": SECRET, "l": SECRET}), ("append", "k", SECRET)],
    }
    raw = {
        "redis": ("execute_command", f"SET k {SECRET}"),
        "memcache": ("raw_command", f"set k 0 0 14\r\n{SECRET}"),
    }
    hosts = [{"host": "127.0.0.1", "port": 1}, {"host": "127.0.0.1", "port": 2}]
    with create_cluster({"engine": engine, "router": "rendezvous", "hosts": hosts}) as cluster:
        for name, *args in [*calls[engine], raw[engine]]:
            found = cluster.explain(name, *args)
            data = found.to_dict()
            assert SECRET not in json.dumps(data)
            assert SECRET not in repr(found) + str(found)
            assert data["wire_size"] == (None if found.wire is None else len(found.wire))
            assert [part["wire_size"] for part in data["parts"]] == [
                len(part.wire or b"") for part in found.parts
            ]


@on_both_sides
def test_to_end_a_host_that_is_down_is_an_error(
    side: Side, new_redis_server: Callable[..., PrivateServer]
) -> None:
    server = new_redis_server()

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", retry=NO_RETRY))
        await side(cluster.set("k", 1))
        assert await side(cluster.on("a").shutdown(nosave=True)) is None
        for client in (cluster, cluster.on("a"), cluster.on_key("k")):
            for _ in range(5):  # with the breaker closed, and open
                with pytest.raises(HostDown) as caught:
                    await side(client.shutdown(nosave=True))
                assert isinstance(caught.value, redis.ConnectionError)

    side.run(scenario)
