"""What only the asyncio side has: awaiting, cancelling, waiting in line, event loops.

That its commands do what the blocking ones do is asked in the other tests, which run on both sides.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from address import Listening
from memcached import MemcachedServer
from nydus_core import (
    AsyncCluster,
    CommandError,
    ConfigError,
    DeadlineExceeded,
    HostDown,
    MaybeApplied,
    create_async_cluster,
)
from nydus_core.command import Outcome, outcome_of
from nydus_core.health.breaker import State
from nydus_core.testing import FaultProxy
from nydus_memcache import AsyncMemcache, IllegalKey, Memcache
from nydus_memcache.options import wire
from nydus_memcache.surface.aio import AsyncSurface
from nydus_memcache.surface.blocking import Surface
from scripted import ScriptedServer
from shifted import Shifted, run_shifted
from stopping import stopped
from tls import TlsFront
from waiting import LONG, until, until_async
from waiting_time import open_connections, timeout_of

pytestmark = pytest.mark.slow_env  # redis-py's version is nothing to it

KEYS = [f"key{number}" for number in range(100)]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 50), debug=True)


def over(*servers: Listening, **settings: Any) -> AsyncCluster:
    """A cluster of these servers; settings of the cluster and options of all hosts."""
    hosts = [
        {"unix_socket_path": each.path} if each.path else {"host": "127.0.0.1", "port": each.port}
        for each in servers
    ]
    of_cluster = {name: settings.pop(name) for name in ("deadline", "health", "retry") if name in settings}
    once = {"retry": {"attempts": 1}} | of_cluster
    defaults = {"timeout": LONG, **settings}
    return create_async_cluster(
        {"engine": Memcache, "router": "partition", "hosts": hosts, "defaults": defaults, **once}
    )


def commands_of(*calls: Callable[[Surface], Any]) -> list[Any]:
    """The commands that calls end in."""
    found: list[Any] = []
    for call in calls:
        call(Surface(found.append, wire([{}])))
    return found


async def cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def ended(task: asyncio.Future[Any], loop: Shifted) -> None:
    """Let the time of the loop pass until a task ends. A host is given its time twice if the loop comes late."""
    while not task.done():
        loop.ahead += LONG + 1
        await asyncio.sleep(0.01)
    await task


# Methods --------------------------------------------------------------------------------------------------------


def methods(surface: type[Any]) -> dict[str, Any]:
    return {
        name: (inspect.signature(method).replace(return_annotation=None), method.__doc__)
        for name, method in inspect.getmembers(surface, inspect.isfunction)
        if not name.startswith("_")
    }


def test_it_has_the_methods_of_the_blocking_side() -> None:
    assert methods(AsyncSurface) == methods(Surface) != {}
    assert all(
        inspect.iscoroutinefunction(method)
        for name, method in inspect.getmembers(AsyncSurface, inspect.isfunction)
        if not name.startswith("_")
    )


def test_it_is_the_other_side_of_the_blocking_engine() -> None:
    assert isinstance(create_async_cluster({"engine": "memcache", "hosts": [{}]}).hosts[0], AsyncMemcache)


def test_a_bad_argument_is_refused_when_the_call_is_awaited(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            for client in (cluster, cluster.on(0), cluster.on_key("k")):
                call = client.set("a\r\nword", b"v")
                with pytest.raises(IllegalKey):
                    await call
            with pytest.raises(AttributeError, match=r"no command 'get_mny'; did you mean 'get_many'"):
                _ = cluster.get_mny

    run(main())
    assert front.requests == []


def test_a_map_queues_and_sends_when_it_ends(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            async with cluster.map() as conn:
                done, found = conn.set("k", b"v"), conn.get("k")
                with pytest.raises(IllegalKey):
                    conn.get("not legal")
                assert front.requests == []
            assert (done, found) == (True, b"v")

    run(main())
    assert len(front.requests) == 1


def test_many_keys_and_large_values_go_over_few_hosts(memcached_servers: Any) -> None:
    values = {f"key{number:05}": b"%d" % number for number in range(10_000)}
    lines = {f"large{number}": b"q" * number + b"END\r\n" * 150_000 for number in range(8)}

    async def main() -> None:
        async with over(*memcached_servers(3, tcp=True)) as cluster:
            assert await cluster.set_many(values) == []
            assert await cluster.get_many(values) == values
            assert await cluster.set_many(lines) == []
            assert await cluster.get_many(lines) == lines
            assert await cluster.delete_many(values) is True
            assert await cluster.get_many(values) == {}

    run(main())


def test_over_tls_idle_connections_are_used_again(certificate: Path, server: MemcachedServer) -> None:
    async def main(front: TlsFront) -> None:
        host = {"host": "localhost", "port": front.port}
        context = ssl.create_default_context(cafile=str(certificate))
        settings = {
            "engine": "memcache",
            "hosts": [host],
            "defaults": {"tls_context": context, "timeout": LONG},
        }
        async with create_async_cluster(settings) as cluster:
            for number in range(20):
                assert await cluster.set("k", number) is True
                await asyncio.sleep(0)
            assert await cluster.get("k") == 19
        assert front.connections == 1

    with TlsFront(server, certificate) as front:
        run(main(front))


def test_a_lock_for_threads_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lock_generator.*no threads to keep apart"):
        create_async_cluster({"engine": "memcache", "hosts": [{"lock_generator": object}]})


# Cancelling -----------------------------------------------------------------------------------------------------


def test_a_cancelled_task_leaves_no_answer_to_another(front: FaultProxy) -> None:
    async def right(cluster: AsyncCluster, numbers: range) -> None:
        found = await asyncio.gather(*(cluster.get(f"k{number}") for number in numbers))
        assert found == [b"v%d" % number for number in numbers]

    async def main() -> None:
        async with over(front, max_pool_size=2) as cluster:
            await cluster.set_many({f"k{number}": b"v%d" % number for number in range(90)})
            await cluster.set("n", 1000)
            front.delay = 0.01
            for turn in range(8):
                tasks = [asyncio.ensure_future(cluster.get(f"k{number}")) for number in range(9)]
                tasks.append(asyncio.ensure_future(cluster.incr("n")))
                await asyncio.sleep(turn * 0.002)  # at any moment; which one does not matter
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await right(cluster, range(turn * 10, turn * 10 + 10))
            front.delay = 0
            await right(cluster, range(90))
            counted = await cluster.get("n")
            assert await cluster.incr("n") == counted + 1

    run(main())


def test_a_cancelled_command_that_was_sent_has_its_connection_closed(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front, max_pool_size=1, batching=False) as cluster:
            await cluster.set_many({"a": b"1", "b": b"2"})
            front.delay = LONG
            for call in (cluster.get("a"), cluster.get_many(["a", "b"]), cluster.set("a", b"1")):
                front.requests.clear()
                task = asyncio.ensure_future(call)
                await until_async(lambda: bool(front.requests))
                await cancelled(task)
            front.delay = 0
            assert await cluster.get("b") == b"2"
        assert front.connections == 4

    run(main())


@pytest.mark.parametrize("steps", range(8))
def test_tasks_cancelled_while_connecting_take_no_connection_with_them(front: FaultProxy, steps: int) -> None:
    async def main() -> None:
        async with over(front, max_pool_size=2) as cluster:
            for _ in range(5):
                tasks = [asyncio.ensure_future(cluster.get("k")) for _ in range(8)]
                for _ in range(steps):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            assert await asyncio.gather(*(cluster.get("k") for _ in range(20))) == [None] * 20
            await until_async(lambda: front.open_connections <= 2)

    run(main())


def test_a_task_cancelled_in_line_has_sent_nothing(front: FaultProxy) -> None:
    incr, raw = commands_of(lambda conn: conn.incr("n"), lambda conn: conn.raw_command(b"incr n 1"))

    async def main() -> None:
        async with over(front, max_pool_size=1, batching=False) as cluster:
            await cluster.set("n", 0)
            engine: Any = cluster.hosts[0]
            link = await engine.pool.take()
            waiting = [asyncio.ensure_future(engine.exchange([each])) for each in (incr, raw, incr)]
            last = asyncio.ensure_future(cluster.incr("n"))
            await until_async(lambda: engine.pool._busy == 5)  # all of them wait for the one connection
            for task in waiting:
                task.cancel()
            for (error,) in await asyncio.gather(*waiting):
                assert outcome_of(error) is Outcome.NOT_SENT
            engine.pool.give(link, clean=True)
            assert await last == 1

    run(main())


def lines_of(engine: Any) -> list[Any]:
    """The open connections of an engine: the shared one, the idle ones, and those in use."""
    return [*open_connections(engine), *engine.pool._used]


def is_busy(engine: Any) -> bool:
    """Whether the host has been asked, and has not answered."""
    return any(line.waiting for line in lines_of(engine))


def left_of(link: Any) -> bytes:
    """The bytes that have come and were not read."""
    received: bytes = link._received.received[link._received.at :]
    return received


@pytest.mark.parametrize("batching", [True, False])
def test_a_cancelled_batch_knows_what_was_answered(
    new_memcached_server: Callable[..., MemcachedServer], batching: bool
) -> None:
    commands = commands_of(
        lambda conn: conn.set("a", b"1"),
        lambda conn: conn.set("b", b"2"),
        lambda conn: conn.set("large", b"v" * 20_000_000),
        lambda conn: conn.incr("n"),
    )
    server = new_memcached_server()

    async def main(bad: ScriptedServer) -> None:
        async with over(bad, batching=batching) as cluster:
            await cluster.version()
            engine: Any = cluster.hosts[0]
            (link,) = lines_of(engine)
            with stopped(server):  # so nothing takes 20 MB
                bad.answer(b"STORED\r\nSTO")
                task = asyncio.ensure_future(engine.exchange(commands))
                await until_async(lambda: bad.played(0))
                await until_async(lambda: left_of(link) == b"STO")  # and the loop has read the line before
                task.cancel()
                found = await task
        ends = [outcome_of(each) if isinstance(each, Exception) else Outcome.VALUE for each in found]
        assert ends == [*[Outcome.VALUE, Outcome.MAYBE_APPLIED, Outcome.MAYBE_APPLIED, Outcome.NOT_SENT]]

    with ScriptedServer(server) as bad:
        run(main(bad))


@pytest.mark.parametrize("batching", [True, False])
def test_what_a_cancelled_map_ended_in_is_in_its_promises(
    new_memcached_server: Callable[..., MemcachedServer], batching: bool
) -> None:
    servers = [new_memcached_server(), new_memcached_server()]

    async def main() -> None:
        async with over(*servers, batching=batching) as cluster:
            await cluster.set_many(dict.fromkeys(KEYS, b"v"))
            promises: dict[str, Any] = {}

            async def block() -> None:
                async with cluster.map() as conn:
                    promises.update({key: conn.get(key) for key in KEYS})

            with stopped(servers[1]):
                task = asyncio.ensure_future(block())
                engines: Any = cluster.hosts
                # the one has answered, and the other was asked
                await until_async(lambda: promises and not is_busy(engines[0]) and is_busy(engines[1]))
                await cancelled(task)
            hosts = {key: int(cluster.router.locate(key.encode())) for key in KEYS}
            assert {promises[key].outcome for key in KEYS if hosts[key] == 0} == {Outcome.VALUE}
            assert {promises[key].outcome for key in KEYS if hosts[key] == 1} == {Outcome.MAYBE_APPLIED}
            assert await cluster.get_many(KEYS) == dict.fromkeys(KEYS, b"v")

    run(main())


def test_a_timeout_of_asyncio_is_the_users_own(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front, max_pool_size=1) as cluster:
            await cluster.set("k", b"v")
            front.delay = LONG
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.05):
                    await cluster.get("k")
            assert not isinstance(caught.value, MaybeApplied)
            front.delay = 0
            assert await cluster.get("k") == b"v"

    run(main())


def test_a_missed_deadline_leaves_it_open(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            await cluster.version()
            front.blackhole = True
            with pytest.raises(DeadlineExceeded) as caught, cluster.deadline(0.1):
                await cluster.incr("n")
            assert isinstance(caught.value, MaybeApplied)
            front.drop()
            front.blackhole = False
            assert await cluster.set("n", 1) is True

    run(main())


def test_in_a_task_group_one_that_fails_ends_the_others(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front, max_pool_size=4) as cluster:
            await cluster.set("text", b"abc")
            front.delay = LONG
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(cluster.get("bad key"))
                    others = [group.create_task(cluster.get("text")) for _ in range(10)]
            assert all(task.cancelled() for task in others)
            front.delay = 0
            assert await cluster.get("text") == b"abc"

    run(main())


# Waiting in line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"max_pool_size": 4, "batching": False}, {"batching": 4}])
def test_hundreds_of_tasks_share_four_connections(front: FaultProxy, options: dict[str, Any]) -> None:
    async def main() -> None:
        async with over(front, **options) as cluster:

            async def work(number: int) -> None:
                assert await cluster.set(f"k{number}", number) is True
                assert await cluster.get(f"k{number}") == number

            await asyncio.gather(*(work(number) for number in range(200)))
        assert front.connections == 4

    run(main())


def test_a_task_waits_in_line_as_long_as_the_timeout_says(front: FaultProxy) -> None:
    async def main() -> None:
        options = {"max_pool_size": 1, "timeout": 0.2, "connect_timeout": LONG, "batching": False}
        async with over(front, health={"failures": 1}, **options) as cluster:
            pool = cluster.hosts[0].pool  # type: ignore[attr-defined]
            link = await pool.take()
            with pytest.raises(HostDown, match=r"all 1 connections are in use.*max_pool_size") as caught:
                await cluster.get("other")
            assert isinstance(caught.value, RuntimeError)
            pool.give(link, clean=True)
            with timeout_of(cluster, LONG):
                assert await cluster.get("k") is None  # it said nothing of the host

    run(main())


# Hosts that fail ------------------------------------------------------------------------------------------------


def test_one_who_waits_for_no_answers_leaves_others_their_turn(front: FaultProxy) -> None:
    async def main() -> None:
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        async with over(front) as cluster:
            await cluster.get("k")
            other = asyncio.create_task(take_turns())
            for _ in range(50):
                await cluster.set("k", b"v", noreply=True)
            assert turns >= 49
            other.cancel()

    run(main())


def test_a_host_that_comes_back_is_readmitted(new_memcached_server: Callable[..., MemcachedServer]) -> None:
    server = new_memcached_server()
    health = {"failures": 2, "backoff": 0.01, "most": 0.05}

    async def main() -> None:
        async with over(server, health=health) as cluster:
            await cluster.set("k", b"v")
            await asyncio.to_thread(server.kill)
            for _ in range(3):
                with pytest.raises(HostDown):
                    await cluster.get("k")
            (report,) = cluster.health().values()
            assert report.state is not State.CLOSED
            await asyncio.to_thread(server.restart)
            await until_async(lambda: next(iter(cluster.health().values())).state is State.CLOSED)
            assert await cluster.set("k", b"w") is True

    run(main())


def test_a_connection_that_was_closed_a_moment_ago_is_sent_nothing(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            await cluster.set("n", 0)
            for number in range(1, 20):
                front.drop()  # and the loop has not come to see it
                assert await cluster.incr("n") == number

    run(main())


@pytest.mark.parametrize("batching", [True, False])
def test_a_slow_answer_is_waited_for_as_long_as_it_goes_on(tmp_path: Path, batching: bool) -> None:
    path = str(tmp_path / "slow.sock")
    said: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for _ in range(5):
            writer.write(await said.get())
        await reader.read()
        writer.close()

    async def main(loop: Shifted) -> None:
        hosts = [{"unix_socket_path": path, "timeout": LONG, "batching": batching}]
        async with (
            await asyncio.start_unix_server(serve, path),
            create_async_cluster({"engine": Memcache, "hosts": hosts}) as cluster,
        ):
            getting = asyncio.ensure_future(cluster.get("k"))
            engine: Any = cluster.hosts[0]
            await until_async(lambda: is_busy(engine))
            (link,) = lines_of(engine)
            for piece in (b"VALUE k 0 5\r\n", b"ab", b"cde\r\n", b"EN"):
                loop.ahead += LONG * 0.7  # so that it takes longer than that in all
                before = link.patience.since
                said.put_nowait(piece)
                await until_async(lambda before=before: link.patience.since > before)  # type: ignore[misc]
            said.put_nowait(b"D\r\n")
            assert await getting == b"abcde"

    run_shifted(main)


@pytest.mark.parametrize("batching", [True, False])
def test_many_hosts_that_hang_cost_one_timeout(
    new_memcached_server: Callable[..., MemcachedServer], batching: bool
) -> None:
    servers = [new_memcached_server() for _ in range(4)]

    async def main(loop: Shifted) -> None:
        async with over(*servers, batching=batching) as cluster:
            await cluster.set_many(dict.fromkeys(KEYS, b"v"))
            promises: dict[int, Any] = {}

            async def block() -> None:
                async with cluster.map(fail_silently=True) as conn:
                    for key in KEYS:
                        promises[int(cluster.router.locate(key.encode()))] = conn.get(key)

            with stopped(*servers[:3]):
                task = asyncio.ensure_future(block())
                engines: Any = cluster.hosts
                busy = [True, True, True, False]
                await until_async(lambda: promises and [is_busy(engines[i]) for i in range(4)] == busy)
                await ended(task, loop)
            outcomes = [promises[host].outcome for host in range(4)]
            assert outcomes == [Outcome.MAYBE_APPLIED] * 3 + [Outcome.VALUE]

    run_shifted(main)


@pytest.mark.parametrize("batching", [True, False])
def test_what_was_answered_before_a_silence_is_known(server: MemcachedServer, batching: bool) -> None:
    promises: list[Any] = []

    async def main(loop: Shifted) -> None:
        async with over(bad, batching=batching) as cluster:
            await cluster.version()
            engine: Any = cluster.hosts[0]
            (link,) = lines_of(engine)
            bad.answer(b"STORED\r\nSTO")

            async def block() -> None:
                async with cluster.map(fail_silently=True) as conn:
                    promises.extend([conn.set("a", b"1"), conn.set("b", b"2"), conn.get("a")])

            task = asyncio.ensure_future(block())
            await until_async(lambda: left_of(link) == b"STO")
            await ended(task, loop)
            assert [each.outcome for each in promises] == [Outcome.VALUE] + [Outcome.MAYBE_APPLIED] * 2
            assert isinstance(promises[1].error, TimeoutError)
            assert await cluster.get("a") is None

    with ScriptedServer(server) as bad:
        run_shifted(main)


def test_an_error_of_the_server_is_that_of_its_command_alone(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front, max_pool_size=1) as cluster:
            with pytest.raises(CommandError) as caught:
                async with cluster.map() as conn:
                    done = [
                        conn.set("a", "abc"),
                        conn.incr("a"),
                        conn.set("b", b"x" * (1 << 20)),
                        conn.get("a"),
                    ]
            assert [failure.position for failure in caught.value.errors] == [1, 2]
            assert (done[0].value, done[3].value) == (True, "abc")
            assert await cluster.get("a") == "abc"
        assert front.connections == 1

    run(main())


# Event loops ----------------------------------------------------------------------------------------------------


def test_a_cluster_serves_one_loop_after_another(front: FaultProxy) -> None:
    cluster = over(front)

    async def main(number: int) -> None:
        async with cluster:
            assert await cluster.set("k", number) is True
            assert await asyncio.gather(*(cluster.get("k") for _ in range(5))) == [number] * 5

    for number in range(3):
        run(main(number))


def test_what_a_closed_loop_had_open_is_closed(front: FaultProxy) -> None:
    cluster = over(front)

    async def main() -> None:
        assert await cluster.set("k", b"v") is True
        assert front.open_connections == 1

    run(main())
    until(lambda: not front.open_connections)


def test_a_closed_cluster_opens_again(front: FaultProxy) -> None:
    async def main() -> None:
        cluster = over(front)
        await cluster.set("k", b"v")
        await cluster.aclose()
        assert await cluster.get("k") == b"v"
        await cluster.aclose()
        await until_async(lambda: front.open_connections == 0)
        assert front.connections == 2

    run(main())


def test_a_host_that_leaves_has_its_connections_closed_when_they_fall_out_of_use(
    memcached_servers: Any, proxy: Callable[..., FaultProxy]
) -> None:
    fronts = [proxy(each) for each in memcached_servers(2)]

    async def main() -> None:
        async with over(*fronts) as cluster:
            await cluster.version()
            fronts[1].delay = LONG
            slow: Awaitable[Any] = asyncio.ensure_future(cluster.on(1).version())
            await until_async(lambda: len(fronts[1].requests) == 2)
            cluster.remove_host(1)
            fronts[1].delay = 0
            assert (await slow).startswith(b"1.")
            await until_async(lambda: fronts[1].open_connections == 0)

    run(main())


@pytest.mark.parametrize("batching", [True, False])
def test_a_connection_that_is_closed_before_its_task_has_a_turn(
    new_memcached_server: Callable[..., MemcachedServer], batching: bool
) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        connect = loop.create_unix_connection

        async def connect_late(*args: Any, **options: Any) -> Any:
            made = await connect(*args, **options)
            await asyncio.sleep(0.05)  # as a busy loop does
            return made

        loop.create_unix_connection = connect_late
        with FaultProxy(new_memcached_server()) as front:
            front.target = "/nowhere.sock"  # so the proxy takes connections, and closes them
            async with over(front, batching=batching) as cluster:
                with pytest.raises(HostDown):
                    await asyncio.wait_for(cluster.get("key"), LONG)

    asyncio.run(main())
