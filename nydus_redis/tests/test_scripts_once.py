"""A registered script is run once, even if it answers NOSCRIPT itself after it has written; on both sides, on every road."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from clusters import settings_of
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncSide, BlockingSide, Side

Servers = Callable[..., list[PrivateServer]]

on_both_sides = pytest.mark.parametrize("side", [BlockingSide(), AsyncSide()], ids=["blocking", "asyncio"])

LONG_TEXT = " --" + "x" * 2000
WRITE = "redis.call('INCR', KEYS[1]) "

#: Scripts that answer as a server does which does not know them, each with its arguments.
SCRIPTS: dict[str, tuple[str, list[str]]] = {
    "own words": (WRITE + "return redis.error_reply('NOSCRIPT of my own')", []),
    "words of Redis": (
        WRITE + "return redis.error_reply('NOSCRIPT No matching script. Please use EVAL.')",
        [],
    ),
    "words of Valkey": (WRITE + "return {err = 'NOSCRIPT No matching script.'}", []),
    "raised": (WRITE + "error({err = 'NOSCRIPT No matching script.'})", []),
    "in two parts": (WRITE + "return redis.error_reply('NO' .. 'SCRIPT No matching script.')", []),
    "of an argument": (WRITE + "return redis.error_reply(ARGV[1])", ["NOSCRIPT No matching script."]),
    "of a key": (WRITE + "return redis.error_reply(KEYS[1])", []),
    "long": (WRITE + "return redis.error_reply('NOSCRIPT No matching script.')" + LONG_TEXT, []),
    "long, of an argument": (WRITE + "return redis.error_reply(ARGV[1])" + LONG_TEXT, ["NOSCRIPT No."]),
}

#: Who registers a script, and who runs it.
ROADS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "cluster": (lambda cluster: cluster, lambda cluster: None),
    "host": (lambda cluster: cluster.on("a"), lambda cluster: None),
    "key": (lambda cluster: cluster.on_key("NOSCRIPT {n}"), lambda cluster: None),
    "cluster, by a host": (lambda cluster: cluster, lambda cluster: cluster.on("a")),
    "host, by the cluster": (lambda cluster: cluster.on("a"), lambda cluster: cluster),
}

KEY = "NOSCRIPT {n}"


@on_both_sides
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_script_that_says_noscript_is_run_once(
    side: Side, kind: str, known: bool, redis_servers: Servers
) -> None:
    text, args = SCRIPTS[kind]
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a"))
        if known:
            await side(cluster.script_load(text))
        for number, (registering, running) in enumerate(ROADS.values(), 1):
            script = registering(cluster).register_script(text)
            with pytest.raises(redis.ResponseError):
                await side(script(keys=[KEY], args=args, client=running(cluster)))
            assert await side(cluster.get(KEY)) == b"%d" % number
            if not known:
                await side(cluster.script_flush())

    side.run(scenario)


@on_both_sides
@pytest.mark.parametrize("kind", SCRIPTS)
def test_in_maps_and_pipelines_it_is_run_once_too(side: Side, kind: str, redis_servers: Servers) -> None:
    text, args = SCRIPTS[kind]
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a"))
        script = cluster.register_script(text)
        async with side.map(cluster, fail_silently=True) as conn:
            await called(side, script, args, conn)
        assert await side(cluster.get(KEY)) == b"1"
        for number, client in enumerate((cluster, cluster.on("a"), cluster.on_key(KEY)), 2):
            await side(cluster.script_flush())
            pipeline = client.pipeline()
            await called(side, script, args, pipeline)
            (error,) = await side(pipeline.execute(raise_on_error=False))
            assert isinstance(error, redis.ResponseError)
            assert await side(cluster.get(KEY)) == b"%d" % number
        for number, client in enumerate((cluster, cluster.on("a"), cluster.on_key(KEY)), 5):
            await side(cluster.script_flush())
            pipeline = client.pipeline()
            await side(pipeline.watch("other"))
            with pytest.raises(redis.ResponseError):
                await called(side, script, args, pipeline)
            await side(pipeline.reset())
            assert await side(cluster.get(KEY)) == b"%d" % number

    side.run(scenario)


async def called(side: Side, script: Any, args: list[str], client: Any) -> Any:
    return await side(script(keys=[KEY], args=args, client=client))


@on_both_sides
@pytest.mark.parametrize("length", ["short", "long"])
def test_a_host_that_has_forgotten_a_script_runs_it_all_the_same(
    side: Side, length: str, redis_servers: Servers
) -> None:
    text = "return redis.call('INCR', KEYS[1])" + (LONG_TEXT if length == "long" else "")
    servers = redis_servers(2)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*servers, names="ab"))
        other = side.cluster(settings_of(servers[0], names="a"))
        script = cluster.register_script(text)
        for client in (None, cluster.on_key("n"), cluster.on_key("n").pipeline(), cluster.pipeline()):
            await side(cluster.script_flush())
            found = await side(script(keys=["n"], client=client))
            if client is not None and found is client:
                (found,) = await side(client.execute())
            assert found >= 1
        assert await side(cluster.get("n")) == b"4"
        assert await side(script(keys=["m"], client=other)) == 1
        with pytest.raises(redis.exceptions.NoScriptError):
            await side(other.evalsha("0" * 40, 1, "m"))

    side.run(scenario)
