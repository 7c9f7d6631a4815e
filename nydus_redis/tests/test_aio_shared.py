"""All tasks of an event loop share one connection a host: what leaves together, in which order, and what becomes of each command
when tasks are cancelled, connections die or a host hangs. On real servers.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import redis
from redis.utils import HIREDIS_AVAILABLE

from clusters import NO_RETRY, async_cluster_of
from given import Proxies, RedisServers
from nydus_core import ConfigError, HostDown, HostError, MaybeApplied, create_async_cluster
from nydus_core.aio import Multiplexer
from nydus_core.command import Outcome
from nydus_redis.connection import RedisLine
from nydus_redis.embedded.server import PrivateServer
from scripted import ScriptedServer
from waiting import LONG, until_async
from waiting_time import timeout_of

#: However many commands fail, no host is taken for down, and none is tried again.
ONCE = {"retry": NO_RETRY, "health": {"failures": 10**6, "calls": 10**6}}


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


async def clients_of(server: PrivateServer) -> int:
    """How many connections a server has, but for the one that asks."""
    async with redis.asyncio.Redis(unix_socket_path=server.path) as client:
        return int((await client.info("clients"))["connected_clients"]) - 1


async def until_clients(server: PrivateServer, count: int) -> None:
    """Wait until a server has so many connections: it may learn of an end a little later."""
    for _ in range(int(LONG / 0.01)):
        if await clients_of(server) == count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{await clients_of(server)} connections are left, not {count}")


def line_of(cluster: Any, host: Any = 0) -> Any:
    """The shared connection to a host."""
    return shared_of(cluster, host)._line


def shared_of(cluster: Any, host: Any = 0) -> Any:
    """The queue of the shared connection to a host."""
    return cluster[host].shared[0]


async def ended(*awaitables: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*awaitables, return_exceptions=True)


# One connection -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [True, 1, 3])
def test_tasks_share_connections(redis_servers: RedisServers, count: int) -> None:
    server = redis_servers(1)[0]

    async def main() -> None:
        async with async_cluster_of(server, batching=count) as cluster:
            values = await asyncio.gather(*(cluster.incr("n") for _ in range(300)))
            assert sorted(values) == list(range(1, 301))
            assert await clients_of(server) == int(count)
        await until_clients(server, 0)

    run(main)


def test_without_batching_each_task_has_a_connection(redis_servers: RedisServers) -> None:
    server = redis_servers(1)[0]

    async def main() -> None:
        async with async_cluster_of(server, batching=False, max_connections=7) as cluster:
            assert sorted(await asyncio.gather(*(cluster.incr("n") for _ in range(50)))) == list(range(1, 51))
            assert await clients_of(server) == 7

    run(main)


def test_commands_of_one_turn_leave_in_one_write(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay) as cluster:
            await cluster.ping()
            relay.requests.clear()
            # The first leaves at once: a task alone does not wait for others
            assert sum(await asyncio.gather(*(cluster.incr("n") for _ in range(100)))) == 5050
            assert len(relay.requests) <= 2
            relay.requests.clear()
            assert len(await asyncio.gather(*(cluster.incr("n") for _ in range(100)))) == 100
            assert len(relay.requests) == 1

    run(main)


@pytest.mark.parametrize("depth", [1, 7, 1000])
def test_the_order_is_that_of_the_calls(redis_servers: RedisServers, depth: int) -> None:
    async def main() -> None:
        async with async_cluster_of(redis_servers(1)[0], pipeline_depth=depth) as cluster:

            async def mapped(first: int) -> None:
                async with cluster.map() as conn:
                    for number in range(first, first + 50):
                        conn.rpush("list", number)

            works: list[Awaitable[Any]] = []
            for first in range(0, 500, 100):
                works += [cluster.rpush("list", number) for number in range(first, first + 50)]
                works.append(mapped(first + 50))
            await asyncio.gather(*works)
            found = [int(each) for each in await cluster.lrange("list", 0, -1)]
            singles = [number for number in found if number % 100 < 50]
            lanes = [number for number in found if number % 100 >= 50]
            assert singles == sorted(singles)
            assert lanes == sorted(lanes)

    run(main)


def test_no_more_commands_are_under_way_than_the_settings_say(redis_servers: RedisServers) -> None:
    with ScriptedServer(redis_servers(1)[0]) as server:

        async def main() -> None:
            async with async_cluster_of(server, pipeline_depth=10, protocol=2) as cluster:
                await cluster.ping()
                line, most = line_of(cluster), 0
                works = asyncio.gather(*(cluster.incr("n") for _ in range(200)))
                while not works.done():
                    most = max(most, line.under_way)
                    await asyncio.sleep(0)
                assert sorted(await works) == list(range(1, 201))
                assert 1 < most <= 10
                async with cluster.map() as conn:
                    values = [conn.incr("n") for _ in range(100)]
                assert values == list(range(201, 301))

        run(main)


def test_blocking_commands_and_transactions_hold_up_nobody(redis_servers: RedisServers) -> None:
    async def main() -> None:
        async with async_cluster_of(redis_servers(1)[0]) as cluster:
            popped = [asyncio.create_task(cluster.blpop("queue", LONG)) for _ in range(3)]
            reading = asyncio.create_task(cluster.xread({"stream": "$"}, block=int(LONG * 1000)))
            await asyncio.sleep(0.05)
            assert await asyncio.gather(*(cluster.incr("n") for _ in range(50)))
            async with cluster.map(transaction=True) as conn:
                conn.rpush("queue", 1, 2, 3)
                conn.xadd("stream", {"a": 1})
            assert sorted(await asyncio.gather(*popped)) == [
                (b"queue", b"1"),
                (b"queue", b"2"),
                (b"queue", b"3"),
            ]
            assert await reading

    run(main)


def test_large_requests_and_replies_among_small_ones(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])
    large = b"x" * 3_000_000

    async def main() -> None:
        async with async_cluster_of(relay) as cluster:

            async def some(number: int) -> None:
                key = f"key{number}"
                assert await cluster.set(key, large + key.encode()) is True
                assert await cluster.incr(f"n{number}") == 1
                assert await cluster.get(key) == large + key.encode()
                async with cluster.map() as conn:
                    values = [conn.get(key), conn.get(f"n{number}")]
                assert values == [large + key.encode(), b"1"]

            await asyncio.gather(*(some(number) for number in range(8)))
            relay.trickle = 0.0005
            assert await asyncio.gather(*(cluster.echo(f"{number}") for number in range(50))) == [
                f"{number}".encode() for number in range(50)
            ]

    run(main)


@pytest.mark.parametrize("protocol", [2, 3])
def test_each_reply_is_read_as_its_command_asks(redis_servers: RedisServers, protocol: int) -> None:
    async def main() -> None:
        async with async_cluster_of(redis_servers(1)[0], protocol=protocol, decode_responses=True) as cluster:
            await cluster.set("text", "ä")
            await cluster.execute_command("SET", "binary", b"\xff\xfe")
            await cluster.hset("hash", mapping={"a": "1"})

            async def one(number: int) -> None:
                kind = number % 6
                if kind == 0:
                    assert await cluster.get("text") == "ä"
                elif kind == 1:
                    assert type(await cluster.dump("text")) is bytes
                elif kind == 2:
                    with pytest.raises(MaybeApplied) as caught:
                        await cluster.get("binary")
                    assert isinstance(caught.value, UnicodeDecodeError)
                elif kind == 3:
                    assert await cluster.hgetall("hash") == {"a": "1"}
                elif kind == 4:
                    with pytest.raises(redis.ResponseError):
                        await cluster.incr("text")
                else:
                    assert await cluster.mget([]) == []

            await asyncio.gather(*(one(number) for number in range(120)))
            async with cluster.map(fail_silently=True) as conn:
                promises = [conn.get("text"), conn.dump("text"), conn.get("binary"), conn.incr("text")]
            assert promises[0] == "ä"
            assert isinstance(promises[1].value, bytes)
            assert promises[2].outcome is Outcome.MAYBE_APPLIED
            assert promises[3].outcome is Outcome.SERVER_ERROR

    run(main)


# Cancelled ----------------------------------------------------------------------------------------------------------


def test_a_command_cancelled_in_the_queue_is_never_sent(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, pipeline_depth=1) as cluster:
            await cluster.ping()
            line = line_of(cluster)
            relay.blackhole = True
            first, second, third = (asyncio.create_task(cluster.rpush("list", n)) for n in range(3))
            block = cluster.map()
            promises: list[Any] = []

            async def mapped() -> None:
                async with block as conn:
                    promises.extend(conn.rpush("list", n) for n in (10, 11))

            fourth = asyncio.create_task(mapped())
            await until_async(lambda: len(shared_of(cluster)._queue) == 3)
            second.cancel()
            fourth.cancel()
            errors = await ended(second, fourth)
            assert [type(error) for error in errors] == [asyncio.CancelledError] * 2
            assert [each.outcome for each in promises] == [Outcome.NOT_SENT] * 2
            relay.blackhole = False
            assert await ended(first, third) == [1, 2]
            assert await cluster.lrange("list", 0, -1) == [b"0", b"2"]
            assert line_of(cluster) is line

    run(main)


def test_the_reply_to_a_command_cancelled_after_the_write_is_dropped(
    redis_servers: RedisServers, proxy: Proxies
) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay) as cluster:
            await cluster.ping()
            line = line_of(cluster)
            relay.delay = 0.05
            tasks = [asyncio.create_task(cluster.incr("n")) for _ in range(10)]
            await until_async(lambda: line.under_way == 10)
            for task in tasks[1::2]:
                task.cancel()
            errors = await ended(*tasks)
            assert errors[::2] == [1, 3, 5, 7, 9]
            assert all(isinstance(error, asyncio.CancelledError) for error in errors[1::2])
            assert await cluster.get("n") == b"10"
            assert line_of(cluster) is line
            assert relay.connections == 1

    run(main)


def test_a_map_cancelled_half_way_tells_each_outcome(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay) as cluster:
            await cluster.set("large", "x" * 1_000_000)
            line, promises = line_of(cluster), list[Any]()

            async def mapped() -> None:
                async with cluster.map() as conn:
                    promises.append(conn.incr("n"))
                    promises.append(conn.get("large"))
                    promises.append(conn.incr("n"))

            relay.throttle = 2_000_000
            task = asyncio.create_task(mapped())
            await until_async(lambda: line.waiting and line._has_data())  # half of the large reply has come
            task.cancel()
            assert isinstance((await ended(task))[0], asyncio.CancelledError)
            assert [each.outcome for each in promises] == [
                Outcome.VALUE,
                Outcome.MAYBE_APPLIED,
                Outcome.MAYBE_APPLIED,
            ]
            relay.throttle = 0
            assert await cluster.incr("n") == 3
            assert line_of(cluster) is line

    run(main)


@pytest.mark.parametrize(
    ("engine", "replies"), [("redis", b"+OK\r\n:1\r\n:2\r\n"), ("memcache", b"STORED\r\n1\r\n2\r\n")]
)
def test_replies_that_come_before_a_cancelled_task_has_its_turn_are_its_own(
    request: pytest.FixtureRequest, proxy: Proxies, engine: str, replies: bytes
) -> None:
    servers = request.getfixturevalue("redis_servers" if engine == "redis" else "memcached_servers")
    relay = proxy(servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, engine=engine) as cluster:
            await cluster.set("n", "0")
            line, promises = line_of(cluster), list[Any]()

            async def mapped() -> None:
                async with cluster.map() as conn:
                    promises.append(conn.set("k", "v"))
                    # In the same request, for memcached
                    promises.extend(conn.incr("n", 1) for _ in range(2))

            relay.swallow = True
            task = asyncio.create_task(mapped())
            await until_async(lambda: line.waiting)
            task.cancel()
            await asyncio.sleep(
                0
            )  # the call is cancelled, and with it the wait of the engine, which has not woken
            line.data_received(replies)
            await ended(task)
            assert [each.outcome for each in promises] == [Outcome.VALUE] * 3
            assert promises == [True, 1, 2]

    run(main)


def test_a_deadline_ends_its_command_alone(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay) as cluster:
            await cluster.ping()
            line = line_of(cluster)
            relay.blackhole = True

            async def hurried() -> None:
                with cluster.deadline(0.05):
                    await cluster.incr("n")

            patient = asyncio.create_task(cluster.incr("n"))
            (error,) = await ended(hurried())
            assert isinstance(error, MaybeApplied)
            relay.blackhole = False
            assert await patient in (1, 2)
            assert await cluster.get("n") == b"2"
            assert line_of(cluster) is line

    run(main)


def test_many_cancelled_commands_do_not_fill_the_queue(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, pipeline_depth=1, timeout=None) as cluster:
            await cluster.ping()
            relay.blackhole = True
            queue = shared_of(cluster)._queue
            waiting = asyncio.create_task(cluster.incr("n"))
            for _ in range(20):
                tasks = [asyncio.create_task(cluster.incr("n")) for _ in range(1000)]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await ended(*tasks)
            assert len(queue) < 5000
            relay.blackhole = False
            assert await waiting == 1
            assert await cluster.get("n") == b"1"

    run(main)


# Lost -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["cut", "killed"])
def test_a_lost_connection_tells_each_command_its_outcome(
    new_redis_server: Callable[..., PrivateServer], proxy: Proxies, way: str
) -> None:
    server = new_redis_server()
    relay = proxy(server)

    async def main() -> None:
        async with async_cluster_of(relay, pipeline_depth=20, **ONCE) as cluster:
            await cluster.ping()
            line = line_of(cluster)
            relay.swallow = True  # requests are done, no reply comes
            tasks = [asyncio.create_task(cluster.set(f"k{n}", n)) for n in range(30)]
            await until_async(lambda: line.under_way == 20)
            async with redis.asyncio.Redis(unix_socket_path=server.path) as direct:
                while await direct.dbsize() < 20:
                    await asyncio.sleep(0.002)
                relay.swallow = False
                if way == "cut":
                    relay.drop()
                else:
                    await direct.client_kill_filter(_type="normal", skipme=True)
                outcomes = await ended(*tasks)
                assert all(isinstance(each, MaybeApplied) for each in outcomes[:20]), outcomes
                assert (
                    outcomes[20:] == [True] * 10
                )  # they were in the queue, and went over the next connection
                assert await direct.dbsize() == 30

    run(main)


def test_a_written_command_that_is_put_in_the_queue_again_is_found(
    new_redis_server: Callable[..., PrivateServer], proxy: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above bites."""
    line_lost = Multiplexer.line_lost

    def again(self: Any, line: Any, cause: Exception) -> None:
        self._queue.extendleft(reversed(line.waiting))
        line.waiting.clear()
        line_lost(self, line, cause)

    monkeypatch.setattr(Multiplexer, "line_lost", again)
    with pytest.raises(AssertionError, match="True, True"):
        test_a_lost_connection_tells_each_command_its_outcome(new_redis_server, proxy, "cut")


def test_a_host_that_cannot_be_reached_is_told_to_all(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server()

    async def main() -> None:
        async with async_cluster_of(server, **ONCE) as cluster:
            assert await cluster.incr("n") == 1
            server.stop()
            outcomes = await ended(*(cluster.incr("n") for _ in range(100)))
            assert all(isinstance(each, HostDown) for each in outcomes)
            assert {each.command for each in outcomes} == {"INCRBY b'n'"}
            async with cluster.map(fail_silently=True) as conn:
                promises = [conn.incr("n") for _ in range(300)]
            assert {each.outcome for each in promises} == {Outcome.NOT_SENT}

    run(main)


def test_a_hung_host_is_told_to_all_that_wait(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, pipeline_depth=10, **ONCE) as cluster:
            await cluster.ping()
            relay.blackhole = True
            with timeout_of(cluster, 0.1):
                outcomes = await ended(*(cluster.incr("n") for _ in range(15)))
            assert [isinstance(each, MaybeApplied) for each in outcomes] == [True] * 10 + [False] * 5
            assert all(
                isinstance(each, HostError) and isinstance(each, redis.TimeoutError) for each in outcomes
            )
            assert all(isinstance(each, HostDown) for each in outcomes[10:])
            relay.drop()
            relay.blackhole = False
            assert await cluster.incr("m") == 1

    run(main)


def test_a_host_that_answers_bit_by_bit_is_not_hung(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, timeout=1.0, **ONCE) as cluster:
            await cluster.set("large", "x" * 150_000)
            relay.throttle = 100_000  # bytes a second
            values = await asyncio.gather(*(cluster.get("large") for _ in range(2)))
            assert [len(each) for each in values] == [150_000] * 2

    run(main)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        pytest.param(
            b"*-7\r\n",
            marks=pytest.mark.skipif(not HIREDIS_AVAILABLE, reason="redis-py takes it for an empty list"),
        ),
        b"$abc\r\n",
        b"\x00" * 40,
    ],
)
def test_nonsense_ends_the_connection_and_crosses_no_replies(
    redis_servers: RedisServers, nonsense: bytes
) -> None:
    with ScriptedServer(redis_servers(1)[0]) as server:

        async def main() -> None:
            async with async_cluster_of(server, protocol=2, **ONCE) as cluster:
                await cluster.ping()
                server.answer(nonsense, close=True, skip=1)
                outcomes = await ended(*(cluster.set(f"k{n}", f"v{n}") for n in range(20)))
                assert all(each is True or isinstance(each, MaybeApplied) for each in outcomes)
                server.honest()
                values = await asyncio.gather(*(cluster.echo(f"e{n}") for n in range(50)))
                assert values == [f"e{n}".encode() for n in range(50)]

        run(main)


def test_an_idle_connection_with_unasked_bytes_is_not_used_again(redis_servers: RedisServers) -> None:
    with ScriptedServer(redis_servers(1)[0]) as server:

        async def main() -> None:
            async with async_cluster_of(server, protocol=2, **ONCE) as cluster:
                await cluster.ping()
                line = line_of(cluster)
                server.answer(b"+PONG\r\n", b"+MORE\r\n")
                assert await cluster.ping() is True
                server.played()
                assert await cluster.echo("mine") == b"mine"
                assert line_of(cluster) is not line

        run(main)


def test_a_server_that_was_started_anew_is_not_an_error(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    server = new_redis_server()

    async def main() -> None:
        async with async_cluster_of(server, **ONCE) as cluster:
            assert await cluster.incr("n") == 1
            server.restart()
            assert await ended(*(cluster.incr("m") for _ in range(3))) == [1, 2, 3]

    run(main)


def test_an_idle_connection_is_asked_whether_it_is_alive(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, health_check_interval=0.05, **ONCE) as cluster:
            assert await cluster.incr("n") == 1
            await asyncio.sleep(0.1)
            relay.requests.clear()
            assert await ended(cluster.incr("n"), cluster.incr("n")) == [2, 3]
            assert b"".join(relay.requests).startswith(b"*1\r\n$4\r\nPING\r\n*3")
            assert relay.connections == 1

    run(main)


# Between two connections ----------------------------------------------------------------------------------------------


def test_the_last_replies_of_a_replica_do_not_speak_against_the_next_connection(
    new_redis_server: Callable[..., PrivateServer], redis_servers: RedisServers, proxy: Proxies
) -> None:
    replica, primary = new_redis_server(), redis_servers(1)[0]
    relay = proxy(replica)

    async def main() -> None:
        async with (
            async_cluster_of(relay, **ONCE) as cluster,
            redis.asyncio.Redis(unix_socket_path=replica.path) as client,
        ):
            await cluster.ping()
            direct: Any = client
            await direct.execute_command("REPLICAOF", "127.0.0.1", "1")
            relay.target, relay.trickle = primary, 0.001
            tasks = [asyncio.create_task(cluster.incr("n")) for _ in range(30)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert await cluster.incr("n") == 1
            assert {type(each) for each in await ended(*tasks)} == {redis.ReadOnlyError}
            assert relay.connections == 2

    run(main)


def test_a_map_that_goes_on_over_another_connection_gets_its_own_replies(
    redis_servers: RedisServers, proxy: Proxies
) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, pipeline_depth=16) as cluster:
            numbers = [str(number).encode() for number in range(100)]
            await cluster.mset({number: number for number in numbers})
            queue = shared_of(cluster)

            async def mapped() -> list[Any]:
                async with cluster.map() as conn:
                    promises = [conn.get(number) for number in numbers]
                return [promise.value for promise in promises]

            relay.forget()
            task = asyncio.create_task(mapped())
            await until_async(
                lambda: len(queue) == 17
            )  # the first part is under way, the rest is in the queue
            await cluster.aclose()
            other = asyncio.create_task(cluster.get("1"))
            await asyncio.sleep(0.2)  # another connection would have answered the rest by now
            relay.heal()
            assert await other == b"1"
            assert await task == numbers
            assert relay.connections == 2

    run(main)


def test_a_map_whose_next_connection_fails_has_applied_its_first_part(
    redis_servers: RedisServers, proxy: Proxies
) -> None:
    server = redis_servers(1)[0]
    relay = proxy(server)

    async def main() -> None:
        async with async_cluster_of(relay, pipeline_depth=16, **ONCE) as cluster:
            await cluster.ping()
            queue, promises = shared_of(cluster), list[Any]()

            async def mapped() -> None:
                async with cluster.map(fail_silently=True) as conn:
                    promises.extend(conn.rpush("list", number) for number in range(40))

            relay.delay = 0.3
            task = asyncio.create_task(mapped())
            await until_async(lambda: len(queue) == 17)
            await asyncio.sleep(0.1)
            relay.target = "/nowhere.sock"
            await cluster.aclose()
            (error,) = await ended(cluster.ping())
            await task
            assert isinstance(error, HostDown)
            assert [each.outcome for each in promises] == [Outcome.VALUE] * 16 + [Outcome.NOT_SENT] * 24
            relay.target, relay.delay = server, 0
            assert await cluster.llen("list") == 16

    run(main)


@pytest.mark.parametrize("idle", [False, True])
def test_all_tasks_of_a_loop_are_cancelled_while_a_connection_is_opened(
    redis_servers: RedisServers, idle: bool
) -> None:
    async def main() -> None:
        async with async_cluster_of(redis_servers(1)[0], health_check_interval=0.01) as cluster:
            for turns in range(5):
                if idle:
                    await cluster.ping()
                    await asyncio.sleep(0.02)  # the next command asks first whether the connection is alive
                command, others = asyncio.create_task(cluster.incr("n")), asyncio.all_tasks()
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in asyncio.all_tasks() - others:
                    task.cancel()
                assert isinstance(await command, int)  # was tried again
                await cluster.aclose()

    run(main)


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, ValueError])
def test_an_error_of_a_callback_is_that_of_its_task_alone(
    redis_servers: RedisServers, kind: type[BaseException]
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise kind

    async def main() -> None:
        async with async_cluster_of(redis_servers(1)[0]) as cluster:
            client = cluster.on(0)
            client.set_response_callback("ECHO", broken)
            await client.ping()
            line = line_of(cluster)
            values = await ended(client.incr("n"), client.echo("x"), client.incr("n"))
            assert values[::2] == [1, 2]
            assert isinstance(values[1], MaybeApplied if kind is ValueError else kind)
            assert line_of(cluster) is line

    run(main)


# The end --------------------------------------------------------------------------------------------------------------


def test_closing_waits_for_what_is_under_way(redis_servers: RedisServers, proxy: Proxies) -> None:
    server = redis_servers(1)[0]
    relay = proxy(server)

    async def main() -> None:
        cluster = async_cluster_of(relay)
        await cluster.ping()
        relay.delay = 0.05
        tasks = [asyncio.create_task(cluster.incr("n")) for _ in range(10)]
        await until_async(lambda: line_of(cluster).under_way == 10)
        await cluster.aclose()
        assert await asyncio.gather(*tasks) == list(range(1, 11))
        await until_async(lambda: relay.open_connections == 0)
        assert await cluster.incr("n") == 11
        await cluster.aclose()
        await until_async(lambda: relay.open_connections == 0)

    run(main)


def test_a_host_that_leaves_answers_what_it_was_asked(redis_servers: RedisServers, proxy: Proxies) -> None:
    first, second = redis_servers(2)
    relay = proxy(first)

    async def main() -> None:
        async with async_cluster_of(relay, second, router="slots") as cluster:
            keys = [f"k{n}" for n in range(40)]
            await cluster.mset(dict.fromkeys(keys, 0))
            relay.delay = 0.05
            tasks = [asyncio.create_task(cluster.incr(key)) for key in keys]
            await asyncio.sleep(0)
            cluster.remove_host(0)
            assert await asyncio.gather(*tasks) == [1] * 40
            await until_async(lambda: relay.open_connections == 0)

    run(main)


def test_a_cluster_that_nobody_holds_is_closed(redis_servers: RedisServers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        cluster = async_cluster_of(relay)
        assert await asyncio.gather(*(cluster.incr("n") for _ in range(3))) == [1, 2, 3]
        assert relay.open_connections == 1
        del cluster
        await until_async(lambda: (gc.collect(), relay.open_connections)[1] == 0)

    run(main)


def test_each_event_loop_has_a_connection_of_its_own(redis_servers: RedisServers) -> None:
    server = redis_servers(1)[0]
    cluster = async_cluster_of(server)

    async def some() -> None:
        assert len(await asyncio.gather(*(cluster.incr("n") for _ in range(20)))) == 20

    for _ in range(3):
        asyncio.run(some())
    asyncio.run(until_clients(server, 0))


@pytest.mark.parametrize(
    "option", [{"batching": -1}, {"batching": "yes"}, {"pipeline_depth": 0}, {"pipeline_depth": "x"}]
)
def test_options_that_make_no_sense(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        create_async_cluster({"engine": "redis", "hosts": [{"port": 1, **option}]})


@pytest.mark.parametrize("engine", ["redis", "memcache"])
def test_a_deadline_that_is_over_in_the_queue_is_no_fault_of_the_host(
    request: pytest.FixtureRequest, proxy: Proxies, engine: str
) -> None:
    servers = request.getfixturevalue("redis_servers" if engine == "redis" else "memcached_servers")
    relay = proxy(servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(
            relay, engine=engine, pipeline_depth=1, retry=NO_RETRY, health={"failures": 1}
        ) as cluster:
            await cluster.get("k")
            relay.blackhole = True
            first = asyncio.create_task(cluster.get("k"))
            await until_async(lambda: shared_of(cluster)._line.under_way)
            with cluster.deadline(0.1):
                (error,) = await ended(cluster.get("k"))
            assert isinstance(error, HostDown)
            assert cluster.health()[0].failures == 0
            relay.blackhole = False
            assert await first is None

    run(main)


@pytest.mark.parametrize("engine", ["redis", "memcache"])
@pytest.mark.parametrize("way", ["cut", "refused"])
def test_an_event_that_ends_many_commands_counts_once_against_the_host(
    request: pytest.FixtureRequest, proxy: Proxies, engine: str, way: str
) -> None:
    servers = request.getfixturevalue("redis_servers" if engine == "redis" else "memcached_servers")
    relay = proxy(servers(1)[0])

    async def main() -> None:
        async with async_cluster_of(relay, engine=engine, retry=NO_RETRY) as cluster:
            await cluster.get("k")
            relay.blackhole = True
            if way == "refused":
                relay.refuse()
                relay.drop()
                await until_async(lambda: line_of(cluster) is None)
            tasks = [asyncio.create_task(cluster.set(f"k{number}", b"v")) for number in range(50)]
            if way == "cut":
                await until_async(lambda: line_of(cluster).under_way == 50)
                relay.drop()
            kind = MaybeApplied if way == "cut" else HostDown
            assert {isinstance(each, kind) for each in await ended(*tasks)} == {True}
            assert cluster.health()[0].failures == 1

    run(main)


@pytest.mark.parametrize("way", ["single", "map"])
def test_a_fault_of_the_engine_keeps_nobody_waiting(
    redis_servers: RedisServers, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    async def main() -> None:
        async with async_cluster_of(redis_servers(1)[0], **ONCE) as cluster:
            await cluster.ping()

            def fault(*_: object) -> None:
                raise LookupError("a fault")

            async def mapped() -> None:
                async with cluster.map(fail_silently=True) as conn:
                    promises.extend(conn.incr("n") for _ in range(3))

            promises: list[Any] = []
            with monkeypatch.context() as patch:
                patch.setattr(RedisLine, "send" if way == "single" else "send_part", fault)
                if way == "single":
                    outcomes = await ended(*(cluster.incr("n") for _ in range(3)))
                    assert {type(each) for each in outcomes} == {LookupError}
                else:
                    await mapped()
                    assert all(isinstance(each.error, HostError) for each in promises)
            assert await cluster.incr("n") == 1

    run(main)


def test_nothing_is_written_to_a_connection_that_a_write_has_found_broken(
    redis_servers: RedisServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = b"x" * 60_000

    async def main() -> None:
        async with async_cluster_of(redis_servers(1)[0], **ONCE) as cluster:
            await cluster.ping()
            send, faults = RedisLine.send, list[BaseException]([LookupError("a fault")])

            def faulty(line: RedisLine, asked: Any) -> None:
                if faults:
                    raise faults.pop()
                send(line, asked)

            shared_of(cluster)._is_alone = False
            monkeypatch.setattr(RedisLine, "send", faulty)
            # Two of them fill a write
            outcomes = await ended(*(cluster.set(f"k{number}", large) for number in range(4)))
            assert [type(each) for each in outcomes] == [LookupError, LookupError, bool, bool]

    run(main)
