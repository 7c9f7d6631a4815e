"""The Redis engine with asyncio, on real servers and bad networks: what is known after each failure, and that the next
command gets its own answer.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.utils import HIREDIS_AVAILABLE

from clusters import async_cluster_of
from nydus_core import (
    AsyncCluster,
    CommandError,
    ConfigError,
    HostDown,
    HostError,
    MaybeApplied,
    RoutingError,
    create_async_cluster,
)
from nydus_core.command import Outcome
from nydus_core.testing import FaultProxy
from nydus_redis import Redis
from nydus_redis.embedded.server import PrivateServer
from nydus_redis.engine.aio import AsyncRedis
from nydus_redis.options import ASYNC_OPTION_TYPES, OPTION_TYPES
from scripted import ScriptedServer
from sharing import both_ways, lines_of, open_of, warm_up
from shifted import Shifted, run_shifted
from tls import TlsFront
from waiting import LONG, until_async
from waiting_time import timeout_of

Servers = Callable[..., list[PrivateServer]]
Proxies = Callable[..., FaultProxy]

#: One attempt, and no host is taken for down: what a test sees is what one exchange ends in.
ONCE = {"retry": {"attempts": 1}, "health": {"failures": 1_000_000, "calls": 1_000_000}}


def cluster_of(*servers: Any, settings: Any = None, **options: Any) -> AsyncCluster:
    return async_cluster_of(*servers, **{**(settings or {}), **options})


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


async def assert_in_step(cluster: AsyncCluster, tasks: int = 4) -> None:
    """Each command gets its own answer, over each connection."""

    async def ask(number: int) -> None:
        keys = [f"own:{number}:{i}" for i in range(3)]
        assert await cluster.set(keys[0], keys[0]) is True
        assert await cluster.get(keys[0]) == keys[0].encode()
        async with cluster.map() as conn:
            stored = [conn.set(key, key) for key in keys[1:]]
            values = [conn.get(key) for key in keys]
        assert stored == [True] * 2
        assert values == [key.encode() for key in keys]

    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            group.create_task(ask(number))


# What is known -------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_not_sent(new_redis_server: Callable[..., PrivateServer]) -> None:
    async def main() -> None:
        server = new_redis_server(tcp=True)
        hosts = [{"host": "127.0.0.1", "port": server.port}]
        async with create_async_cluster(
            {"engine": Redis, "hosts": hosts, "defaults": {"timeout": LONG}}
        ) as cluster:
            await cluster.set("k", "v")
            server.stop()
            with pytest.raises(HostDown, match="GET b'k' was not taken by host 0") as caught:
                await cluster.get("k")
            assert isinstance(caught.value, redis.ConnectionError)
            assert (caught.value.command, caught.value.attempts) == ("GET b'k'", 2)
            async with cluster.map(fail_silently=True) as conn:
                promise = conn.get("k")
            assert promise.outcome is Outcome.NOT_SENT

    run(main())


#: What is done to the network, and to what a read and a write then end in; the write is not applied twice in any case.
FAULTS: dict[str, tuple[Callable[[FaultProxy], None], type[HostError], type[redis.RedisError]]] = {
    "cut request": (lambda relay: relay.cut_requests(after=5), MaybeApplied, redis.ConnectionError),
    "cut reply": (lambda relay: relay.cut_replies(after=1), MaybeApplied, redis.ConnectionError),
    "no reply": (lambda relay: relay.cut_replies(), MaybeApplied, redis.ConnectionError),
    "swallowed reply": (lambda relay: setattr(relay, "swallow", True), MaybeApplied, redis.TimeoutError),
    "black hole": (lambda relay: setattr(relay, "blackhole", True), MaybeApplied, redis.TimeoutError),
    "garbage": (lambda relay: relay.garble(b"HTTP/1.1 400\r\n\r\n"), MaybeApplied, redis.RedisError),
}


@pytest.mark.parametrize(
    ("way", "batching"),
    [
        ("single", True),
        ("map", True),
        ("transaction", True),
        ("pipeline", True),
        ("single", False),
        ("map", False),
    ],
)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_exchange_may_have_been_applied_and_crosses_no_replies(
    redis_servers: Servers, proxy: Proxies, fault: str, way: str, batching: bool
) -> None:
    hurt, kind, client_error = FAULTS[fault]

    async def ask(cluster: AsyncCluster) -> list[BaseException | None]:
        """The errors of two commands."""
        if way in ("single", "pipeline"):
            pipeline = cluster.on(0).pipeline().incr("n").incr("n")
            with pytest.raises(HostError) as caught:
                await (cluster.incr("n") if way == "single" else pipeline.execute())
            return [caught.value] * 2
        async with cluster.map(fail_silently=True, transaction=way == "transaction") as conn:
            promises = [conn.incr("n"), conn.incr("n")]
        return [each.error for each in promises]

    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        # protocol 2: an answer to a first request that says nothing of the protocol
        async with cluster_of(relay, settings=ONCE, protocol=2, batching=batching) as cluster:
            await warm_up(cluster, way)
            hurt(relay)
            with timeout_of(cluster, 0.1) if client_error is redis.TimeoutError else nullcontext():
                errors = await ask(cluster)
            relay.heal()
            first, second = errors
            assert isinstance(second, kind), errors
            assert isinstance(second, client_error)
            if fault != "garbage" or HIREDIS_AVAILABLE:
                assert isinstance(first, kind) or way == "map", errors
            await assert_in_step(cluster)
            assert int(await cluster.get("n") or 0) <= 2

    run(main())


@both_ways
def test_a_swallowed_reply_of_one_of_many_hosts_costs_only_its_own_commands(
    redis_servers: Servers, proxy: Proxies, batching: bool
) -> None:
    async def main() -> None:
        relays = [proxy(server) for server in redis_servers(3)]
        async with cluster_of(*relays, settings=ONCE, batching=batching) as cluster:
            await cluster.ping()
            relays[1].swallow = True
            with timeout_of(cluster, 0.1, 1):
                async with cluster.map(fail_silently=True) as conn:
                    promises = [conn.incr(f"k{i}") for i in range(60)]
            ended: dict[str, set[Outcome]] = {name: set() for name in ("0", "1", "2")}
            for i, promise in enumerate(promises):
                ended[cluster.router.locate(f"k{i}".encode())].add(promise.outcome)
            assert ended == {"0": {Outcome.VALUE}, "1": {Outcome.MAYBE_APPLIED}, "2": {Outcome.VALUE}}
            relays[1].swallow = False
            await cluster.ping()
            relays[1].swallow = True
            with pytest.raises(MaybeApplied) as caught, timeout_of(cluster, 0.1, 1):
                await cluster.flushdb()
            assert isinstance(caught.value, redis.TimeoutError)

    run(main())


@pytest.mark.parametrize(("transaction", "batching"), [(False, True), (False, False), (True, True)])
def test_replies_that_arrived_before_a_silence_are_values(
    redis_servers: Servers, transaction: bool, batching: bool
) -> None:
    async def main(loop: Shifted) -> None:
        promises: list[Any] = []
        async with cluster_of(bad, settings=ONCE, max_connections=1, batching=batching) as cluster:
            await warm_up(cluster, "transaction" if transaction else "map")
            engine: Any = cluster[0]
            (connection,) = open_of(engine)
            queued = b"+OK\r\n" + b"+QUEUED\r\n" * 3
            bad.answer(queued + b"*3\r\n:7\r\n:8" if transaction else b":7\r\n:8")

            async def work() -> None:
                async with cluster.map(fail_silently=True, transaction=transaction) as conn:
                    promises.extend(conn.incr("n") for _ in range(3))

            task = asyncio.create_task(work())
            await until_async(lambda: bad.played(0))
            if transaction or not batching:
                await until_async(lambda: not engine.pool._connector.is_in_step(connection))
            else:
                await until_async(connection._has_data)
            for _ in range(5):  # the loop has read it, and now it is parsed
                await asyncio.sleep(0)
            while not task.done():  # a loop that comes late gives an answer its time once more
                loop.ahead += LONG + 1
                await asyncio.sleep(0)
            known = [Outcome.MAYBE_APPLIED if transaction else Outcome.VALUE]
            assert [each.outcome for each in promises] == known + [Outcome.MAYBE_APPLIED] * 2
            assert isinstance(promises[1].error, redis.TimeoutError)
            await assert_in_step(cluster, 1)

    with ScriptedServer(redis_servers(1)[0]) as bad:
        run_shifted(main)


@both_ways
def test_a_trickled_reply_is_read_whole(redis_servers: Servers, proxy: Proxies, batching: bool) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, batching=batching) as cluster:
            await cluster.set("k", "value" * 5)
            relay.trickle = 0.001
            assert await cluster.get("k") == b"value" * 5
            async with cluster.map() as conn:
                values = [conn.get("k") for _ in range(5)]
            assert values == [b"value" * 5] * 5

    run(main())


@both_ways
@pytest.mark.parametrize("way", ["single", "map"])
def test_a_large_answer_is_read_also_where_the_loop_was_busy_until_its_time_was_over(
    redis_servers: Servers, proxy: Proxies, way: str, batching: bool
) -> None:
    async def main(loop: Shifted) -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, settings=ONCE, batching=batching) as cluster:
            await cluster.set("k", "x" * 2_000_000)
            relay.requests.clear()

            async def get() -> Any:
                if way == "single":
                    return await cluster.get("k")
                async with cluster.map() as conn:
                    found = conn.get("k")
                return found.value

            task = asyncio.create_task(get())
            await until_async(lambda: relay.requests)
            loop.ahead += LONG + 1
            assert len(await task) == 2_000_000

    run_shifted(main)


@both_ways
@pytest.mark.parametrize("way", ["single", "map"])
def test_a_connection_with_more_on_it_than_was_asked_for_is_used_no_more(
    redis_servers: Servers, way: str, batching: bool
) -> None:
    async def main(bad: ScriptedServer) -> None:
        async with cluster_of(bad, max_connections=1, batching=batching) as cluster:
            await cluster.set("a", 1)
            for surplus in (b"$5\r\nother\r\n", b":7\r\n", b"-ERR no\r\n"):
                bad.answer(b"$1\r\n1\r\n" + surplus)
                if way == "single":
                    assert await cluster.get("a") == b"1"
                else:
                    async with cluster.map() as conn:
                        value = conn.get("a")
                    assert value == b"1"
                await assert_in_step(cluster, 1)
            # it comes while nobody looks
            bad.answer(b"$1\r\n1\r\n", b"$5\r\nother\r\n")
            assert await cluster.get("a") == b"1"
            assert bad.played()
            await assert_in_step(cluster, 1)
            assert bad.connections == 5

    with ScriptedServer(redis_servers(1)[0]) as bad:
        run(main(bad))


@both_ways
@pytest.mark.parametrize("seen", [False, True])
def test_a_connection_that_the_server_has_closed_meanwhile_costs_nothing(
    redis_servers: Servers, proxy: Proxies, seen: bool, batching: bool
) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, settings=ONCE, batching=batching) as cluster:
            engine: Any = cluster[0]
            for way in ("single", "map", "pipeline"):
                await warm_up(cluster, way)
                relay.drop()
                if seen:  # else the loop has not looked at the socket when the command comes
                    await until_async(lambda: not lines_of(engine))
                    await until_async(lambda: all(each._reader.at_eof() for each in engine.pool._idle))
                if way == "single":
                    await cluster.incr("n")
                elif way == "map":
                    async with cluster.map() as conn:
                        conn.incr("n")
                else:
                    await cluster.on(0).pipeline().incr("n").execute()
            assert await cluster.get("n") == b"3"

    run(main())


@both_ways
def test_a_server_error_passes_through_unchanged(
    redis_servers: Servers, proxy: Proxies, batching: bool
) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, batching=batching) as cluster:
            await cluster.set("text", "x")
            for _ in range(3):
                with pytest.raises(redis.ResponseError, match=r"^WRONGTYPE") as caught:
                    await cluster.lpush("text", 1)
                assert type(caught.value) is redis.ResponseError
            with pytest.raises(CommandError) as failed:
                async with cluster.map() as conn:
                    wrong, right = conn.lpush("text", 1), conn.get("text")
            assert len(failed.value.errors) == 1
            assert type(wrong.error) is redis.ResponseError
            assert right == b"x"
            assert relay.connections == 1

    run(main())


@pytest.mark.parametrize("words", [b"-LOADING wait\r\n", b"-BUSY a script\r\n", b"-MASTERDOWN no\r\n"])
@both_ways
@pytest.mark.parametrize("way", ["single", "map"])
def test_an_answer_that_says_later_is_asked_again(
    redis_servers: Servers, way: str, words: bytes, batching: bool
) -> None:
    async def main(bad: ScriptedServer) -> None:
        async with cluster_of(bad, batching=batching) as cluster:
            await cluster.set("n", 1)
            bad.answer(words)
            if way == "single":
                assert await cluster.incr("n") == 2
            else:
                async with cluster.map() as conn:
                    value = conn.incr("n")
                assert value == 2
            assert bad.played()
            assert bad.connections == (
                2 if b"MASTERDOWN" in words else 1
            )  # a replica's connection is dropped
        async with cluster_of(bad, settings=ONCE, batching=batching) as cluster:
            await cluster.ping()
            bad.answer(words)
            with pytest.raises(redis.RedisError) as caught:
                await cluster.incr("n")
            assert not isinstance(caught.value, HostError)
            await assert_in_step(cluster)

    with ScriptedServer(redis_servers(1)[0]) as bad:
        run(main(bad))


@both_ways
def test_a_command_that_waits_in_vain_has_no_answer(redis_servers: Servers, batching: bool) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(1), batching=batching) as cluster:
            assert await cluster.blpop("nothing", timeout=0.05) is None
            async with cluster.map() as conn:
                none, one = conn.blpop("nothing", timeout=0.05), conn.incr("n")
            assert (none.value, one.value) == (None, 1)

    run(main())


@both_ways
@pytest.mark.parametrize("way", ["single", "map"])
def test_a_command_that_waits_may_take_longer_than_the_timeout(
    redis_servers: Servers, way: str, batching: bool
) -> None:
    async def main(loop: Shifted) -> None:
        async with cluster_of(*redis_servers(1), batching=batching) as cluster:

            async def wait() -> Any:
                if way == "single":
                    return await cluster.blpop("list", timeout=2 * LONG)
                async with cluster.map() as conn:
                    found, one = conn.blpop("list", timeout=2 * LONG), conn.incr("n")
                assert one == 1
                return found.value

            waiting = asyncio.create_task(wait())
            await until_blocked(cluster, 1)
            loop.ahead += 2 * LONG
            await cluster.lpush("list", "x")
            assert await waiting == (b"list", b"x")

    run_shifted(main)


async def until_blocked(cluster: AsyncCluster, count: int) -> None:
    """Wait until host 0 has so many clients that wait for an element of a list."""
    async with cluster.on(0).client() as one:
        while [each["cmd"] for each in await one.client_list()].count("blpop") < count:
            await asyncio.sleep(0.002)


# The pool ------------------------------------------------------------------------------------------------------


@both_ways
def test_a_full_pool_is_not_sent_and_says_so_and_speaks_not_against_the_host(
    redis_servers: Servers, batching: bool
) -> None:
    async def main() -> None:
        settings = {"health": {"failures": 1, "calls": 1}, "retry": {"attempts": 1}}
        options = {"max_connections": 2, "batching": batching}
        async with cluster_of(*redis_servers(1), **options, settings=settings) as cluster:
            engine: Any = cluster[0]
            held = [await engine.pool.take() for _ in range(2)]
            engine.pool._turns._patience = 0.05  # for those that come now
            for transaction in (False, True):
                async with cluster.map(fail_silently=True, transaction=transaction) as conn:
                    promise = conn.incr("n")
                is_sent = batching and not transaction
                assert promise.outcome is (Outcome.VALUE if is_sent else Outcome.NOT_SENT)
            with pytest.raises(HostDown, match="max_connections") as caught:
                await cluster.on(0).pipeline().incr("n").execute()
            assert isinstance(caught.value, redis.ConnectionError)
            if batching:
                assert await cluster.decr("n") == 0
            else:
                with pytest.raises(HostDown, match="max_connections") as caught:
                    await cluster.decr("n")
                assert isinstance(caught.value, redis.ConnectionError)
            for connection in held:
                engine.pool.give(connection, clean=True)
            engine.pool._turns._patience = LONG
            assert await cluster.incr("n") == 1
            assert cluster.health()[0].state.value == "closed"

    run(main())


@pytest.mark.parametrize("batching", [True, False, 2])
def test_many_tasks_share_few_connections(
    redis_servers: Servers, proxy: Proxies, batching: bool | int
) -> None:
    async def main() -> None:
        relays = [proxy(server) for server in redis_servers(2)]
        async with cluster_of(*relays, max_connections=3, batching=batching) as cluster:
            values = await asyncio.gather(*(cluster.incr(f"k{i % 50}") for i in range(500)))
            assert sorted(values) == sorted(list(range(1, 11)) * 50)
            assert max(relay.connections for relay in relays) == (int(batching) or 3)

    run(main())


@both_ways
def test_a_connection_is_asked_for_its_health_when_that_is_due(
    redis_servers: Servers, proxy: Proxies, batching: bool
) -> None:
    async def main(loop: Shifted) -> None:
        relay = proxy(redis_servers(1)[0])
        options = {"health_check_interval": LONG, "timeout": 1, "batching": batching}
        async with cluster_of(relay, **options, settings=ONCE) as cluster:
            await cluster.set("k", "v")
            relay.requests.clear()
            assert await cluster.get("k") == b"v"
            assert b"PING" not in b"".join(relay.requests)
            loop.ahead += LONG + 1
            relay.requests.clear()
            assert await cluster.get("k") == b"v"
            assert b"PING" in b"".join(relay.requests)
            loop.ahead += LONG + 1
            relay.swallow = True  # a server that is gone without a word
            with pytest.raises(HostDown):
                await cluster.incr("n")
            relay.heal()
            assert await cluster.incr("n") == 1

    run_shifted(main)


# Who one is ----------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_not_sent_and_not_shown(new_redis_server: Callable[..., PrivateServer]) -> None:
    async def main() -> None:
        server = new_redis_server({"requirepass": "s3cret"})
        async with cluster_of(server, password="s3cret") as cluster:
            assert await cluster.set("k", 1)
            await cluster.on(0).acl_setuser(
                "ada", enabled=True, passwords=["+s3cret"], categories=["+@all"], keys=["a:*"]
            )
        for options in ({"password": "wr0ng"}, {"username": "ada", "password": "wr0ng"}):
            async with cluster_of(server, **options) as cluster:
                engine: Any = cluster[0]
                texts = [repr(cluster), repr(engine), repr(vars(engine)), repr(engine.pool)]
                calls: list[Callable[[], Awaitable[Any]]] = [
                    lambda: cluster.get("k"),
                    lambda: cluster.on(0).pipeline().get("k").execute(),
                    lambda: cluster.mget("k", "j"),
                ]
                for call in calls:
                    with pytest.raises(HostDown) as caught:
                        await call()
                    assert isinstance(caught.value, redis.AuthenticationError)
                    texts += [str(caught.value), repr(caught.value), str(caught.value.__cause__)]
                async with cluster.map(fail_silently=True) as conn:
                    promise = conn.get("k")
                texts.append(repr(promise.error))
                assert not [text for text in texts if "wr0ng" in text]
        async with cluster_of(server, username="ada", password="s3cret") as cluster:
            assert await cluster.set("a:1", 1)
            with pytest.raises(redis.exceptions.NoPermissionError):
                await cluster.set("b:1", 1)

    run(main())


def test_options_of_redis_py_reach_it(new_redis_server: Callable[..., PrivateServer]) -> None:
    async def main() -> None:
        server = new_redis_server({"requirepass": "s3cret"})
        async with cluster_of(server, password="s3cret", client_name="me", db=3) as cluster:
            for client in (cluster.on(0).client(), cluster.on(0).client()):
                async with client as one:
                    info = await one.client_info()
                assert (info["name"], info["db"]) == ("me", 3)
            await cluster.set("k", "v")
            assert await cluster.dbsize() == 1
            assert cluster[0].identifier == f"unix://{server.path}?db=3"

    run(main())


def test_tcp_tls_and_urls(redis_servers: Servers, certificate: Path) -> None:
    async def main(front: TlsFront, server: PrivateServer) -> None:
        hosts: list[Any] = [
            {"host": "localhost", "port": front.port, "ssl": True, "ssl_ca_certs": str(certificate)},
            f"rediss://localhost:{front.port}/3?ssl_ca_certs={certificate}",
            f"redis://127.0.0.1:{server.port}/1",
            f"unix://{server.path}?db=2",
        ]
        async with create_async_cluster(
            {"engine": Redis, "hosts": hosts, "defaults": {"timeout": LONG}}
        ) as cluster:
            assert await cluster.incr("n") == [1, 1, 1, 1]
            big = "x" * 3_000_000
            assert await cluster.set("big", big) == [True] * 4
            assert [len(each) for each in await cluster.get("big")] == [len(big)] * 4
            async with cluster.map() as conn:
                values = [conn.incr("n") for _ in range(50)]
            assert values[-1] == [51] * 4
            assert await cluster.on(0).pipeline().incr("n").execute() == [52]
        hosts = [f"rediss://localhost:{front.port}/4"]
        async with create_async_cluster(
            {"engine": Redis, "hosts": hosts, "defaults": {"timeout": LONG}}
        ) as cluster:
            with pytest.raises(HostDown, match="CERT"):
                await cluster.ping()

    (server,) = redis_servers(1, tcp=True)
    with TlsFront(server, certificate) as front:
        run(main(front, server))


@pytest.mark.parametrize("batching", [20, False])
def test_the_connections_of_a_host_share_a_tls_context_that_no_event_loop_makes(
    certificate: Path, redis_servers: Servers, monkeypatch: pytest.MonkeyPatch, batching: bool | int
) -> None:
    """It reads all certificates of the system: a loop that does so for each connection gets nothing else done."""
    makers: list[int] = []
    make = ssl.create_default_context

    def counted(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        makers.append(threading.get_ident())
        return make(*args, **kwargs)

    async def main(front: TlsFront) -> None:
        options = {"timeout": LONG, "ssl_ca_certs": str(certificate), "batching": batching}
        settings = {"engine": Redis, "hosts": [f"rediss://localhost:{front.port}"], "defaults": options}
        async with create_async_cluster(settings) as cluster:
            await asyncio.gather(*(cluster.set("k", "v") for _ in range(30)))
            assert front.connections > 10
            assert len(makers) == 1
            os.utime(certificate, ns=(1, 1))  # another certificate, perhaps
            async with cluster.pubsub() as subscriber:
                await subscriber.subscribe("news")
        assert len(makers) == 2
        assert threading.get_ident() not in makers

    (server,) = redis_servers(1, tcp=True)
    monkeypatch.setattr(ssl, "create_default_context", counted)
    with TlsFront(server, certificate) as front:
        run(main(front))


# Replies -------------------------------------------------------------------------------------------------------


@both_ways
def test_an_answer_that_cannot_be_decoded_is_one_commands_alone(
    redis_servers: Servers, batching: bool
) -> None:
    async def main() -> None:
        options = {"decode_responses": True, "batching": batching}
        async with cluster_of(*redis_servers(1), **options, settings=ONCE) as cluster:
            await cluster.set("bad", b"\xff")
            await cluster.set("good", "é")
            with pytest.raises(MaybeApplied):
                await cluster.get("bad")
            assert await cluster.get("good") == "é"
            async with cluster.map(fail_silently=True) as conn:
                promises = [conn.get("good"), conn.get("bad"), conn.get("good")]
            first, second, third = (each.outcome for each in promises)
            assert (first, second) == (Outcome.VALUE, Outcome.MAYBE_APPLIED)
            assert third is (Outcome.VALUE if HIREDIS_AVAILABLE or batching else Outcome.MAYBE_APPLIED)
            assert await cluster.get("good") == "é"
            assert cluster.health()[0].state.value == "closed"

    run(main())


@both_ways
def test_options_of_a_command_say_how_its_reply_is_read(redis_servers: Servers, batching: bool) -> None:
    async def main() -> None:
        options = {"decode_responses": True, "batching": batching}
        async with cluster_of(*redis_servers(1), **options) as cluster:
            await cluster.set("bad", b"\xff")
            await cluster.set("text", "x")
            plain = {NEVER_DECODE: True}
            assert await cluster.execute_command("GET", "bad", **plain) == b"\xff"
            assert await cluster.execute_command("LPUSH", "text", 1, **{EMPTY_RESPONSE: []}) == []
            assert isinstance(await cluster.dump("text"), bytes)
            async with cluster.map() as conn:
                got = conn.execute_command("GET", "bad", **plain)
                empty = conn.execute_command("LPUSH", "text", 1, **{EMPTY_RESPONSE: []})
                text = conn.get("text")
            assert (got.value, empty.value, text.value) == (b"\xff", [], "x")

    run(main())


@both_ways
def test_very_large_values_and_very_many_commands(redis_servers: Servers, batching: bool) -> None:
    async def main() -> None:
        big = b"0123456789" * 2_000_000
        async with cluster_of(*redis_servers(2), batching=batching) as cluster:
            assert await cluster.set("big", big) is True
            assert await cluster.get("big") == big
            async with cluster.map() as conn:
                stored, found = conn.set("big2", big), conn.get("big2")
            assert stored.value is True
            assert found.value == big
            async with cluster.map() as conn:
                values = [conn.incrby(f"k{i % 5000}", i) for i in range(10_000)]
            assert values[:5000] == list(range(5000))
            assert values[5000:] == [i + i - 5000 for i in range(5000, 10_000)]

    run(main())


# Transactions --------------------------------------------------------------------------------------------------


def test_a_transaction_is_applied_whole_or_not_at_all(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(1)) as cluster:
            await cluster.set("text", "x")
            async with cluster.map(transaction=True, fail_silently=True) as conn:
                promises = [conn.incr("n"), conn.lpush("text", 1), conn.incr("n")]
            assert [each.outcome for each in promises] == [
                Outcome.VALUE,
                Outcome.SERVER_ERROR,
                Outcome.VALUE,
            ]
            async with cluster.map(transaction=True, fail_silently=True) as conn:
                promises = [conn.incr("n"), conn.execute_command("GET", "n", "too", "many"), conn.incr("n")]
            kinds = [type(each.error) for each in promises]
            aborted = redis.exceptions.ExecAbortError
            assert kinds == [aborted, redis.ResponseError, aborted]
            assert await cluster.get("n") == b"2"
            await assert_in_step(cluster)

    run(main())


def test_a_write_that_reached_some_hosts_may_have_been_applied(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    async def main() -> None:
        servers = [new_redis_server() for _ in range(3)]
        async with cluster_of(*servers) as cluster:
            servers[1].stop()
            with pytest.raises(MaybeApplied, match="others have applied it") as caught:
                await cluster.mset({f"k{i}": i for i in range(20)})
            assert isinstance(caught.value, redis.ConnectionError)
            with pytest.raises(HostDown):  # a read has done nothing
                await cluster.mget([f"k{i}" for i in range(20)])

    run(main())


# Options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("retry", "the cluster alone decides"),
        ("retry_on_timeout", "the cluster alone decides"),
        ("retry_on_error", "the cluster alone decides"),
        ("cache", "client-side cache"),
        ("cache_config", "client-side cache"),
        ("single_connection_client", "max_connections"),
        ("connection_pool", "each event loop has a pool of its own"),
        ("auto_close_connection_pool", r"await cluster\.aclose\(\)"),
        ("maint_notifications_config", "blocking side"),
    ],
)
def test_options_that_would_undo_what_the_cluster_promises_are_refused(option: str, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"hosts\[0\]\.{option}: .*{why}"):
        create_async_cluster({"engine": Redis, "hosts": [{option: True}]})


OUR_OPTIONS = {"timeout", "identifier", "batching", "pipeline_depth"}


def test_every_option_of_redis_asyncio_is_known() -> None:
    parameters = set(inspect.signature(redis.asyncio.Redis).parameters)
    known = set(AsyncRedis.option_types())
    assert parameters <= known == set(ASYNC_OPTION_TYPES)
    assert known - parameters >= OUR_OPTIONS


@pytest.mark.parametrize(
    "option", sorted(set(OPTION_TYPES) - set(inspect.signature(redis.asyncio.Redis).parameters))
)
def test_every_option_of_the_blocking_side_is_taken_or_refused_with_the_reason(option: str) -> None:
    if option not in OUR_OPTIONS:
        create_async_cluster({"engine": Redis, "hosts": [{option: None}]})
        with pytest.raises(
            ConfigError, match=rf"^hosts\[0\]\.{option}: '{option}' is not for a host of a cluster: "
        ):
            create_async_cluster({"engine": Redis, "hosts": [{option: True}]})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("port", 0), ("db", -1), ("timeout", 0), ("max_connections", 0), ("protocol", 7), ("host", "")],
        *[("batching", -1), ("batching", 1001), ("pipeline_depth", 0)],
    ],
)
def test_a_value_that_makes_no_sense_is_told_with_its_place(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^hosts\[0\]\.{option}: found {value!r}; expected "):
        create_async_cluster({"engine": Redis, "hosts": [{option: value}]})


def test_timeouts_are_set_and_retries_are_off() -> None:
    def settled(**options: Any) -> list[Any]:
        cluster = create_async_cluster({"engine": Redis, "hosts": [options]})
        engine: Any = cluster[0]
        kwargs = engine._template.connection_kwargs
        return [
            *(kwargs[f"socket_{kind}timeout"] for kind in ("", "connect_")),
            kwargs["retry"].get_retries(),
        ]

    assert settled() == [5.0, 5.0, 0]
    assert settled(timeout=2, socket_connect_timeout=1) == [2, 1, 0]
    assert settled(timeout=None) == [None, None, 0]


def test_methods_that_redis_py_has_not_are_told_with_the_nearest() -> None:
    cluster = create_async_cluster({"engine": Redis, "hosts": [{}]})
    for client in (cluster, cluster.on(0)):
        with pytest.raises(AttributeError, match="redis-py has no command 'zad'; did you mean 'zadd'"):
            _ = client.zad


def test_a_command_that_nobody_awaits_is_named_in_the_warning() -> None:
    cluster = create_async_cluster({"engine": Redis, "hosts": [{}]})
    for client in (cluster, cluster.on(0)):
        with pytest.warns(RuntimeWarning, match="coroutine 'command INCRBY' was never awaited"):
            client.incr("n")  # its coroutine is gone at once


# One host ------------------------------------------------------------------------------------------------------


def test_what_would_stay_with_a_shared_connection_needs_one_of_its_own(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(2)) as cluster:
            calls: list[Callable[[Any], Awaitable[Any]]] = [
                lambda c: c.select(3),
                lambda c: c.execute_command("MULTI"),
                lambda c: c.execute_command("WATCH", "k"),
                lambda c: c.execute_command("SUBSCRIBE", "k"),
            ]
            for call in calls:
                for client in (cluster, cluster.on(0)):
                    with pytest.raises(RoutingError, match=r"cluster\.on\(host\)"):
                        await call(client)
            async with cluster.on(0).client() as one:
                await one.select(3)
                await one.set("k", "in 3")
            await cluster.on(0).set("k", "in 0")
            assert await cluster.on(0).get("k") == b"in 0"
            async with cluster.on(0).client() as one:
                assert await one.get("k") == b"in 0"

    run(main())


@both_ways
def test_the_client_of_a_host_may_be_a_block_and_closes_nothing_of_the_clusters(
    redis_servers: Servers, proxy: Proxies, batching: bool
) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, batching=batching) as cluster:
            async with cluster.on(0) as host:
                assert await host.set("k", "v")
            assert await (await cluster.on(0)).get("k") == b"v"
            await cluster.on(0).aclose()
            assert await cluster.get("k") == b"v"
            assert relay.connections == 1

    run(main())


def test_flush_empties_the_database_of_one_host(redis_servers: Servers, proxy: Proxies) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, db=2, max_connections=1) as cluster:
            await cluster.set("k", "v")
            await cluster[0].flush()
            assert await cluster.dbsize() == 0
            await cluster.ping()
            relay.swallow = True
            with pytest.raises(redis.TimeoutError), timeout_of(cluster, 0.1):
                await cluster[0].flush()
            relay.heal()
            await assert_in_step(cluster)

    run(main())


def test_a_probe_says_whether_a_host_is_up(redis_servers: Servers, proxy: Proxies) -> None:
    async def main(bad: ScriptedServer) -> None:
        quiet = (
            {"driver_info": None}
            if "driver_info" in inspect.signature(redis.asyncio.Redis).parameters
            else {"lib_name": None, "lib_version": None}
        )
        # so that a new connection sends nothing by itself, and it is PING that is answered so
        async with cluster_of(bad, max_connections=1, protocol=2, **quiet) as cluster:
            await cluster[0].probe()
            for words, error in (
                (b"-LOADING wait\r\n", redis.exceptions.BusyLoadingError),
                (b"-MASTERDOWN no\r\n", redis.ResponseError),
                (b"", redis.TimeoutError),
                (b"HTTP/1.1 400\r\n\r\n", redis.RedisError),
            ):
                bad.answer(words)
                patience = timeout_of(cluster, 0.1) if error is redis.TimeoutError else nullcontext()
                with pytest.raises(error) as caught, patience:
                    await cluster[0].probe()
                assert caught.value.__cause__ is not caught.value
            await cluster.ping()
            bad.answer(b"-NOPERM no\r\n")  # it is up
            await cluster[0].probe()
            await assert_in_step(cluster)

    with ScriptedServer(redis_servers(1)[0]) as bad:
        run(main(bad))


def test_monitor_belongs_to_one_host(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(2)) as cluster:
            with pytest.raises(RoutingError, match=r"cluster\.on\(host\)\.monitor\(\)"):
                cluster.monitor()
            async with cluster.on(1).monitor() as monitor:
                await cluster.on(1).set("seen", 1)
                told = await asyncio.wait_for(monitor.next_command(), LONG)
                while "SET seen" not in told["command"]:
                    told = await asyncio.wait_for(monitor.next_command(), LONG)
            await assert_in_step(cluster)

    run(main())


@both_ways
def test_closing_leaves_no_connection(redis_servers: Servers, proxy: Proxies, batching: bool) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, max_connections=4, batching=batching) as cluster:
            await asyncio.gather(*(cluster.incr("n") for _ in range(20)))
            async with cluster.on(0).client() as one:
                await one.ping()
            assert relay.connections >= 2
        gc.collect()
        await until_async(lambda: not relay.open_connections)  # the proxy has to notice
        assert await cluster.incr("n") == 21  # a later command opens new ones
        await cluster.aclose()

    run(main())


@both_ways
def test_one_cluster_in_several_loops(redis_servers: Servers, batching: bool) -> None:
    cluster = cluster_of(*redis_servers(2), batching=batching)

    async def main(expected: int) -> None:
        assert await cluster.incr("n") == expected
        assert await cluster.on_key("n").pipeline().get("n").execute() == [str(expected).encode()]
        await cluster.aclose()

    for number in range(3):
        run(main(number + 1))
