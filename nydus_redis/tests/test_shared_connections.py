"""No command leaves a state on a connection that others take: each such command of the table, on each road, on both sides."""

from __future__ import annotations

import contextlib
import enum
import inspect
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from itertools import product
from typing import Any

import pytest
import redis
import redis.asyncio

from clusters import settings_of
from nydus_core import RoutingError
from nydus_redis.commands import Cursor, lookup, names
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncSide, BlockingSide, Side
from thinned import thinned

Servers = Callable[..., list[PrivateServer]]
Words = tuple[Any, ...]
Road = Callable[[Side, Any, Words], Coroutine[Any, Any, Any]]

SIDES: list[Side] = [BlockingSide(), AsyncSide()]
on_both_sides = pytest.mark.parametrize("side", SIDES, ids=["blocking", "asyncio"])

#: Arguments with which a server would do what the command says.
ARGUMENTS: Mapping[str, Words] = {
    "AUTH": ("default", "wrong"),
    "CLIENT CACHING": ("YES",),
    "CLIENT CAPA": ("redirect",),
    "CLIENT IMPORT-SOURCE": ("ON",),
    "CLIENT MAINT_NOTIFICATIONS": ("ON",),
    "CLIENT NO-EVICT": ("ON",),
    "CLIENT NO-TOUCH": ("ON",),
    "CLIENT REPLY": ("OFF",),
    "CLIENT TRACKING": ("ON",),
    "HELLO": ("3",),
    "HIMPORT DISCARD": ("fields",),
    "HIMPORT PREPARE": ("fields", "a"),
    "HIMPORT SET": ("k", "fields", "1"),
    "PSUBSCRIBE": ("news*",),
    "PSYNC": ("?", "-1"),
    "REPLCONF": ("ack", "0"),
    "SCRIPT DEBUG": ("YES",),
    "SELECT": ("5",),
    "SSUBSCRIBE": ("news",),
    "SUBSCRIBE": ("news",),
    "WAIT": ("0", "1"),
    "WAITAOF": ("0", "0", "1"),
    "WATCH": ("k",),
}

#: The commands of the table that only have a meaning on one connection.
OF_CONNECTION = [name for name in names() if (spec := lookup((name,))) is not None and spec.connection]

#: The commands among them that a pipeline of one host sends.
OF_PIPELINES = {"UNWATCH", "WAIT", "WAITAOF", "WATCH"}


async def answered(side: Side, found: Any) -> Any:
    """Return the value of a call, which is awaited where it has to be."""
    return await side(found) if side.name == "blocking" or inspect.isawaitable(found) else found


# Roads to a cluster's connections ------------------------------------------------------------------------------------


async def cluster_itself(side: Side, cluster: Any, words: Words) -> None:
    await side(cluster.execute_command(*words))


async def in_a_map(side: Side, cluster: Any, words: Words) -> None:
    async with side.map(cluster) as conn:
        conn.execute_command(*words)


async def in_a_map_with_transactions(side: Side, cluster: Any, words: Words) -> None:
    async with side.map(cluster, transaction=True) as conn:
        conn.set("k", "v")
        conn.execute_command(*words)


async def client_of_a_host(side: Side, cluster: Any, words: Words) -> None:
    await side(cluster.on("a").execute_command(*words))


async def client_of_a_key(side: Side, cluster: Any, words: Words) -> None:
    await side(cluster.on_key("k").execute_command(*words))


async def plain_client_of_an_engine(side: Side, cluster: Any, words: Words) -> None:
    cluster["a"].connection.execute_command(*words)


async def pipeline_of_a_plain_client(side: Side, cluster: Any, words: Words) -> None:
    with cluster["a"].connection.pipeline(transaction=False) as pipeline:
        pipeline.execute_command(*words)
        pipeline.execute()


CLIENTS: list[Road] = [
    cluster_itself,
    in_a_map,
    in_a_map_with_transactions,
    client_of_a_host,
    client_of_a_key,
    plain_client_of_an_engine,
    pipeline_of_a_plain_client,
]

PIPELINES: Mapping[str, Callable[..., Any]] = {
    "cluster": lambda cluster, **how: cluster.pipeline(**how),
    "host": lambda cluster, **how: cluster.on("a").pipeline(**how),
    "key": lambda cluster, **how: cluster.on_key("k").pipeline(**how),
    "json": lambda cluster, **how: cluster.on("a").json().pipeline(**how),
    "ts": lambda cluster, **how: cluster.on("a").ts().pipeline(**how),
    "ft": lambda cluster, **how: cluster.on("a").ft().pipeline(**how),
    "json of the only host": lambda cluster, **how: cluster.json().pipeline(**how),
}


async def queued(side: Side, pipeline: Any, words: Words) -> None:
    pipeline.execute_command("SET", "k", "v")
    await answered(side, pipeline.execute_command(*words))
    await side(pipeline.execute())


async def queued_by_hand(side: Side, pipeline: Any, words: Words) -> None:
    pipeline.pipeline_execute_command(*words)
    await side(pipeline.execute())


async def at_once_by_hand(side: Side, pipeline: Any, words: Words) -> None:
    await side(pipeline.immediate_execute_command(*words))


async def at_once_after_watch(side: Side, pipeline: Any, words: Words) -> None:
    await side(pipeline.watch("k"))
    await answered(side, pipeline.execute_command(*words))


async def queued_after_watch(side: Side, pipeline: Any, words: Words) -> None:
    await side(pipeline.watch("k"))
    pipeline.multi()
    await answered(side, pipeline.execute_command(*words))
    await side(pipeline.execute())


async def queued_before_watch(side: Side, pipeline: Any, words: Words) -> None:
    await answered(side, pipeline.execute_command(*words))
    await side(pipeline.watch("k"))
    await side(pipeline.execute())


WAYS: list[Road] = [
    queued,
    queued_by_hand,
    at_once_by_hand,
    at_once_after_watch,
    queued_after_watch,
    queued_before_watch,
]


async def all_are_well(side: Side, cluster: Any, server: PrivateServer) -> None:
    """Check each connection of the pool: as the server tells, and by a GET on each at the same time."""
    with redis.Redis(unix_socket_path=server.path, client_name="of-the-test") as plain:

        def listed() -> list[dict[str, str]]:
            return [each for each in plain.client_list() if each["name"] != "of-the-test"]

        plain.set("k", "of-the-test")
        await side.until(
            lambda: not [each for each in listed() if is_odd(each)]
        )  # the server learns late of a closed one
        open_ones = len(listed())
    held = [cluster.on("a").pipeline() for _ in range(open_ones)]
    for pipeline in held:
        await side(pipeline.watch("other"))
        assert await side(pipeline.get("k")) == b"of-the-test"
    for pipeline in held:
        await answered(side, pipeline.reset())


def is_odd(listed: Mapping[str, str]) -> bool:
    """Tell whether a connection has a state that a new connection does not have."""
    plain = {"db": "0", "sub": "0", "psub": "0", "watch": "0", "user": "default", "resp": "2", "capa": ""}
    return not set(listed["flags"]) <= set("NU") or any(
        listed.get(name, is_) != is_ for name, is_ in plain.items()
    )


async def refused(side: Side, cluster: Any, road: Road, words: Words) -> str:
    """Return the message with which a command is refused on a road."""
    with pytest.raises(RoutingError) as caught:
        await road(side, cluster, words)
    assert isinstance(caught.value, redis.RedisError)
    return str(caught.value)


async def all_are_refused(
    side: Side, cluster: Any, road: Road, passing: Collection[str] = (), names: Iterable[str] | None = None
) -> None:
    for name in OF_CONNECTION if names is None else names:
        if name not in passing:
            message = await refused(side, cluster, road, (name, *ARGUMENTS.get(name, ())))
            assert message.startswith(f"{name} only has a meaning on ")
            assert "use cluster.on(host).client(), which has a connection of its own" in message


@on_both_sides
@pytest.mark.parametrize("road", CLIENTS, ids=lambda road: road.__name__)
def test_a_state_of_a_connection_is_refused_by_clients(
    side: Side, road: Road, redis_servers: Servers
) -> None:
    if side.name == "asyncio" and road in (plain_client_of_an_engine, pipeline_of_a_plain_client):
        pytest.skip("engines for asyncio have no such client")
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", protocol=2))
        await side(cluster.set("k", "v"))
        await all_are_refused(side, cluster, road, OF_PIPELINES if road is pipeline_of_a_plain_client else ())
        await all_are_well(side, cluster, server)

    side.run(scenario)


@on_both_sides
@pytest.mark.parametrize("name", PIPELINES)
def test_a_state_of_a_connection_is_refused_by_pipelines(
    side: Side, name: str, redis_servers: Servers
) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", protocol=2))
        await side(cluster.set("k", "v"))
        for number, (way, transaction) in enumerate(product(WAYS, (True, False))):
            if name == "cluster" and way is at_once_by_hand:  # which its pipeline never does
                continue

            async def road(side: Side, cluster: Any, words: Words) -> None:
                pipeline = PIPELINES[name](cluster, transaction=transaction)  # noqa: B023
                try:
                    await way(side, pipeline, words)  # noqa: B023
                finally:
                    await answered(side, pipeline.reset())

            of_cluster = name == "cluster" and way not in (at_once_after_watch, queued_after_watch)
            names = thinned(OF_CONNECTION, 6, number)
            await all_are_refused(side, cluster, road, () if of_cluster else OF_PIPELINES, names)
            await all_are_well(side, cluster, server)

    side.run(scenario)


@on_both_sides
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", sorted(OF_PIPELINES))
def test_a_pipeline_of_one_host_leaves_nothing_of_its_own_words(
    side: Side, way: Road, name: str, redis_servers: Servers
) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", protocol=2))
        await side(cluster.set("k", "v"))
        for written in (name, name.lower(), name.encode()):
            for make in (PIPELINES["host"], PIPELINES["key"], PIPELINES["json"]):
                for transaction in (True, False):
                    pipeline = make(cluster, transaction=transaction)
                    try:
                        await way(side, pipeline, (written, *ARGUMENTS.get(name, ())))
                    except redis.RedisError as error:
                        assert "WATCH" in str(error)  # noqa: PT017
                    finally:
                        await answered(side, pipeline.reset())
                    await all_are_well(side, cluster, server)

    side.run(scenario)


class Text(str):
    """A text whose methods say something else."""

    __slots__ = ()

    def split(self, *args: Any) -> list[str]:
        return ["GET"]

    def upper(self) -> str:
        return "GET"


class Word(enum.StrEnum):
    """A constant of a program."""

    SELECT = "SELECT"


SPELLINGS: list[Words] = [
    ("CLIENT REPLY", "OFF"),
    ("CLIENT", "REPLY", "OFF"),
    ("client", "reply", "off"),
    (b"CLIENT", b"REPLY", b"OFF"),
    (b"CLIENT REPLY", b"OFF"),
    ("CLIENT REPLY OFF",),
    (b"client reply off",),
    ("  Client\tReply  off ",),
    ("", "CLIENT", "REPLY", "OFF"),
    ("CLIENT", Text("REPLY"), "OFF"),
    ("CLIENT", memoryview(b"REPLY"), "OFF"),
    ("SELECT", 5),
    ("SELECT 5",),
    ("SELECT", Cursor(5, "a")),
    ("SELECT", memoryview(b"5")),
    (memoryview(b"SELECT"), 5),
    (Text("SELECT"), 5),
    (Word.SELECT, 5),
]


@on_both_sides
def test_no_spelling_passes(side: Side, redis_servers: Servers) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", protocol=2))
        await side(cluster.set("k", "v"))
        async with side.map(cluster) as conn:
            promised = conn.echo("SELECT")
        for words in [*SPELLINGS, (promised, 5)]:
            for road in CLIENTS[:5]:
                await refused(side, cluster, road, words)
            for name, make in PIPELINES.items():
                for way in WAYS[:4]:
                    pipeline = make(cluster)
                    if name != "cluster" or way is not at_once_by_hand:
                        with pytest.raises(RoutingError, match="only has a meaning on one connection"):
                            await way(side, pipeline, words)
                    await answered(side, pipeline.reset())
        await all_are_well(side, cluster, server)

    side.run(scenario)


@on_both_sides
def test_a_transaction_function_leaves_nothing(side: Side, redis_servers: Servers) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", protocol=2))
        await side(cluster.set("k", "v"))

        def after_multi(pipeline: Any) -> None:
            pipeline.multi()
            pipeline.execute_command("SELECT", 5)

        def at_once(pipeline: Any) -> Any:
            return pipeline.select(5)

        for client in (cluster, cluster.on("a"), cluster.on_key("k")):
            for function in (after_multi, at_once):
                with pytest.raises(RoutingError, match="SELECT only has a meaning"):
                    await side(client.transaction(function, "k"))
        await all_are_well(side, cluster, server)

    side.run(scenario)


@on_both_sides
def test_a_client_of_its_own_keeps_its_state_to_itself(side: Side, redis_servers: Servers) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", protocol=2))
        await side(cluster.set("k", "v"))
        for _ in range(2):
            client = cluster.on("a").client()
            assert await side(client.get("k")) in (b"v", b"of-the-test")
            await side(client.select(5))
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("SELECT", 5)
            pipeline.set("k", "elsewhere")
            await side(pipeline.execute())
            await side(client.aclose() if side.name == "asyncio" else client.close())
            await all_are_well(side, cluster, server)
            other = cluster.on("a").client()
            assert await side(other.get("k")) == b"of-the-test"
            assert await side(other.pipeline().get("k").execute()) == [b"of-the-test"]
            await side(other.aclose() if side.name == "asyncio" else other.close())

    side.run(scenario)


SCRIPTS = [
    "redis.call('SELECT', 5) return redis.call('GET', KEYS[1])",
    "redis.call('SELECT', 5) return redis.call('NO', 'SUCH')",
    "redis.setresp(3) redis.call('SELECT', 5) return redis.error_reply('MY error')",
]


@on_both_sides
def test_a_script_leaves_nothing(side: Side, redis_servers: Servers) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", protocol=2))
        await side(cluster.set("k", "v"))
        for text in SCRIPTS:
            for client in (cluster, cluster.on("a"), cluster.on_key("k")):
                script = client.register_script(text)
                with contextlib.suppress(redis.ResponseError):
                    assert await side(script(keys=["k"])) is None
                pipeline = client.pipeline().eval(text, 1, "k")
                await side(pipeline.execute(raise_on_error=False))
        for name in OF_CONNECTION:
            words = (*name.split(), *ARGUMENTS.get(name, ()))
            with contextlib.suppress(redis.ResponseError):
                await side(cluster.eval("return redis.call(unpack(ARGV))", 1, "k", *words))
        await all_are_well(side, cluster, server)

    side.run(scenario)


@on_both_sides
def test_pipelines_of_groups_work(side: Side, redis_servers: Servers) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", protocol=2))
        for client in (cluster, cluster.on("a")):
            for group in (client.json(), client.ts(), client.ft("index")):
                pipeline = group.pipeline(transaction=False)
                pipeline.execute_command("SET", "k", 1)
                pipeline.execute_command("INCR", "k")
                assert (await side(pipeline.execute()))[1] == 2
            pipeline = client.json().pipeline()
            pipeline.get("k")
            assert pipeline.command_stack[0][0][0] == "JSON.GET"

    side.run(scenario)


@on_both_sides
def test_a_client_of_redis_py_on_the_pool_leaves_its_state_to_nobody(
    side: Side, redis_servers: Servers
) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, names="a", protocol=2))
        await side(cluster.set("k", "v"))
        blocking = side.name == "blocking"
        pool: Any = cluster["a"].pool if blocking else cluster["a"].pipelines
        client = (redis.Redis if blocking else redis.asyncio.Redis)(connection_pool=pool)
        for words in (("SELECT", 5), ("MULTI",), ("CLIENT NO-TOUCH", "ON")):
            await side(client.execute_command(*words))
            assert await side(cluster.get("k")) == b"v"
        await all_are_well(side, cluster, server)

    side.run(scenario)
