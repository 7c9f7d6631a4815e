"""The outcome of a command that a server refuses: named right, tried again where that helps, on the connection that helps."""

from __future__ import annotations

import inspect
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.exceptions import ExecAbortError, ReadOnlyError, ResponseError

from clusters import settings_of
from nydus_core import CrossHostError, HostDown, MaybeApplied, Outcome, RoutingError
from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncOwnSide, AsyncSide, BlockingSide, Side
from waiting import LONG, until

NewServer = Callable[..., PrivateServer]


@pytest.fixture(params=[BlockingSide, AsyncSide, AsyncOwnSide], ids=lambda side: side.name)
def side(request: pytest.FixtureRequest) -> Side:
    made: Side = request.param()
    return made


# A name that leads elsewhere --------------------------------------------------------------------------------------


class Failover:
    """A name that leads to the primary; after ``happen()`` that is a replica, and new connections lead to another server."""

    def __init__(self, new_server: NewServer, proxy: Callable[..., FaultProxy]) -> None:
        self.old, self.new = new_server(tcp=True), new_server(tcp=True)
        self.name = proxy(self.old)

    def happen(self) -> None:
        self.demote(self.old)
        self.name.target = self.new

    def demote(self, server: PrivateServer) -> None:
        with redis.Redis(port=server.port) as admin:
            admin.replicaof("127.0.0.1", "1")  # nobody listens there


@pytest.fixture
def failover(new_redis_server: NewServer, proxy: Callable[..., FaultProxy]) -> Failover:
    return Failover(new_redis_server, proxy)


async def warm(side: Side, cluster: Any) -> None:
    """Open several connections, all of which stay with the old server."""
    for number in range(3):
        async with side.map(cluster) as conn:
            conn.set(f"warm{number}", number)
    clients = [cluster.on(0).pipeline() for _ in range(3)]
    for client in clients:
        await side(client.watch("warm0"))
    for client in clients:
        await side(client.reset())


async def a_call(side: Side, cluster: Any) -> Any:
    return await side(cluster.incr("n"))


async def a_map(side: Side, cluster: Any) -> Any:
    async with side.map(cluster) as conn:
        found = conn.incr("n"), conn.get("m")
    return found[0]


async def a_transaction(side: Side, cluster: Any) -> Any:
    async with side.map(cluster, transaction=True) as conn:
        found = conn.get("n"), conn.incr("n"), conn.get("n")
    assert found[2] == b"1"
    return found[1]


async def a_pipeline(side: Side, cluster: Any) -> Any:
    _, found = await side(cluster.pipeline().get("n").incr("n").execute())
    return found


async def a_named_host(side: Side, cluster: Any) -> Any:
    return await side(cluster.on(0).incr("n"))


@pytest.mark.parametrize("way", [a_call, a_map, a_transaction, a_pipeline, a_named_host])
def test_after_a_failover_the_next_attempt_reaches_the_new_server(
    side: Side, failover: Failover, way: Callable[..., Any]
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(failover.name))
        await warm(side, cluster)
        failover.happen()
        assert await way(side, cluster) == 1
        for number in range(5):
            assert await side(cluster.set("k", number)) is True

    side.run(scenario)


@pytest.mark.parametrize("raises", [True, False])
def test_a_pipeline_of_redis_py_drops_the_connections_of_a_replica(
    side: Side, failover: Failover, raises: bool
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(failover.name))
        await warm(side, cluster)
        failover.happen()
        pipeline = cluster.on(0).pipeline(transaction=False)
        pipeline.incr("n")
        if raises:
            with pytest.raises(ReadOnlyError):
                await side(pipeline.execute())
        else:
            assert isinstance((await side(pipeline.execute(raise_on_error=False)))[0], ReadOnlyError)
        once = side.cluster(settings_of(failover.name, retry={"attempts": 1}))
        assert await side(once.incr("n")) == 1
        pipeline = cluster.on(0).pipeline(transaction=False)
        pipeline.incr("n")
        assert await side(pipeline.execute()) == [2]

    side.run(scenario)


def test_a_script_that_a_replica_refuses_is_final_and_the_next_call_reaches_the_new_server(
    side: Side, failover: Failover
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(failover.name))
        await warm(side, cluster)
        failover.happen()
        with pytest.raises(ReadOnlyError):
            await side(cluster.eval("return redis.call('INCR', KEYS[1])", 1, "n"))
        assert await side(cluster.eval("return redis.call('INCR', KEYS[1])", 1, "n")) == 1

    side.run(scenario)


def test_a_read_of_stale_data_reaches_the_new_server(side: Side, failover: Failover) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(failover.name))
        await warm(side, cluster)
        with redis.Redis(port=failover.old.port) as admin:
            admin.config_set("replica-serve-stale-data", "no")
        failover.happen()
        assert await side(cluster.get("warm0")) is None

    side.run(scenario)


def test_a_command_that_waits_while_its_server_becomes_a_replica_waits_on_the_new_one(
    side: Side, failover: Failover
) -> None:
    async def scenario(side: Side) -> Any:
        cluster = side.cluster(settings_of(failover.name))
        await side(cluster.ping())

        class Then:
            def repeats(self, command: Any, outcome: Any, attempt: int) -> bool:
                return True

            def backoff(self, attempt: int) -> float:
                with redis.Redis(port=failover.new.port) as other:
                    other.rpush("jobs", "job")
                return 0

        waiting = side.cluster(settings_of(failover.name, retry=Then()))
        demoter = threading.Thread(target=demote_when_blocked, args=(failover,))
        demoter.start()
        try:
            return await side(waiting.blpop("jobs", LONG))
        finally:
            demoter.join()

    assert side.run(scenario) == (b"jobs", b"job")


def demote_when_blocked(failover: Failover) -> None:
    with redis.Redis(port=failover.old.port) as admin:
        until(lambda: admin.info("clients")["blocked_clients"] == 1)
    failover.happen()


def test_a_server_that_stays_a_replica_answers_readonly(side: Side, failover: Failover) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(failover.name))
        await warm(side, cluster)
        failover.demote(failover.old)
        for _ in range(3):
            with pytest.raises(ReadOnlyError):
                await side(cluster.incr("n"))
            assert await side(cluster.get("warm1")) == b"1"

    side.run(scenario)


# Transactions -----------------------------------------------------------------------------------------------------


async def failed_transaction(side: Side, server: PrivateServer) -> tuple[Any, list[Any]]:
    """Return the errors of a transaction whose second command the server refuses to queue."""
    cluster = side.cluster(settings_of(server))
    async with side.map(cluster, transaction=True, fail_silently=True) as conn:
        promises = [conn.set("k", 1), conn.execute_command("SET", "k"), conn.incr("k"), conn.incr("k")]
    pipeline = cluster.pipeline(transaction=True)
    pipeline.set("k", 1).execute_command("SET", "k").incr("k").incr("k")
    with pytest.raises(ResponseError) as caught:
        await side(pipeline.execute())
    assert await side(cluster.exists("k")) == 0
    return caught.value, [promise.error for promise in promises] + [
        failure.error for failure in pipeline.get_errors()
    ]


def test_the_error_of_a_transaction_names_the_culprit(
    side: Side, redis_servers: Callable[..., list[PrivateServer]]
) -> None:
    raised, errors = side.run(failed_transaction, redis_servers(1)[0])
    assert not isinstance(raised, ExecAbortError)
    assert "Command # 2 (SET b'k') of pipeline caused error: wrong number of arguments" in str(raised)
    assert len(set(map(id, errors))) == len(errors) == 8
    for number, error in enumerate(errors):
        assert isinstance(error, ExecAbortError) is (number % 4 != 1)
        assert "of pipeline" not in str(error) or error is raised
        if isinstance(error, ExecAbortError):
            assert error.__cause__ is errors[number // 4 * 4 + 1]


NOTHING: list[tuple[Callable[[Any], Any], Any]] = [
    (lambda to: to.mget([]), []),
    (lambda to: to.delete(), 0),
    (lambda to: to.unlink(), 0),
    (lambda to: to.exists(), 0),
    (lambda to: to.touch(), 0),
]


@pytest.mark.parametrize(("call", "value"), NOTHING)
@pytest.mark.parametrize("hosts", [1, 3])
def test_a_command_of_nothing_answers_nothing(
    side: Side,
    redis_servers: Callable[..., list[PrivateServer]],
    call: Callable[[Any], Any],
    value: Any,
    hosts: int,
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(hosts)))
        assert await side(call(cluster)) == value
        async with side.map(cluster) as conn:
            before, found, after = conn.incr("n"), call(conn), conn.incr("n")
        assert (before, found, after) == (1, value, 2)
        async with side.map(cluster, transaction=True) as conn:
            before, found, after = conn.incr("n"), call(conn), conn.incr("n")
        assert (before, found, after) == (3, value, 4)
        async with side.map(cluster, transaction=True) as conn:
            found = call(conn)
        assert found == value
        pipeline = cluster.pipeline(transaction=True)
        call(pipeline.incr("n"))
        assert await side(pipeline.incr("n").execute()) == [5, value, 6]

    side.run(scenario)


@pytest.mark.parametrize(
    "call",
    [
        lambda to: to.mset({}),
        lambda to: to.msetnx({}),
        lambda to: to.sadd("s"),
        lambda to: to.rpush("l"),
        lambda to: to.pfcount(),
        lambda to: to.sinter([]),
        lambda to: to.sunionstore("d", []),
        lambda to: to.zunion([]),
        lambda to: to.blpop([], 1),
        lambda to: to.execute_command("GET"),
    ],
)
@pytest.mark.parametrize("hosts", [1, 3])
def test_any_other_command_of_nothing_is_an_error_of_redis(
    side: Side, redis_servers: Callable[..., list[PrivateServer]], call: Callable[[Any], Any], hosts: int
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(hosts)))
        with pytest.raises(redis.RedisError):
            await side(call(cluster))

    side.run(scenario)


# Errors of a command without a place ------------------------------------------------------------------------------

UNPLACED: list[Callable[[Any], Any]] = [
    lambda to: to.sinter("a", "b", "c", "d", "e", "f"),
    lambda to: to.execute_command("GET"),
    lambda to: to.execute_command("X.Y", "k"),
    lambda to: to.zunion([]),
    lambda to: to.execute_command("WATCH", "k"),
    lambda to: to.scan_iter("*", cursor="no cursor"),
    lambda to: to.on("nobody"),
    lambda to: to.on_key("a").mget("a", "b", "c", "d", "e", "f"),
]


@pytest.mark.parametrize("call", UNPLACED)
def test_a_command_without_a_place_is_also_an_error_of_redis(
    side: Side, redis_servers: Callable[..., list[PrivateServer]], call: Callable[[Any], Any]
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(3)))
        with pytest.raises(RoutingError) as caught:
            found = call(cluster)
            await side(found)
        error = caught.value
        assert isinstance(error, redis.RedisError)
        assert repr(error).startswith(
            f"{type(error).__name__}("
        )  # redis-py's own repr asks for attributes of its own
        assert set(vars(redis.RedisError())) <= set(vars(error))
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert (str(copy), copy.__dict__) == (str(error), error.__dict__)
        assert repr(copy) == repr(error)

    side.run(scenario)


def test_an_error_of_a_host_is_shown_alike_after_pickling(side: Side) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster({"engine": "redis", "hosts": {"down": {"port": 1}}})
        with pytest.raises(HostDown) as caught:
            await side(cluster.get("k"))
        assert repr(pickle.loads(pickle.dumps(caught.value))) == repr(caught.value)
        assert repr(caught.value).startswith("HostDown(")

    side.run(scenario)


def test_a_map_of_a_command_without_a_place_raises_an_error_of_redis(
    side: Side, redis_servers: Callable[..., list[PrivateServer]]
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(3)))
        with pytest.raises(CrossHostError) as caught:
            async with side.map(cluster) as conn:
                conn.sinter("a", "b", "c", "d", "e", "f")
        assert isinstance(caught.value, redis.RedisError)
        pipeline = cluster.pipeline()
        pipeline.sinter("a", "b", "c", "d", "e", "f")
        with pytest.raises(redis.RedisError):
            await side(pipeline.execute())
        assert type(caught.value).__name__ == "CrossHostError"

    side.run(scenario)


# Replies that cannot be decoded -----------------------------------------------------------------------------------


def test_a_reply_that_is_not_text_has_all_attributes_of_its_error(
    side: Side, redis_servers: Callable[..., list[PrivateServer]]
) -> None:
    server = redis_servers(1)[0]
    with redis.Redis(unix_socket_path=server.path) as client:
        client.set("k", b"a\xff")

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, decode_responses=True))
        with pytest.raises(UnicodeDecodeError) as caught:
            await side(cluster.get("k"))
        async with side.map(cluster, fail_silently=True) as conn:
            promise = conn.get("k")
        for error in (caught.value, promise.error, pickle.loads(pickle.dumps(caught.value))):
            assert isinstance(error, UnicodeDecodeError)
            assert isinstance(error, MaybeApplied)
            assert error.object[error.start : error.end] == b"\xff"
            assert (error.encoding, error.reason) == ("utf-8", "invalid start byte")
            assert "a\\xff" not in str(error)

    side.run(scenario)


# A server that is full --------------------------------------------------------------------------------------------


def test_a_full_server_was_sent_nothing(side: Side, new_redis_server: NewServer) -> None:
    server = new_redis_server()

    async def scenario(side: Side) -> None:
        never = {"failures": 10**6, "calls": 10**6}
        cluster = side.cluster(settings_of(server, retry={"attempts": 1}, health=never))
        for _ in range(10):
            for call in (cluster.get, cluster.incr):
                with pytest.raises(HostDown) as caught:
                    await side(call("n"))
                assert isinstance(caught.value, redis.ConnectionError)
            for transaction in (False, True):
                async with side.map(cluster, fail_silently=True, transaction=transaction) as conn:
                    promises = [conn.incr("n"), conn.get("n")]
                assert {promise.outcome for promise in promises} == {Outcome.NOT_SENT}
            pipeline = cluster.on(0).pipeline()
            pipeline.incr("n")
            with pytest.raises(HostDown):
                await side(pipeline.execute())
        assert cluster.health()[0].failures >= 40

    with redis.Redis(unix_socket_path=server.path) as admin:
        admin.config_set("maxclients", 1)
        side.run(scenario)
        assert admin.exists("n") == 0
        admin.config_set("maxclients", 100)


def test_a_server_that_answers_that_it_is_full_was_sent_nothing(
    side: Side, redis_servers: Callable[..., list[PrivateServer]], proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(redis_servers(1)[0])
    # a new connection that sends nothing by itself: a server says so to none that it has answered before
    options = inspect.signature(redis.Redis).parameters
    names = ("driver_info",) if "driver_info" in options else ("lib_name", "lib_version")
    quiet: dict[str, Any] = {"protocol": 2, **dict.fromkeys(names)}

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(relay, retry={"attempts": 1}, **quiet))
        await side(cluster.ping())
        await side(cluster.close())
        relay.garble(b"-ERR max number of clients reached\r\n")
        with pytest.raises(HostDown, match="max number of clients reached"):
            await side(cluster.get("n"))
        await side(cluster.ping())
        await side(cluster.close())
        relay.garble(b"-ERR max number of clients reached\r\n")
        async with side.map(cluster, fail_silently=True) as conn:
            promises = [conn.get("n"), conn.get("m")]
        assert {promise.outcome for promise in promises} == {Outcome.NOT_SENT}
        await side(cluster.ping())
        await side(cluster.close())
        relay.garble(b":1\r\n-ERR max number of clients reached\r\n")
        async with side.map(cluster, fail_silently=True) as conn:
            promises = [conn.exists("n"), conn.get("m")]
        assert [promise.outcome for promise in promises] == [Outcome.VALUE, Outcome.MAYBE_APPLIED]

    side.run(scenario)
