"""A cluster of one host answers as that host does, whatever its router; and hands it all that belongs to one connection."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest
import redis

from clusters import settings_of
from nydus_core import Cluster, RoutingError, create_cluster
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncSide, BlockingSide, Side

Servers = Callable[..., list[PrivateServer]]

on_both_sides = pytest.mark.parametrize("side", [BlockingSide(), AsyncSide()], ids=["blocking", "asyncio"])
with_any_router = pytest.mark.parametrize(
    "router", ["rendezvous", "partition", "consistent", "round-robin", "broadcast", None]
)


@on_both_sides
@with_any_router
def test_commands_without_a_key_answer_plainly(side: Side, router: Any, redis_servers: Servers) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(1), router=router))
        assert await side(cluster.set("k", "v")) is True
        assert await side(cluster.ping()) is True
        assert await side(cluster.keys()) == [b"k"]
        assert await side(cluster.scan()) == (0, [b"k"])
        assert await side(cluster.dbsize()) == 1
        assert (await side(cluster.config_get("port"))).keys() == {"port"}
        assert (await side(cluster.info("server")))["process_id"] > 0
        sha = await side(cluster.script_load("return 'ran'"))
        assert await side(cluster.script_exists(sha)) == [True]
        assert await side(cluster.evalsha(sha, 0)) == b"ran"
        assert await side(cluster.execute_command("OBJECT", "ENCODING", "k")) == b"embstr"
        assert await side(cluster.client_setname("mine")) is True
        assert await side(cluster.client_id()) > 0
        assert "addr" in await side(cluster.client_info())
        async with side.map(cluster) as conn:
            promises = [conn.ping(), conn.keys(), conn.client_id()]
        assert promises[:2] == [True, [b"k"]]
        assert promises[2] > 0
        assert await side(cluster.flushdb()) is True

    side.run(scenario)


@on_both_sides
def test_several_hosts_answer_lists(side: Side, redis_servers: Servers) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(3)))
        assert await side(cluster.ping()) == [True] * 3
        assert await side(cluster.keys()) == [[]] * 3
        assert isinstance(await side(cluster.script_load("return 1")), str)
        with pytest.raises(RoutingError, match="for one host"):
            await side(cluster.client_id())

    side.run(scenario)


def test_a_second_host_makes_lists(redis_servers: Servers) -> None:
    first, second = redis_servers(2)
    with create_cluster(settings_of(first, names="a")) as cluster:
        assert cluster.ping() is True
        pipeline, subscriber = cluster.pipeline(), cluster.pubsub()
        cluster.add_host("b", {"unix_socket_path": second.path})
        assert cluster.ping() == [True, True]
        assert pipeline.ping().execute() == [[True, True]]
        with pytest.raises(RoutingError, match="on_key"):
            pipeline.watch("k")
        with pytest.raises(RoutingError, match=r"get_message\(\)"):
            subscriber.parse_response()
        cluster.remove_host("b")
        assert cluster.ping() is True


@on_both_sides
@with_any_router
def test_a_pipeline_watches_keys(side: Side, router: Any, redis_servers: Servers) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(1), router=router))
        await side(cluster.set("n", 1))
        pipeline = cluster.pipeline()
        await side(pipeline.watch("n"))
        assert pipeline.watching
        assert await side(pipeline.get("n")) == b"1"
        pipeline.multi()
        assert pipeline.set("n", 2) is pipeline
        assert await side(pipeline.get("n").execute()) == [True, b"2"]
        assert not pipeline.watching

        await side(pipeline.watch("n"))
        await side(cluster.set("n", "another client's"))
        pipeline.multi()
        pipeline.set("n", 3)
        with pytest.raises(redis.WatchError):
            await side(pipeline.execute())
        assert await side(pipeline.get("n").execute()) == [b"another client's"], "a map() again"

        await side(pipeline.watch("n"))
        await side(pipeline.unwatch())
        assert not pipeline.watching
        await side(pipeline.watch("n"))
        await side(pipeline.reset())
        assert len(pipeline) == 0
        assert not pipeline.watching
        assert await side(cluster.client_list(_type="normal"))

    side.run(scenario)


@on_both_sides
def test_errors_while_keys_are_watched_are_told_by_position(side: Side, redis_servers: Servers) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(1)))
        await side(cluster.set("word", "x"))
        pipeline = cluster.pipeline()
        await side(pipeline.watch("n"))
        pipeline.multi()
        pipeline.set("n", 1).incr("word")
        values = await side(pipeline.execute(raise_on_error=False))
        assert values[0] is True
        assert [failure.position for failure in pipeline.get_errors()] == [1]
        assert pipeline.get_errors()[0].error is values[1]
        assert pipeline.get_results() == values

    side.run(scenario)


@on_both_sides
def test_a_transaction_runs_until_no_watched_key_changes(side: Side, redis_servers: Servers) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(1)))
        await side(cluster.set("n", 1))
        runs: list[int] = []

        async def add(pipeline: Any) -> None:
            number = int(await side(pipeline.get("n")))
            runs.append(number)
            if len(runs) == 1:
                await side(cluster.set("n", 10))
            pipeline.multi()
            pipeline.set("n", number + 1)

        def blocking_add(pipeline: Any) -> None:
            with pytest.raises(StopIteration):
                add(pipeline).send(None)

        function = blocking_add if side.name == "blocking" else add
        assert await side(cluster.transaction(function, "n")) == [True]
        assert runs == [1, 10]
        assert await side(cluster.get("n")) == b"11"

    side.run(scenario)


@on_both_sides
def test_clients_and_feeds_of_one_connection_are_the_hosts(side: Side, redis_servers: Servers) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(1)))
        client = cluster.client()
        await side(client.select(1))
        await side(client.set("k", "elsewhere"))
        assert await side(cluster.get("k")) is None
        await side(client.aclose() if side.name == "asyncio" else client.close())
        assert cluster.connection_pool is cluster.on(0).connection_pool
        assert callable(cluster.json().pipeline)

    side.run(scenario)


def test_monitor_is_the_hosts(redis_servers: Servers) -> None:
    with create_cluster(settings_of(*redis_servers(1))) as cluster, cluster.monitor() as monitor:
        cluster.get("seen")
        while monitor.next_command()["command"] != "GET seen":
            pass  # the greeting of the connection


@pytest.mark.parametrize("hosts", [1, 3])
@pytest.mark.parametrize(
    ("call", "way"),
    [
        (lambda c: c.watch("a"), r"pipeline\(\)"),
        (lambda c: c.unwatch(), r"pipeline\(\)"),
        (lambda c: c.on(0).watch("a"), r"pipeline\(\)"),
        (lambda c: c.on(0).set_retry(None), "the cluster alone decides"),
        (lambda c: c.select(1), r"cluster\.on\(host\)"),
        (lambda c: c.himport_prepare("f", ["a"]), r"cluster\.on\(host\)\.client\(\)"),
    ],
)
def test_what_would_do_nothing_or_spoil_a_shared_connection_is_refused(
    redis_servers: Servers, hosts: int, call: Callable[[Cluster], Any], way: str
) -> None:
    with (
        create_cluster(settings_of(*redis_servers(hosts))) as cluster,
        pytest.raises(RoutingError, match=way),
    ):
        call(cluster)


def test_multi_is_a_word_of_pipelines(redis_servers: Servers) -> None:
    with create_cluster(settings_of(*redis_servers(1))) as cluster:
        with pytest.raises(
            AttributeError, match=r"multi\(\) is a method of pipelines: use cluster\.pipeline\(\)"
        ):
            cluster.multi()
        assert not hasattr(cluster, "execute")


def test_subscriptions_have_what_libraries_read(redis_servers: Servers) -> None:
    with create_cluster(settings_of(*redis_servers(1))) as cluster:
        subscriber = cluster.pubsub(ignore_subscribe_messages=True)
        assert subscriber.connection is None
        subscriber.connection = subscriber.connection_pool.get_connection()  # as celery does
        subscriber.connection.register_connect_callback(subscriber.on_connect)
        subscriber.subscribe("news")
        assert subscriber.handle_message(subscriber.parse_response()) is None
        cluster.publish("news", "rain")
        message = subscriber.handle_message(subscriber.parse_response())
        assert message is not None
        assert message["data"] == b"rain"
        subscriber.close()


def test_asyncio_subscriptions_connect(redis_servers: Servers) -> None:
    async def main() -> None:
        side = AsyncSide()
        cluster = side.cluster(settings_of(*redis_servers(1)))
        async with cluster.pubsub() as subscriber:
            await subscriber.connect()
            assert subscriber.connection.is_connected
            await subscriber.subscribe("news")
            message = await subscriber.get_message(timeout=30)
            assert message["type"] == "subscribe"
            handled = await subscriber.handle_message([b"message", b"news", b"rain"])
            assert handled["data"] == b"rain"
        await cluster.aclose()

    asyncio.run(main())


# A watch that an interrupt ends --------------------------------------------------------------------------------------

PIPELINES = [
    lambda cluster: cluster.pipeline(),
    lambda cluster: cluster.on_key("k").pipeline(),
    lambda cluster: cluster.on("0").pipeline(),
]


@pytest.mark.parametrize("pipeline_of", PIPELINES, ids=["cluster", "key", "host"])
@pytest.mark.parametrize("then", ["execute", "get"])
def test_a_cancelled_command_ends_the_watch_and_the_pipeline_says_so(
    redis_servers: Servers, pipeline_of: Callable[[Any], Any], then: str
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(1), router="rendezvous"))
        pipeline = pipeline_of(cluster)
        await pipeline.watch("k")
        waiting = asyncio.create_task(pipeline.blpop("none", timeout=60))
        while not (await cluster.info("clients"))["blocked_clients"]:
            assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await cluster.set("k", "of another client")
        with pytest.raises(redis.WatchError, match="interrupted"):
            if then == "get":
                await pipeline.get("k")
            pipeline.multi()
            await pipeline.set("k", "mine").execute()
        assert await cluster.get("k") == b"of another client"
        await pipeline.watch("k")
        pipeline.multi()
        assert await pipeline.set("k", "mine").execute() == [True]
        await pipeline.watch("k")
        await pipeline.unwatch()

    AsyncSide().run(scenario)


class Interrupt(BaseException):
    """As a signal handler raises it."""


@pytest.mark.parametrize("pipeline_of", PIPELINES, ids=["cluster", "key", "host"])
def test_an_interrupt_ends_the_watch_and_the_pipeline_says_so(
    redis_servers: Servers, pipeline_of: Callable[[Any], Any]
) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupt

    (server,) = redis_servers(1)
    with create_cluster(settings_of(server, router="rendezvous")) as cluster:
        pipeline = pipeline_of(cluster)
        pipeline.watch("k")
        handler = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Interrupt):
                pipeline.blpop("none", timeout=60)
        finally:
            signal.signal(signal.SIGALRM, handler)
        cluster.set("k", "of another client")
        pipeline.multi()
        with pytest.raises(redis.WatchError, match="interrupted"):
            pipeline.set("k", "mine").execute()
        assert cluster.get("k") == b"of another client"


@pytest.mark.parametrize("side", [BlockingSide(), AsyncSide()], ids=["blocking", "asyncio"])
def test_a_pipeline_counts_its_commands_after_a_lost_connection(side: Side, redis_servers: Servers) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, router="rendezvous"))
        await side(cluster.set("k", "text"))
        pipeline = cluster.pipeline()
        await side(pipeline.watch("k"))
        with redis.Redis(unix_socket_path=server.path) as admin:
            admin.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(redis.ConnectionError):
            await side(pipeline.get("k"))
        pipeline.lpush("k", 1)
        pipeline.get("k")
        assert len(pipeline) == 2
        assert (await side(pipeline.execute(raise_on_error=False)))[1] == b"text"
        assert [failure.name for failure in pipeline.get_errors()] == ["LPUSH"]

    side.run(scenario)
